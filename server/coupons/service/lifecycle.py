"""What happens to an issued coupon: lock, unlock, redeem, return, void, and the move to the survivor of a merge."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.coupons import events
from server.coupons.errors import CouponNotAvailableError, CouponNotFoundError
from server.coupons.models import Coupon, CouponTemplate, CouponTransition
from server.coupons.queries import CouponView, coupon_view
from server.coupons.rules.states import CouponState
from server.coupons.rules.terms import Terms
from server.coupons.service import giving
from server.coupons.service.giving import take_back
from server.coupons.service.redemptions import erase_redemption, tell_store, write_redemption
from server.coupons.service.steps import UNLOCKED, locked_coupon, move, release_budget, release_stale_lock, tell
from server.kernel.actors import PartnerActor, StaffActor
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.text import N_

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

LOCK_TTL_SECONDS = 1800
_MEMBER_LEFT = N_("member left")


def lock(
    session: Session,
    coupon_id: UUID,
    *,
    channel: str,
    external_no: str,
    ttl_seconds: int = LOCK_TTL_SECONDS,
    actor: Actor,
    now: datetime,
    member_id: UUID | None = None,
) -> CouponView:
    """Keep a coupon for an order that is being paid. The same order again finds it locked and changes nothing.

    Arguments:
        session: of the caller's transaction.
        coupon_id: which.
        channel: where the order is.
        external_no: the order's number there.
        ttl_seconds: after so long the lock opens by itself.
        actor: who locks.
        now: when.
        member_id: whose coupon it must be, when known.

    Raises:
        CouponNotFoundError: no such coupon, or not this member's.
        CouponNotAvailableError: redeemed, locked for another order, not valid now, expired or voided.
    """
    row = _owned(session, coupon_id, member_id)
    release_stale_lock(session, row, actor=actor, now=now)
    if _held_for(row, CouponState.LOCKED, channel, external_no):
        return coupon_view(row, now)
    _require_valid(session, row, now)
    changes = {"channel": channel, "external_no": external_no, "locked_until": now + timedelta(seconds=ttl_seconds)}
    move(session, row, "lock", actor=actor, now=now, changes=changes)
    return coupon_view(row, now)


def unlock(session: Session, coupon_id: UUID, *, channel: str, external_no: str, actor: Actor, now: datetime) -> CouponView:
    """Open an order's lock before its time (the order was cancelled). A coupon not locked for it stays as it is.

    Raises:
        CouponNotFoundError: no such coupon.
    """
    row = locked_coupon(session, coupon_id)
    if _held_for(row, CouponState.LOCKED, channel, external_no):
        move(session, row, "unlock", actor=actor, now=now, changes=UNLOCKED)
    return coupon_view(row, now)


def redeem(
    session: Session,
    coupon_id: UUID,
    *,
    channel: str,
    external_no: str,
    discount_fen: int | None,
    actor: Actor,
    now: datetime,
    sales_fen: int | None = None,
    store: str | None = None,
    member_id: UUID | None = None,
) -> CouponView:
    """Redeem a coupon for an order, once. The same order again finds it redeemed and changes nothing.

    A coupon locked for this order is redeemed even when its validity ended while the order was being paid.

    Arguments:
        session: of the caller's transaction.
        coupon_id: which.
        channel: where the order is.
        external_no: the order's number there.
        discount_fen: what it took off, if known.
        actor: who redeems.
        now: when.
        sales_fen: what the order came to, if known; counted as driven sales.
        store: the code of the store, ``NO_STORE`` for an order that is known to name none, None when it is not known.
        member_id: whose coupon it must be, when known.

    Raises:
        CouponNotFoundError: no such coupon, or not this member's.
        CouponNotAvailableError: redeemed or locked for another order, not valid now, expired or voided.
    """
    row = _owned(session, coupon_id, member_id)
    if _held_for(row, CouponState.REDEEMED, channel, external_no):
        # A till that told no store is often followed by the order, which does.
        if store is not None:
            tell_store(session, row.id, store)
        return coupon_view(row, now)
    if not _held_for(row, CouponState.LOCKED, channel, external_no):
        release_stale_lock(session, row, actor=actor, now=now)
        _require_valid(session, row, now)
    changes = {
        "channel": channel,
        "external_no": external_no,
        "locked_until": None,
        "redeemed_at": now,
        "discount_fen": discount_fen,
        "sales_fen": sales_fen,
    }
    move(session, row, "redeem", actor=actor, now=now, changes=changes)
    write_redemption(session, row, store=store, now=now)
    tell(session, events.REDEEMED, row, now=now)
    if isinstance(actor, (StaffActor, PartnerActor)):
        _audit(session, row, "coupon.redeem", actor=actor, now=now, reason=None)
    return coupon_view(row, now)


def return_(session: Session, coupon_id: UUID, *, refund_id: str, actor: Actor, now: datetime) -> CouponView:
    """Give a redeemed coupon back after a refund, once for each refund.

    When its validity and the terms' grace have ended it is ``expired``; within the grace its end moves to the grace's end, once.

    Arguments:
        session: of the caller's transaction.
        coupon_id: which.
        refund_id: the refund; the same again changes nothing, even when the coupon was redeemed anew since.
        actor: who refunds.
        now: when.

    Raises:
        CouponNotFoundError: no such coupon.
        CouponNotAvailableError: it is not redeemed.
    """
    row = locked_coupon(session, coupon_id)
    done = session.scalar(
        sa.select(CouponTransition.id).where(CouponTransition.coupon_id == coupon_id, CouponTransition.refund_id == refund_id)
    )
    if done is not None:
        return coupon_view(row, now)
    until = row.valid_until
    ended = until <= now
    if ended and row.grace_given_at is None:
        until += timedelta(days=Terms.of_document(row.terms).return_grace_days)
    late = until <= now
    changes = {**UNLOCKED, "redeemed_at": None, "discount_fen": None, "sales_fen": None}
    erase_redemption(session, row)
    if ended and not late:
        changes |= {"valid_until": until, "grace_given_at": now}
    move(session, row, "return_late" if late else "return", actor=actor, now=now, changes=changes, refund_id=refund_id)
    if late:
        release_budget(session, row.template_id, row.committed_fen)
    tell(session, events.RETURNED, row, now=now)
    if isinstance(actor, (StaffActor, PartnerActor)):
        _audit(session, row, "coupon.return", actor=actor, now=now, reason=None)
    return coupon_view(row, now)


def void(session: Session, coupon_id: UUID, *, reason: str, actor: Actor, now: datetime) -> CouponView:
    """Take a coupon out of a wallet for good. It still counts as issued; a voided coupon again stays voided.

    Raises:
        CouponNotFoundError: no such coupon.
        CouponNotAvailableError: it is locked for an order, redeemed or expired.
    """
    row = locked_coupon(session, coupon_id)
    if row.state == CouponState.VOIDED:
        return coupon_view(row, now)
    release_stale_lock(session, row, actor=actor, now=now)
    take_back(session, row, actor=actor, now=now)
    if row.state == CouponState.ISSUED and row.valid_until <= now:
        raise CouponNotAvailableError(state=CouponState.EXPIRED.value)
    move(session, row, "void", actor=actor, now=now, reason=reason)
    release_budget(session, row.template_id, row.committed_fen)
    tell(session, events.VOIDED, row, now=now)
    _audit(session, row, "coupon.void", actor=actor, now=now, reason=reason)
    return coupon_view(row, now)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Move every coupon of one member to another; limits are not applied to what both already hold.

    Returns:
        How many coupons were moved.
    """
    del now  # Coupons keep their own dates.
    giving.merge_members(session, from_id, into_id)
    moved = 0
    # More than one round only when a claim of the one member slipped in before we held its template's row.
    while template_ids := sorted(session.scalars(sa.select(Coupon.template_id).where(Coupon.member_id == from_id).distinct())):
        moved += _move_coupons(session, template_ids, from_id, into_id)
    return moved


