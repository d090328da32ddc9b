"""How coupons come into wallets: claimed by the member, or issued by staff or by a trigger.

The template row is taken first, by one conditional UPDATE that checks stock, the day's stock and the budget; the
member's rows are counted under that lock, and the UNIQUE slot holds the member's limit whatever happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.audit import service as audit
from server.coupons import events
from server.coupons.errors import (
    ClaimLimitReachedError,
    DailyClaimLimitReachedError,
    NotInWindowError,
    SoldOutError,
    SoldOutTodayError,
    SourceConflictError,
    TemplateNotFoundError,
    TemplateStateError,
    TierNotEligibleError,
)
from server.coupons.models import Coupon, CouponTemplate
from server.coupons.queries import BATCH_NAMESPACE, CLAIM_NAMESPACE, GIFT_NAMESPACE, CouponView, TemplateView, coupon_view, template_view
from server.coupons.rules.states import CouponState, TemplateState
from server.coupons.service.standing import require_segment, tier_of
from server.coupons.service.steps import tell, write_transition
from server.kernel.actors import MemberActor
from server.kernel.clock import business_date
from server.kernel.column_types import UuidType
from server.kernel.db import insert_if_absent, zone_of
from server.kernel.errors import DomainError
from server.kernel.ids import random_code, uuid7
from server.kernel.prepared import Prepared
from server.kernel.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_CODE_CHARS = 14
# How often a template may be edited while one coupon of it is given.
_EDITS_ENDURED = 5


_TEMPLATES = cast("sa.Table", CouponTemplate.__table__)


def taking_stock() -> sa.Update:
    """Build the conditional UPDATE that takes one coupon of the stock, the day's stock and the budget."""
    of = _TEMPLATES.c
    today, cost_fen = sa.bindparam("today", type_=of.day.type), sa.bindparam("cost_fen", type_=of.budget_fen.type)
    return (
        sa.update(_TEMPLATES)
        .where(
            of.id == sa.bindparam("template_id", type_=of.id.type),
            of.version == sa.bindparam("seen_version", type_=of.version.type),
            sa.or_(of.stock.is_(None), of.issued < of.stock),
            sa.or_(of.daily_stock.is_(None), of.day.is_(None), of.day != today, of.day_issued < of.daily_stock),
            sa.or_(of.budget_fen.is_(None), of.budget_committed_fen + cost_fen <= of.budget_fen),
        )
        # In this order: MariaDB assigns from left to right, and day_issued has to see the old day.
        .ordered_values(
            (of.issued, of.issued + 1),
            (of.day_issued, sa.case((of.day == today, of.day_issued + 1), else_=1)),
            (of.day, today),
            (of.budget_committed_fen, of.budget_committed_fen + cost_fen),
        )
    )


# Built once: in a rush for coupons, preparing the statements was most of the work. Foreign keys have no type yet while models are
# imported, hence the parameters' own.
_TAKE_STOCK = Prepared(taking_stock())
_TEMPLATE = Prepared(sa.select(_TEMPLATES).where(_TEMPLATES.c.id == sa.bindparam("template_id", type_=UuidType())))
_HELD = Prepared(
    sa.select(Coupon.slot, Coupon.issued_day).where(
        Coupon.template_id == sa.bindparam("template_id", type_=UuidType()),
        Coupon.member_id == sa.bindparam("member_id", type_=UuidType()),
        Coupon.source_namespace != GIFT_NAMESPACE,
    )
)


@dataclass(frozen=True, slots=True)
class IssueOutcome:
    """What became of one member of a list: a coupon, or the error code of why not."""

    member_id: UUID
    coupon: CouponView | None
    code: str | None


def claim(session: Session, member_id: UUID, template_id: UUID, *, actor: Actor, now: datetime) -> CouponView:
    """Give a member a coupon they ask for in the claim centre.

    Raises:
        TemplateNotFoundError: no such template, or it is not one of the claim centre.
        NotInWindowError: paused, not yet or no longer open, or the coupons' own validity is over.
        TierNotEligibleError: the template is for members of other tiers.
        SegmentNotEligibleError: it is for members of segments, and they are in none of them.
        ClaimLimitReachedError: the member has as many as they may have, in all or today.
        SoldOutError: stock, the day's stock or the budget is used up.
    """
    template = _template(session, template_id)
    if template.state == TemplateState.DRAFT or not template.draft.claim_centre:
        raise TemplateNotFoundError
    if template.state != TemplateState.PUBLISHED or not template.draft.limits.window_open(now):
        raise NotInWindowError
    scope = template.draft.terms.scope
    if scope.tiers and tier_of(session, member_id) not in scope.tiers:
        raise TierNotEligibleError
    return _give(session, member_id, template, None, actor=actor, now=now, reason=None)


