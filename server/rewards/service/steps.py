"""What every verb on a redemption shares: locking it, moving it by compare-and-set, writing the move down, giving stock back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import MemberActor, SystemActor
from server.kernel.db import update_where
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.points import service as points
from server.rewards.errors import RedemptionNotFoundError, RedemptionStateError
from server.rewards.models import Reward, RewardRedemption, RewardTransition, RewardVersion
from server.rewards.rules.states import RedemptionState, target_of
from server.rewards.rules.terms import RewardDraft

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


def locked(session: Session, redemption_id: UUID, *, now: datetime) -> RewardRedemption:
    """Return a redemption's row, its member's points account and itself locked until the transaction ends.

    Raises:
        RedemptionNotFoundError: there is none.
    """
    owner = session.scalar(sa.select(RewardRedemption.member_id).where(RewardRedemption.id == redemption_id))
    if owner is None:
        raise RedemptionNotFoundError
    # The account first, as when redeeming and merging: whoever works for one member waits here, and never in a circle.
    points.open_account(session, owner, now=now)
    statement = sa.select(RewardRedemption).where(RewardRedemption.id == redemption_id)
    return session.scalars(statement.with_for_update().execution_options(populate_existing=True)).one()


def terms_of(session: Session, row: RewardRedemption) -> RewardDraft:
    """Return the terms a redemption was made under."""
    document = session.scalars(
        sa.select(RewardVersion.document).where(RewardVersion.reward_id == row.reward_id, RewardVersion.version == row.reward_version)
    ).one()
    return RewardDraft.of_document(document)


def move(
    session: Session,
    row: RewardRedemption,
    event: str,
    *,
    actor: Actor,
    now: datetime,
    changes: Mapping[str, Any] | None = None,
    detail: str | None = None,
    reason: str | None = None,
) -> None:
    """Move a redemption along one edge, by compare-and-set on state and version, and write the transition row.

    Arguments:
        session: of the caller's transaction.
        row: the redemption as it was read; it is up to date afterwards.
        event: an edge of ``REDEMPTION_EDGES``.
        actor: who does it.
        now: when.
        changes: other columns that change with the state.
        detail: number of the parcel, payment, refund or store.
        reason: in the words of the person who does it.

    Raises:
        RedemptionStateError: there is no such edge from its state, or another transaction moved it meanwhile.
    """
    target = target_of(event, RedemptionState(row.state))
    if target is None:
        raise RedemptionStateError(state=row.state)
    of, before = RewardRedemption, row.state
    moved = update_where(
        session,
        sa.update(of)
        .where(of.id == row.id, of.state == row.state, of.version == row.version)
        .values(state=target.value, version=row.version + 1, **(changes or {})),
    )
    session.refresh(row)
    if not moved:
        raise RedemptionStateError(state=row.state)
    write_transition(session, row.id, event, before, target, actor=actor, now=now, detail=detail, reason=reason)
    if not isinstance(actor, (MemberActor, SystemActor)):
        audit.record(
            session,
            actor=actor,
            action=f"redemption.{event}",
            subject_type="redemption",
            subject_id=row.id,
            before={"state": before},
            after={"state": row.state, "redemption_no": row.redemption_no, "detail": detail},
            reason=reason,
            now=now,
        )


def write_transition(
    session: Session,
    redemption_id: UUID,
    event: str,
    from_state: str | None,
    to_state: RedemptionState,
    *,
    actor: Actor,
    now: datetime,
    detail: str | None = None,
    reason: str | None = None,
) -> None:
    """Write one row of a redemption's life."""
    values = {
        "id": uuid7(),
        "redemption_id": redemption_id,
        "event": event,
        "from_state": from_state,
        "to_state": to_state.value,
        "detail": detail,
        "reason": reason,
        "actor_kind": actor.kind,
        "actor_ref": actor.ref,
        "occurred_at": now,
    }
    session.execute(sa.insert(RewardTransition), values)


def tell(session: Session, topic: str, row: RewardRedemption, *, now: datetime) -> None:
    """Publish what happened to a redemption, once for its present version."""
    publish(
        session,
        topic,
        key=f"{topic}:{row.id}:{row.version}",
        aggregate_type="redemption",
        aggregate_id=row.id,
        payload={"redemption_id": str(row.id), "member_id": str(row.member_id)},
        now=now,
        version=row.version,
    )


def give_back_stock(session: Session, reward_id: UUID, made_on: Mapping[date, int]) -> None:
    """Give back the stock of cancelled redemptions, and the day's share of those that were made on the day it counts now.

    Arguments:
        session: of the caller's transaction.
        reward_id: of which reward.
        made_on: business day → how many redemptions of it are cancelled.
    """
    that_day = sa.case(*((Reward.day == day, Reward.day_issued - number) for day, number in made_on.items()), else_=Reward.day_issued)
    update_where(
        session,
        sa.update(Reward).where(Reward.id == reward_id).values(issued=Reward.issued - sum(made_on.values()), day_issued=that_day),
    )