def _move_coupons(session: Session, template_ids: list[UUID], from_id: UUID, into_id: UUID) -> int:
    """Move the coupons of some templates. Their rows are locked first, as every claim does, so no slot is taken meanwhile."""
    session.execute(sa.select(CouponTemplate.id).where(CouponTemplate.id.in_(template_ids)).order_by(CouponTemplate.id).with_for_update())
    of_templates = Coupon.template_id.in_(template_ids)
    bounds = sa.select(Coupon.template_id, sa.func.max(Coupon.slot), sa.func.min(Coupon.slot)).where(
        Coupon.member_id.in_((from_id, into_id)), of_templates
    )
    highest: dict[UUID, int] = {}
    lowest: dict[UUID, int] = {}
    for template_id, most, least in session.execute(bounds.group_by(Coupon.template_id)):
        highest[template_id], lowest[template_id] = max(most or 0, 0), min(least or 0, 0)
    mine = sa.select(Coupon).where(Coupon.member_id == from_id, of_templates).order_by(Coupon.id)
    rows = session.scalars(mine.with_for_update().execution_options(populate_existing=True)).all()
    for row in rows:
        if row.slot is not None and row.slot < 0:
            # A friend's gift: those have their own places, below zero.
            lowest[row.template_id] -= 1
            row.slot = lowest[row.template_id]
        elif row.slot is not None:
            highest[row.template_id] += 1
            row.slot = highest[row.template_id]
        row.member_id = into_id
    session.flush()
    return len(rows)


def _owned(session: Session, coupon_id: UUID, member_id: UUID | None) -> Coupon:
    row = locked_coupon(session, coupon_id)
    if member_id is not None and row.member_id != member_id:
        raise CouponNotFoundError
    return row


def _held_for(row: Coupon, state: CouponState, channel: str, external_no: str) -> bool:
    return row.state == state and row.channel == channel and row.external_no == external_no


def _require_valid(session: Session, row: Coupon, now: datetime) -> None:
    if row.state != CouponState.ISSUED:
        raise CouponNotAvailableError(state=row.state)
    if row.valid_until <= now:
        raise CouponNotAvailableError(state=CouponState.EXPIRED.value)
    if now < row.valid_from:
        raise CouponNotAvailableError(state="not_started")
    terms, zone = Terms.of_document(row.terms), zone_of(session)
    if terms.blacked_out(business_date(now, zone)):
        raise CouponNotAvailableError(state="blacked_out")
    if not terms.open_at(business_date(now, zone), now.astimezone(zone).time()):
        raise CouponNotAvailableError(state="outside_hours")


def _audit(session: Session, row: Coupon, action: str, *, actor: Actor, now: datetime, reason: str | None) -> None:
    audit.record(
        session,
        actor=actor,
        action=action,
        subject_type="coupon",
        subject_id=row.id,
        after={"state": row.state, "channel": row.channel, "external_no": row.external_no, "discount_fen": row.discount_fen},
        reason=reason,
        now=now,
    )


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:
    """Void the coupons in the wallet of a member who leaves; what is locked for an order stays with it. Return how many."""
    held = sa.select(Coupon.id).where(
        Coupon.member_id == member_id, Coupon.state.in_((CouponState.ISSUED, CouponState.OFFERED)), Coupon.valid_until > now
    )
    ids = session.scalars(held.order_by(Coupon.id)).all()
    for coupon_id in ids:
        void(session, coupon_id, reason=_MEMBER_LEFT, actor=actor, now=now)
    return len(ids)
