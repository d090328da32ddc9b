"""Redeeming points for a reward, and the payment of its cash part.

The member's account is locked first and the rules are asked under that lock, so one member's requests come one after another; the
reward's row is taken by one conditional UPDATE that checks stock, the day's stock and that the terms are those the price came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.coupons import service as coupons
from server.kernel.amounts import Points
from server.kernel.clock import business_date, end_of_day
from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.kernel.errors import DomainError
from server.kernel.ids import dated_number, random_code, uuid7
from server.kernel.source import Source
from server.points import queries as points_queries
from server.points import service as points
from server.points.errors import InsufficientPointsError, ReservationClosedError
from server.rewards import events, queries
from server.rewards.errors import (
    NotOnSaleError,
    PaymentConflictError,
    PaymentDiffersError,
    ReceiverMissingError,
    RedemptionLimitReachedError,
    RewardChangedError,
    RewardNotFoundError,
)
from server.rewards.models import Reward, RewardRedemption
from server.rewards.queries import RECEIVER, RedemptionView, RewardView, reward_view
from server.rewards.reasons import REFUSALS
from server.rewards.rules.states import RedemptionState, RewardState
from server.rewards.rules.terms import Kind, RewardDraft, Standing, refusal
from server.rewards.service.cancelling import close
from server.rewards.service.steps import locked, move, tell, terms_of, write_transition
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

# How often a reward may be edited, or its last piece go, while one member redeems it.
_ROUNDS = 5
_VOUCHER_CHARS = 14
# Points stay reserved a little longer than the member may pay, so that it is the redemption that times out and never the points alone.
_RESERVED_LONGER = timedelta(minutes=10)
_REWARDS = cast("sa.Table", Reward.__table__)


@dataclass(frozen=True, slots=True)
class ReceiverDraft:
    """Where the member wants goods sent."""

    name: str
    phone: str
    address: str


def redeem(
    session: Session,
    member_id: UUID,
    reward_id: UUID,
    *,
    actor: Actor,
    now: datetime,
    receiver: ReceiverDraft | None = None,
    seen_version: int | None = None,
) -> RedemptionView:
    """Redeem a member's points for a reward.

    Without a cash part the points are redeemed at once and a coupon is issued in the same transaction; with one they are reserved
    until it is paid.

    Arguments:
        session: of the caller's transaction.
        member_id: whose points.
        reward_id: which reward.
        actor: who redeems.
        now: when.
        receiver: where goods go; needed for goods, ignored for others.
        seen_version: the version of the reward that the member looked at; without it whatever holds now.

    Raises:
        RewardNotFoundError: no such reward, or it is a draft.
        RewardChangedError: the reward has another version than the member saw.
        ReceiverMissingError: goods without a whole receiver.
        NotOnSaleError: paused, not yet or no longer on sale.
        TierNotEligibleError: it is for members of other tiers.
        RedemptionLimitReachedError: the member redeemed it as often as one may, in all or today.
        SoldOutError: stock or the day's stock is used up; a coupon reward also when its coupons are.
        InsufficientPointsError: the member has too few points.
    """
    points.open_account(session, member_id, now=now)
    member_id = points_queries.homes(session, [member_id])[member_id]
    today = business_date(now, zone_of(session))
    for _ in range(_ROUNDS):
        reward = _reward(session, reward_id, today)
        if seen_version is not None and seen_version != reward.version:
            raise RewardChangedError
        if reward.draft.kind is Kind.GOODS and not _whole(receiver):
            raise ReceiverMissingError(fields={"receiver": ReceiverMissingError.message})
        _require(session, member_id, reward, today, now)
        if _take_stock(session, reward, today):
            break
        # It was edited or its last piece went since it was read: it is read again, and then the rules say why not.
    else:
        raise NotOnSaleError
    row = _insert(session, member_id, reward, receiver, today, actor=actor, now=now)
    if row.state == RedemptionState.PLACED:
        _placed(session, row, reward.draft, actor=actor, now=now)
    return queries.find(session, row.id)


def pay(
    session: Session, redemption_id: UUID, *, source: Source, paid_fen: int, actor: Actor, now: datetime, paid_at: datetime | None = None
) -> RedemptionView:
    """Take in the fact that the cash part was paid: the reserved points are redeemed and the redemption is placed.

    Money that comes for a redemption that is no longer there (timed out, cancelled) is kept with it and is due for refund. The same
    payment again changes nothing.

    Arguments:
        session: of the caller's transaction.
        redemption_id: what was paid.
        source: who tells it, and their number of the payment.
        paid_fen: how much.
        actor: who tells it.
        now: present instant.
        paid_at: when it was paid, if that is known.

    Raises:
        RedemptionNotFoundError: there is none.
        PaymentConflictError: it has no cash part, it was paid otherwise, or this payment was told of another redemption.
        PaymentDiffersError: the amount is not the cash part.
    """
    row = locked(session, redemption_id, now=now)
    if row.payment_ref is not None:
        if (row.paid_namespace, row.payment_ref) != (source.namespace, source.key):
            raise PaymentConflictError
    elif row.cash_fen == 0:
        raise PaymentConflictError
    if paid_fen != row.cash_fen:
        raise PaymentDiffersError(fields={"paid_fen": str(row.cash_fen)}, cash_fen=row.cash_fen)
    if row.payment_ref is not None:
        return queries.find(session, row.id)
    _require_unused(session, source)
    payment = {"paid_namespace": source.namespace, "payment_ref": source.key, "paid_at": paid_at or now}
    if row.state == RedemptionState.RESERVED and row.reservation_id is not None:
        try:
            entry = points.redeem_reservation(session, row.reservation_id, reason=row.reward_name, actor=actor, now=now)
        except ReservationClosedError:
            close(session, row, "time_out", actor=actor, now=now)
        else:
            draft = terms_of(session, row)
            changes = payment | {"entry_id": entry.id} | _voucher(session, draft, now)
            move(session, row, "pay", actor=actor, now=now, changes=changes, detail=source.key)
            _placed(session, row, draft, actor=actor, now=now, may_wait=True)
            return queries.find(session, row.id)
    move(session, row, "pay_late", actor=actor, now=now, changes=payment | {"refund_state": "due"}, detail=source.key)
    return queries.find(session, row.id)


def give_coupon(session: Session, row: RewardRedemption, draft: RewardDraft, *, actor: Actor, now: datetime) -> None:
    """Issue the coupon of a placed redemption, which fulfils it.

    Raises:
        DomainError: the coupon cannot be had: sold out, the member has as many as allowed, paused, over.
    """
    assert draft.coupon_template_id is not None  # noqa: S101 - a CHECK holds it for every coupon reward
    source = Source("rewards", f"coupon:{row.id.hex}")
    coupon = coupons.issue(session, row.member_id, draft.coupon_template_id, source=source, actor=actor, now=now, reason=row.redemption_no)
    move(session, row, "issue", actor=actor, now=now, changes={"coupon_id": coupon.id, "fulfilled_at": now}, detail=coupon.code)


def _placed(session: Session, row: RewardRedemption, draft: RewardDraft, *, actor: Actor, now: datetime, may_wait: bool = False) -> None:
    tell(session, events.PLACED, row, now=now)
    if draft.kind is not Kind.COUPON:
        return
    try:
        with session.begin_nested():
            give_coupon(session, row, draft, actor=actor, now=now)
    except DomainError:
        # A payment has happened and cannot be refused: then the coupon waits for staff. Without one the member is told why not.
        if not may_wait:
            raise
        session.refresh(row)


def _reward(session: Session, reward_id: UUID, today: date) -> RewardView:
    row = session.execute(sa.select(_REWARDS).where(_REWARDS.c.id == reward_id)).one_or_none()
    if row is None or row.state == RewardState.DRAFT:
        raise RewardNotFoundError
    return reward_view(row, today)


def _require(session: Session, member_id: UUID, reward: RewardView, today: date, now: datetime) -> None:
    held, held_today = queries.held_by(session, member_id, [reward.id], today).get(reward.id, (0, 0))
    available = points_queries.balance(session, member_id, now=now).available
    tier = tiers.of_member(session, member_id).code if reward.draft.tiers else None
    code = refusal(reward.draft, reward.state, Standing(available, tier, held, held_today, reward.left, reward.left_today), now)
    if code == "insufficient_points":
        raise InsufficientPointsError(available=available)
    if code is not None:
        raise REFUSALS[code]


def _take_stock(session: Session, reward: RewardView, today: date) -> bool:
    """Take one piece of the stock and of the day's, if the reward is still as it was read; one conditional UPDATE."""
    of = _REWARDS.c
    statement = (
        sa.update(_REWARDS)
        .where(
            of.id == reward.id,
            of.version == reward.version,
            of.state == RewardState.PUBLISHED.value,
            sa.or_(of.stock.is_(None), of.issued < of.stock),
            sa.or_(of.daily_stock.is_(None), of.day.is_(None), of.day != today, of.day_issued < of.daily_stock),
        )
        # In this order: MariaDB assigns from left to right, and day_issued has to see the old day.
        .ordered_values(
            (of.issued, of.issued + 1),
            (of.day_issued, sa.case((of.day == today, of.day_issued + 1), else_=1)),
            (of.day, today),
        )
    )
    return update_where(session, statement) == 1