def claimable_by_all(template: TemplateView, *, now: datetime) -> bool:
    """Tell whether a claim asks no more of a member than that they hold none of these coupons yet.

    What ``claim`` would ask of the template itself is answered here; its stock, day's stock and budget are not looked at.
    """
    draft = template.draft
    return (
        template.state == TemplateState.PUBLISHED
        and draft.claim_centre
        and draft.limits.window_open(now)
        and not draft.validity.over(now)
        and not draft.terms.scope.by_member
        and draft.limits.per_member == 1
        and draft.limits.per_member_daily in {None, 1}
    )


def hold_templates(session: Session, template_ids: Sequence[UUID]) -> None:
    """Lock templates until the transaction ends, in the order of their ids.

    For who writes a row that points to a template before it issues: the foreign key alone would take the weaker lock first, and two who
    both have it wait for each other.
    """
    session.execute(sa.select(CouponTemplate.id).where(CouponTemplate.id.in_(template_ids)).order_by(CouponTemplate.id).with_for_update())


def issue(
    session: Session,
    member_id: UUID,
    template_id: UUID,
    *,
    source: Source,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
) -> CouponView:
    """Give a member a coupon for a reason of ours: staff, a birthday, points. Limits and stock hold as for a claim.

    Arguments:
        session: of the caller's transaction.
        member_id: who gets it.
        template_id: which; it must be published, but need not be in the claim centre or its claim window.
        source: the business fact; the same fact again gives the coupon it gave before.
        actor: who issues.
        now: when.
        reason: in the words of the person who issues.

    Raises:
        TemplateNotFoundError: no such template.
        TemplateStateError: it is a draft or paused.
        SourceConflictError: the source gave another coupon, or one to another member.
        SegmentNotEligibleError: the template is for members of segments, and they are in none of them.
        ClaimLimitReachedError: the member has as many as one member may have.
        SoldOutError: stock or budget is used up.
        NotInWindowError: the coupons' own validity is over.
    """
    replayed = _issued_for(session, source)
    if replayed is not None:
        return _same(replayed, member_id, template_id, now)
    # The template's row is the gate: a second request with this source waits here and then finds the first one's coupon.
    session.execute(sa.select(CouponTemplate.id).where(CouponTemplate.id == template_id).with_for_update())
    replayed = _issued_for(session, source)
    if replayed is not None:
        return _same(replayed, member_id, template_id, now)
    template = _template(session, template_id)
    if template.state != TemplateState.PUBLISHED:
        raise TemplateStateError(state=template.state)
    view = _give(session, member_id, template, source, actor=actor, now=now, reason=reason)
    if not isinstance(actor, MemberActor):
        audit.record(
            session,
            actor=actor,
            action="coupon.issue",
            subject_type="coupon",
            subject_id=view.id,
            after={"template": template.draft.code, "member_id": str(member_id), "source": str(source)},
            reason=reason,
            now=now,
        )
    return view


def issue_many(
    session: Session,
    member_ids: Sequence[UUID],
    template_id: UUID,
    *,
    batch: str,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
) -> list[IssueOutcome]:
    """Issue one coupon to each member of a list; a member who cannot have one does not keep the others from theirs.

    Arguments:
        session: of the caller's transaction; callers cut long lists into chunks of a few hundred.
        member_ids: who gets one.
        template_id: which.
        batch: names the list, at most 60 characters; the same batch again gives nobody a second coupon.
        actor: who issues.
        now: when.
        reason: in the words of the person who issues.
    """
    outcomes = []
    for member_id in member_ids:
        try:
            with session.begin_nested():
                source = Source(BATCH_NAMESPACE, f"{batch}:{template_id.hex[:12]}:{member_id.hex}")
                view = issue(session, member_id, template_id, source=source, actor=actor, now=now, reason=reason)
        except DomainError as error:
            outcomes.append(IssueOutcome(member_id, None, error.code))
        else:
            outcomes.append(IssueOutcome(member_id, view, None))
    return outcomes


def _template(session: Session, template_id: UUID) -> TemplateView:
    row = _TEMPLATE.one_or_none(session, {"template_id": template_id})
    if row is None:
        raise TemplateNotFoundError
    return template_view(row)


def _issued_for(session: Session, source: Source) -> Coupon | None:
    return session.scalar(
        sa.select(Coupon)
        .where(Coupon.source_namespace == source.namespace, Coupon.source_key == source.key)
        .execution_options(populate_existing=True)
    )


def _same(row: Coupon, member_id: UUID, template_id: UUID, now: datetime) -> CouponView:
    if row.member_id != member_id or row.template_id != template_id:
        raise SourceConflictError
    return coupon_view(row, now)


