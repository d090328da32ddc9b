"""Reading rewards: the catalogue as a member sees it, redemptions, the staff lists and the funnel of a reward."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.clock import business_date
from server.kernel.crypto import Place, vault_of
from server.kernel.db import zone_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.members.rules import masked_phone
from server.points import queries as points
from server.rewards.errors import RedemptionNotFoundError, RewardNotFoundError
from server.rewards.models import PointsPaymentPolicy, Reward, RewardRedemption, RewardTransition, RewardVersion
from server.rewards.rules.paying import PaymentPolicy
from server.rewards.rules.states import RedemptionState, RewardState
from server.rewards.rules.terms import Kind, RewardDraft, Standing, refusal
from server.rewards.views import Funnel, OfferView, Receiver, RedemptionView, RewardView, TransitionView, VersionView, Work
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

__all__ = ["Funnel", "OfferView", "Receiver", "RedemptionView", "RewardView", "TransitionView", "VersionView", "Work"]

CATALOGUE_LIMIT = 100
RECEIVER = ("receiver_name", "receiver_phone", "receiver_address")
_REGION_CHARS = 6


_STORED = tuple(name for name in RedemptionView.__slots__ if name != "receiver")


def find_reward(session: Session, reward_id: UUID) -> RewardView:
    """Return a reward.

    Raises:
        RewardNotFoundError: there is none.
    """
    row = session.get(Reward, reward_id, populate_existing=True)
    if row is None:
        raise RewardNotFoundError
    return reward_view(row, None)


def reward_by_code(session: Session, code: str) -> RewardView | None:
    """Return the reward of a code, or None."""
    row = session.scalar(sa.select(Reward).where(Reward.code == code).execution_options(populate_existing=True))
    return None if row is None else reward_view(row, None)


def list_rewards(
    session: Session, page: PageRequest, *, state: str | None = None, kind: str | None = None, search: str | None = None
) -> Page[RewardView]:
    """Return rewards for staff, newest first, narrowed by state, kind or a part of the name or code."""
    statement = sa.select(Reward)
    if state:
        statement = statement.where(Reward.state == state)
    if kind:
        statement = statement.where(Reward.kind == kind)
    if search:
        statement = statement.where(
            sa.or_(Reward.name.contains(search, autoescape=True), Reward.code.contains(search.lower(), autoescape=True))
        )
    rows = session.scalars(keyset(statement, Reward.created_at, Reward.id, page)).all()
    return page_of(rows, page, lambda row: (row.created_at, row.id)).map(lambda row: reward_view(row, None))


def versions(session: Session, reward_id: UUID) -> list[VersionView]:
    """Return all versions of a reward's terms, newest first."""
    rows = session.scalars(sa.select(RewardVersion).where(RewardVersion.reward_id == reward_id).order_by(RewardVersion.version.desc()))
    return [VersionView(row.version, RewardDraft.of_document(row.document), row.created_at, row.created_by) for row in rows]


def offers(session: Session, member_id: UUID, *, now: datetime, reward_id: UUID | None = None) -> list[OfferView]:
    """Return the catalogue for one member, newest first: published rewards whose time is not over.

    Arguments:
        session: to read with.
        member_id: who looks.
        now: present instant.
        reward_id: only this one.
    """
    statement = sa.select(Reward).where(
        Reward.state == RewardState.PUBLISHED, sa.or_(Reward.on_sale_until.is_(None), Reward.on_sale_until > now)
    )
    if reward_id is not None:
        statement = statement.where(Reward.id == reward_id)
    rows = session.scalars(statement.order_by(Reward.created_at.desc(), Reward.id.desc()).limit(CATALOGUE_LIMIT)).all()
    today = business_date(now, zone_of(session))
    held = held_by(session, member_id, [row.id for row in rows], today)
    available = points.balance(session, member_id, now=now).available
    tier = tiers.of_member(session, member_id).code if any(row.tiers for row in rows) else None
    found = []
    for row in rows:
        view = reward_view(row, today)
        total, on_day = held.get(row.id, (0, 0))
        reason = refusal(view.draft, view.state, Standing(available, tier, total, on_day, view.left, view.left_today), now)
        found.append(OfferView(view, reason is None, reason, max(0, view.draft.points - available)))
    return found


