"""The claim centre: what coupons there are, and claiming one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy.orm import Session

from miniprogram_api.auth import member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.risk import held
from miniprogram_api.schemas import Document, PageOut
from miniprogram_api.v1.coupons import CouponOut, PromiseOut, language, promise, shape
from server.coupons import queries, service
from server.coupons.rules.sentence import offer, sentence
from server.coupons.rules.terms import Kind
from server.risk.rules import Way

bp = APIBlueprint("v1_coupon_templates", __name__, url_prefix="/api/v1/coupon-templates", tag="Coupons")


class ClaimableOut(PromiseOut):
    """A template in the claim centre. ``reason`` is the error code that claiming it now would meet."""

    id: UUID
    name: str
    kind: Kind
    offer: str
    sentence: str
    description: str
    amount_off_fen: int
    percent_off: int
    threshold_fen: int
    cap_fen: int | None
    claim_from: datetime | None
    claim_until: datetime | None
    stock: int | None
    left: int | None
    per_member: int | None
    claimable: bool
    reason: str | None


@bp.get("")
@member_required
@bp.doc(summary="Coupons to claim now")
@bp.output(PageOut[ClaimableOut])
def list_claimable() -> Response:
    """Return the claim centre: at most a hundred templates, newest first."""
    with core().db.reading() as session:
        found = service.claim_centre(session, member_id(), now=now())
    return json_response(PageOut[ClaimableOut](items=[_shape(each) for each in found]))


@bp.post("/<uuid:template_id>/claims")
@member_required
@bp.doc(summary="Claim a coupon")
@bp.output(CouponOut, status_code=201)
def claim(template_id: UUID) -> Response:
    """Claim one coupon.

    409 otherwise: ``sold_out``, ``claim_limit_reached``, ``not_in_window``, ``tier_not_eligible``, ``segment_not_eligible``, ``risk_held``.
    """

    def work(session: Session) -> tuple[int, CouponOut | Document]:
        stopped = held(session, Way.CLAIM)
        if stopped is not None:
            return stopped
        return 201, shape(service.claim(session, member_id(), template_id, actor=actor(), now=now()))

    return run_command(work)


def _shape(each: queries.ClaimableView) -> ClaimableOut:
    draft, terms = each.template.draft, each.template.draft.terms
    return ClaimableOut(
        id=each.template.id,
        name=terms.name,
        kind=terms.kind,
        offer=offer(terms, language()),
        sentence=sentence(terms, language(), validity=draft.validity, zone=core().settings.zone),
        description=terms.description,
        amount_off_fen=terms.amount_off_fen,
        percent_off=terms.percent_off,
        threshold_fen=terms.threshold_fen,
        cap_fen=terms.cap_fen,
        claim_from=draft.limits.claim_from,
        claim_until=draft.limits.claim_until,
        stock=draft.limits.stock,
        left=each.template.left,
        per_member=draft.limits.per_member,
        claimable=each.claimable,
        reason=each.reason,
        **promise(terms),
    )