def _give(
    session: Session,
    member_id: UUID,
    template: TemplateView,
    source: Source | None,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None,
) -> CouponView:
    today = business_date(now, zone_of(session))
    require_segment(session, member_id, template.draft.terms.scope)
    _check_window(template, now)
    # The member's limit before the stock: who has theirs already need not wait for the template's row.
    slots = _check_member(session, member_id, template, today)
    if template.left == 0:
        raise SoldOutError
    for _ in range(_EDITS_ENDURED):
        cost = cost_fen(template)
        if _take_stock(session, template, today, cost):
            break
        # Either it was edited since it was read, and then it is read again, or it cannot be had.
        template = _after_refusal(session, template, today, cost)
        _check_window(template, now)
    else:
        raise NotInWindowError
    limits = template.draft.limits
    # Requests of this member may have passed us before we had the row. For a limit of one the UNIQUE slot tells; for
    # others the rows are counted again, and from here on none can be added.
    if limits.per_member != 1 or limits.per_member_daily is not None:
        slots = _check_member(session, member_id, template, today)
    return _insert(session, member_id, template, source, slots, actor=actor, now=now, reason=reason)


def _insert(
    session: Session,
    member_id: UUID,
    template: TemplateView,
    source: Source | None,
    slots: Sequence[int | None],
    *,
    actor: Actor,
    now: datetime,
    reason: str | None,
) -> CouponView:
    slot = _free_slot(slots) if template.draft.limits.per_member is not None else None
    values = new_coupon(template, source, slot, now=now, zone=zone_of(session))
    values |= {"member_id": member_id, "terms": template.draft.terms.to_document()}
    if not insert_if_absent(session, Coupon, values):
        raise ClaimLimitReachedError if source is None else SourceConflictError
    row = Coupon(**values)  # never added to the session: it only tells what was inserted
    write_transition(session, row.id, "issue", None, CouponState.ISSUED, actor=actor, now=now, reason=reason)
    tell(session, events.ISSUED, row, now=now)
    return coupon_view(row, now)


def new_coupon(template: TemplateView, source: Source | None, slot: int | None, *, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Return the columns of a new coupon but for whose it is and its terms, which are the template's.

    Arguments:
        template: which it is made from.
        source: the business fact; None for a claim, which is its own.
        slot: which of the coupons one member may have; None without such a limit.
        now: when.
        zone: the shop's.
    """
    coupon_id = uuid7()
    begins, ends = template.draft.validity.window(now, zone)
    return {
        "id": coupon_id,
        "code": f"C{random_code(_CODE_CHARS)}",
        "template_id": template.id,
        "slot": slot,
        "state": CouponState.ISSUED.value,
        "version": 1,
        "valid_from": begins,
        "valid_until": ends,
        "issued_at": now,
        "issued_day": business_date(now, zone),
        "committed_fen": cost_fen(template),
        "source_namespace": source.namespace if source else CLAIM_NAMESPACE,
        "source_key": source.key if source else coupon_id.hex,
    }


def _check_window(template: TemplateView, now: datetime) -> None:
    if template.draft.validity.over(now):
        raise NotInWindowError


def cost_fen(template: TemplateView) -> int:
    """Return the most that one coupon takes of the template's budget, in fen; zero without a budget."""
    return (template.draft.terms.worst_case_fen() or 0) if template.draft.limits.budget_fen is not None else 0


def _check_member(session: Session, member_id: UUID, template: TemplateView, today: date) -> list[int | None]:
    limits = template.draft.limits
    if limits.per_member is None and limits.per_member_daily is None:
        return []
    rows = _HELD.all(session, {"template_id": template.id, "member_id": member_id})
    if limits.per_member is not None and len(rows) >= limits.per_member:
        raise ClaimLimitReachedError
    if limits.per_member_daily is not None and sum(row.issued_day == today for row in rows) >= limits.per_member_daily:
        raise DailyClaimLimitReachedError
    return [row.slot for row in rows]


def _free_slot(slots: Sequence[int | None]) -> int:
    return next(slot for slot in range(1, len(slots) + 2) if slot not in slots)


def _take_stock(session: Session, template: TemplateView, today: date, cost: int) -> bool:
    """Take one coupon of the stock, the day's stock and the budget, in one conditional UPDATE of the template as it was read."""
    parameters = {"template_id": template.id, "seen_version": template.version, "today": today, "cost_fen": cost}
    return _TAKE_STOCK.run(session, parameters) == 1


def _after_refusal(session: Session, seen: TemplateView, today: date, cost: int) -> TemplateView:
    """Return the template as it was edited meanwhile, or raise why nothing of it can be had."""
    row = session.get(CouponTemplate, seen.id, populate_existing=True)
    if row is None or row.state != TemplateState.PUBLISHED:
        raise NotInWindowError
    in_stock = row.stock is None or row.issued < row.stock
    in_budget = row.budget_fen is None or row.budget_committed_fen + cost <= row.budget_fen
    if in_stock and in_budget and row.daily_stock is not None and row.day == today and row.day_issued >= row.daily_stock:
        raise SoldOutTodayError
    if not in_stock or row.version == seen.version:
        raise SoldOutError
    return template_view(row)