def held_by(session: Session, member_id: UUID, reward_ids: Sequence[UUID], today: date) -> dict[UUID, tuple[int, int]]:
    """Return reward → how often a member redeemed it, in all and on a business day; cancelled redemptions not counted."""
    if not reward_ids:
        return {}
    rows = session.execute(
        sa.select(RewardRedemption.reward_id, sa.func.count(), sa.func.sum(sa.case((RewardRedemption.day == today, 1), else_=0)))
        .where(
            RewardRedemption.member_id == member_id,
            RewardRedemption.reward_id.in_(list(reward_ids)),
            RewardRedemption.state != RedemptionState.CANCELLED,
        )
        .group_by(RewardRedemption.reward_id)
    )
    return {reward_id: (int(total), int(on_day)) for reward_id, total, on_day in rows}


def find(session: Session, redemption_id: UUID, *, member_id: UUID | None = None) -> RedemptionView:
    """Return a redemption with its masked receiver.

    Arguments:
        session: to read with.
        redemption_id: which one.
        member_id: whose it must be, when a member asks.

    Raises:
        RedemptionNotFoundError: there is none, or it is somebody else's.
    """
    row = session.get(RewardRedemption, redemption_id, populate_existing=True)
    if row is None or (member_id is not None and row.member_id != member_id):
        raise RedemptionNotFoundError
    return redemption_view(row, masked(receiver_of(session, row)))


def id_of_number(session: Session, redemption_no: str) -> UUID:
    """Return the id of a redemption by its number.

    Raises:
        RedemptionNotFoundError: there is none.
    """
    found = session.scalar(sa.select(RewardRedemption.id).where(RewardRedemption.redemption_no == redemption_no.strip().upper()))
    if found is None:
        raise RedemptionNotFoundError
    return found


def id_of_voucher(session: Session, code: str) -> UUID:
    """Return the id of the redemption whose voucher is shown in a store.

    Raises:
        RedemptionNotFoundError: there is none.
    """
    found = session.scalar(sa.select(RewardRedemption.id).where(RewardRedemption.voucher_code == code.strip().upper()))
    if found is None:
        raise RedemptionNotFoundError
    return found