def _insert(
    session: Session,
    member_id: UUID,
    reward: RewardView,
    receiver: ReceiverDraft | None,
    today: date,
    *,
    actor: Actor,
    now: datetime,
) -> RewardRedemption:
    draft, redemption_id = reward.draft, uuid7()
    price, cash = Points(draft.points), draft.cash_fen > 0
    values: dict[str, Any] = dict.fromkeys(column.name for column in RewardRedemption.__table__.columns)
    values |= {
        "id": redemption_id,
        "redemption_no": dated_number(f"{today:%y%m%d}", "R"),
        "reward_id": reward.id,
        "reward_version": reward.version,
        "reward_name": draft.name,
        "member_id": member_id,
        "slot": _free_slot(session, member_id, reward.id) if draft.per_member is not None else None,
        "kind": draft.kind.value,
        "state": (RedemptionState.RESERVED if cash else RedemptionState.PLACED).value,
        "version": 1,
        "points": draft.points,
        "cash_fen": draft.cash_fen,
        "day": today,
        "refund_state": "none",
        "created_at": now,
    }
    source = Source("rewards", f"redemption:{redemption_id.hex}")
    if cash:
        ttl = timedelta(minutes=draft.pay_minutes)
        entry = points.reserve(
            session, member_id, price, source=source, reason=draft.name, actor=actor, now=now, ttl=ttl + _RESERVED_LONGER
        )
        values |= {"reservation_id": entry.id, "pay_until": now + ttl}
    else:
        entry = points.redeem(session, member_id, price, source=source, reason=draft.name, actor=actor, now=now)
        values |= {"entry_id": entry.id} | _voucher(session, draft, now)
    if receiver is not None and draft.kind is Kind.GOODS:
        values |= _sealed(session, redemption_id, receiver)
    if not insert_if_absent(session, RewardRedemption, values):
        raise RedemptionLimitReachedError
    row = session.get_one(RewardRedemption, redemption_id, populate_existing=True)
    write_transition(session, row.id, "reserve" if cash else "place", None, RedemptionState(row.state), actor=actor, now=now)
    return row


