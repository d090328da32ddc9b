"""Rewards at tills, shops and warehouses: the cash part is paid and refunded, parcels leave, vouchers are handed over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, g
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api.context import actor, now
from miniprogram_api.idempotent import run_command
from miniprogram_api.partner_auth import partner_required
from miniprogram_api.schemas import AwareInstant, Fen, Input, Output
from server.kernel.source import Source
from server.rewards import queries, service
from server.rewards.queries import RedemptionView
from server.rewards.rules.terms import Kind

bp = APIBlueprint("partner_rewards", __name__, url_prefix="/partner/v1/rewards", tag="Partner: rewards")

_Word = Annotated[str, Field(min_length=1, max_length=64)]
_Reference = Annotated[str, Field(min_length=1, max_length=120)]


class PaymentIn(Input):
    """The fact that the cash part was paid; ``payment_ref`` is your number of the payment."""

    payment_ref: _Reference
    paid_fen: Fen
    paid_at: AwareInstant | None = None


class RewardRefundIn(Input):
    """The fact that the cash part was given back."""

    refund_id: _Reference


class ParcelIn(Input):
    """The parcel the goods are in."""

    carrier: _Word
    tracking_no: _Word


class HandOverIn(Input):
    """A voucher shown at the counter."""

    voucher_code: Annotated[str, Field(min_length=1, max_length=20)]
    store: _Word | None = None


class PartnerRedemptionOut(Output):
    """A redemption as partners see it: no personal data."""

    id: UUID
    redemption_no: str
    reward_name: str
    kind: Kind
    state: str
    points: int
    cash_fen: int
    pay_until: datetime | None
    payment_ref: str | None
    paid_at: datetime | None
    refund_due_fen: int
    carrier: str | None
    tracking_no: str | None
    voucher_until: datetime | None


@bp.post("/redemptions/<redemption_no>/payments")
@partner_required("rewards:write")
@bp.input(PaymentIn, arg_name="body")
@bp.doc(summary="Tell that the cash part was paid")
@bp.output(PartnerRedemptionOut, status_code=201)
def pay(redemption_no: str, body: PaymentIn) -> Response:
    """Take the payment in, once: ``placed``, or ``cancelled`` with ``refund_due_fen`` when it came too late.

    409 ``payment_differs`` for another amount, ``payment_conflict`` when it was paid otherwise.
    """

    def work(session: Session) -> RedemptionView:
        source = Source(f"partner:{g.partner.partner_id}", body.payment_ref)
        found = queries.id_of_number(session, redemption_no)
        return service.pay(session, found, source=source, paid_fen=body.paid_fen, paid_at=body.paid_at, actor=actor(), now=now())

    return _answer(work)


@bp.post("/redemptions/<redemption_no>/refunds")
@partner_required("rewards:write")
@bp.input(RewardRefundIn, arg_name="body")
@bp.doc(summary="Tell that the cash part was refunded")
@bp.output(PartnerRedemptionOut, status_code=201)
def refund(redemption_no: str, body: RewardRefundIn) -> Response:
    """Take the refund of a cancelled redemption in, once; 409 ``refund_conflict`` when nothing is due."""

    def work(session: Session) -> RedemptionView:
        found = queries.id_of_number(session, redemption_no)
        return service.refund(session, found, refund_ref=body.refund_id, actor=actor(), now=now())

    return _answer(work)


@bp.post("/redemptions/<redemption_no>/shipments")
@partner_required("rewards:write")
@bp.input(ParcelIn, arg_name="body")
@bp.doc(summary="Tell that the goods were shipped")
@bp.output(PartnerRedemptionOut, status_code=201)
def ship(redemption_no: str, body: ParcelIn) -> Response:
    """Note the parcel, once; 409 ``redemption_state`` before payment or after cancellation, ``shipment_conflict`` for another number."""

    def work(session: Session) -> RedemptionView:
        found = queries.id_of_number(session, redemption_no)
        return service.ship(session, found, carrier=body.carrier, tracking_no=body.tracking_no, actor=actor(), now=now())

    return _answer(work)


@bp.post("/vouchers/redemptions")
@partner_required("rewards:write")
@bp.input(HandOverIn, arg_name="body")
@bp.doc(summary="Redeem a voucher at the counter")
@bp.output(PartnerRedemptionOut, status_code=201)
def hand_over(body: HandOverIn) -> Response:
    """Redeem a scanned voucher; a second time is 409 ``redemption_state``, after its end 409 ``voucher_expired``."""

    def work(session: Session) -> RedemptionView:
        found = queries.id_of_voucher(session, body.voucher_code)
        return service.hand_over(session, found, store=body.store, actor=actor(), now=now())

    return _answer(work)


def _answer(work: Callable[[Session], RedemptionView]) -> Response:
    return run_command(lambda session: (201, PartnerRedemptionOut.model_validate(work(session))))