def list_redemptions(
    session: Session,
    page: PageRequest,
    *,
    member_id: UUID | None = None,
    reward_id: UUID | None = None,
    state: str | None = None,
    kind: str | None = None,
    number: str | None = None,
    refund_state: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[RedemptionView]:
    """Return redemptions, newest first, without their receivers.

    Arguments:
        session: to read with.
        page: which page.
        member_id: only a member's own.
        reward_id: only those of one reward.
        state: only those in it.
        kind: only those of it.
        number: whole redemption number, tracking number or voucher code.
        refund_state: ``due`` or ``done``.
        since: made from this instant on.
        until: made before this instant.
    """
    of = RewardRedemption
    statement = sa.select(of)
    for column, wanted in (
        (of.member_id, member_id),
        (of.reward_id, reward_id),
        (of.state, state),
        (of.kind, kind),
        (of.refund_state, refund_state),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if number:
        text = number.strip().upper()
        statement = statement.where(sa.or_(of.redemption_no == text, of.voucher_code == text, of.tracking_no == number.strip()))
    if since is not None:
        statement = statement.where(of.created_at >= since)
    if until is not None:
        statement = statement.where(of.created_at < until)
    rows = session.scalars(keyset(statement, of.created_at, of.id, page).execution_options(populate_existing=True)).all()
    return page_of(rows, page, lambda row: (row.created_at, row.id)).map(redemption_view)


def transitions(session: Session, redemption_id: UUID) -> list[TransitionView]:
    """Return the life of a redemption, oldest first."""
    rows = session.scalars(
        sa.select(RewardTransition)
        .where(RewardTransition.redemption_id == redemption_id)
        .order_by(RewardTransition.occurred_at, RewardTransition.id)
    )
    return [TransitionView(**{name: getattr(row, name) for name in TransitionView.__slots__}) for row in rows]


def funnel(session: Session, reward_id: UUID) -> Funnel:
    """Return what became of a reward's redemptions, in one statement."""
    of = RewardRedemption
    counts: dict[str, tuple[int, int, int]] = {
        state: (int(number), int(spent), int(cash))
        for state, number, spent, cash in session.execute(
            sa.select(of.state, sa.func.count(), sa.func.sum(of.points), sa.func.sum(of.cash_fen))
            .where(of.reward_id == reward_id)
            .group_by(of.state)
        )
    }
    number = {state.value: counts.get(state.value, (0, 0, 0))[0] for state in RedemptionState}
    standing = [counts[state] for state in ("placed", "fulfilled") if state in counts]
    return Funnel(**number, points=sum(each[1] for each in standing), cash_fen=sum(each[2] for each in standing))


def work(session: Session) -> Work:
    """Return what waits for staff; each figure is a range of one index."""
    of = RewardRedemption
    placed = {
        kind: int(number)
        for kind, number in session.execute(sa.select(of.kind, sa.func.count()).where(of.state == RedemptionState.PLACED).group_by(of.kind))
    }
    refunds = session.scalar(sa.select(sa.func.count()).select_from(of).where(of.refund_state == "due")) or 0
    return Work(placed.get("goods", 0), placed.get("service", 0), placed.get("coupon", 0), int(refunds))


def under_way(session: Session, member_ids: Sequence[UUID]) -> bool:
    """Tell whether goods of these members still have to be shipped."""
    of = RewardRedemption
    statement = sa.select(of.id).where(of.member_id.in_(member_ids), of.state == RedemptionState.PLACED, of.kind == Kind.GOODS).limit(1)
    return session.scalar(statement) is not None


def payment_policy(session: Session) -> PaymentPolicy:
    """Return how points may pay for orders now."""
    of = PointsPaymentPolicy
    row = session.execute(sa.select(of.points_per_yuan, of.max_percent, of.max_points).order_by(of.version.desc()).limit(1)).one_or_none()
    return PaymentPolicy() if row is None else PaymentPolicy(*row)


def receiver_of(session: Session, row: RewardRedemption) -> Receiver | None:
    """Return the receiver in the clear; only for what masks it, or shows it on purpose and writes that down."""
    if row.receiver_name is None or row.receiver_phone is None or row.receiver_address is None:
        return None
    vault = vault_of(session)
    return Receiver(*(vault.open(getattr(row, name), Place("reward_redemptions", name, row.id)) for name in RECEIVER))


def masked(receiver: Receiver | None) -> Receiver | None:
    """Return a receiver as it may be shown: the first character, the ends of the phone number, the region."""
    if receiver is None:
        return None
    name = receiver.name[:1] + "*" * max(len(receiver.name) - 1, 1)
    return Receiver(name, masked_phone(receiver.phone), f"{receiver.address[:_REGION_CHARS]}****")


def reward_view(row: Reward | sa.Row[Any], today: date | None) -> RewardView:
    """Return a reward's row as a view; what is left of a day needs the day."""
    names = tuple(name for name in RewardDraft.__slots__ if name not in {"kind", "tiers"})
    values = {name: getattr(row, name) for name in names}
    left_today = None
    if row.daily_stock is not None:
        left_today = row.daily_stock - (row.day_issued if today is None or row.day == today else 0)
    return RewardView(
        id=row.id,
        draft=RewardDraft(kind=Kind(row.kind), tiers=tuple(row.tiers), **values),
        state=row.state,
        version=row.version,
        issued=row.issued,
        left=None if row.stock is None else row.stock - row.issued,
        left_today=left_today,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def redemption_view(row: RewardRedemption, receiver: Receiver | None = None) -> RedemptionView:
    """Return a redemption's row as a view."""
    return RedemptionView(**{name: getattr(row, name) for name in _STORED}, receiver=receiver)