def _voucher(session: Session, draft: RewardDraft, now: datetime) -> dict[str, Any]:
    """Return what a redemption gets when it is placed: the instant, and a service's voucher."""
    values: dict[str, Any] = {"placed_at": now}
    if draft.kind is Kind.SERVICE:
        values["voucher_code"] = f"V{random_code(_VOUCHER_CHARS)}"
        if draft.voucher_days is not None:
            zone = zone_of(session)
            values["voucher_until"] = end_of_day(business_date(now, zone) + timedelta(days=draft.voucher_days - 1), zone)
    return values


def _free_slot(session: Session, member_id: UUID, reward_id: UUID) -> int:
    of = RewardRedemption
    taken = set(session.scalars(sa.select(of.slot).where(of.reward_id == reward_id, of.member_id == member_id, of.slot.is_not(None))))
    return next(slot for slot in range(1, len(taken) + 2) if slot not in taken)


def _whole(receiver: ReceiverDraft | None) -> bool:
    return receiver is not None and all(text.strip() for text in (receiver.name, receiver.phone, receiver.address))


def _sealed(session: Session, redemption_id: UUID, receiver: ReceiverDraft) -> dict[str, str]:
    vault = vault_of(session)
    texts = dict(zip(RECEIVER, (receiver.name, receiver.phone, receiver.address), strict=True))
    return {name: vault.seal(text.strip(), Place("reward_redemptions", name, redemption_id)) for name, text in texts.items()}


def _require_unused(session: Session, source: Source) -> None:
    of = RewardRedemption
    if session.scalar(sa.select(of.id).where(of.paid_namespace == source.namespace, of.payment_ref == source.key)) is not None:
        raise PaymentConflictError


__all__ = ["ReceiverDraft", "give_coupon", "pay", "redeem"]
