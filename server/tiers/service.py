"""The verbs of tiers: define one, assign a member to one, carry a tier over in a merge."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel import outbox
from server.kernel.actors import SystemActor
from server.kernel.db import insert_all_absent, insert_if_absent
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.tiers import events, queries
from server.tiers.errors import TierInvalidError, TierNotFoundError, TierReasonRequiredError
from server.tiers.models import MemberTier, Tier, TierChange
from server.tiers.rules import DEFAULT_TIERS, TierDraft, check

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

MERGE_REASON = N_("Memberships merged")


def ensure_default_tiers(session: Session) -> int:
    """Define the default tiers unless tiers are defined already; return how many were."""
    if session.scalar(sa.select(sa.func.count()).select_from(Tier)):
        return 0
    rows = [
        {
            "id": uuid7(),
            "code": draft.code,
            "name": draft.name,
            "tier_rank": draft.rank,
            "points_multiplier_percent": draft.points_multiplier_percent,
            "face": draft.face.document(),
            "benefits": list(draft.benefits),
        }
        for draft in DEFAULT_TIERS
    ]
    return insert_all_absent(session, Tier, rows)


def define(session: Session, draft: TierDraft, *, actor: Actor, now: datetime) -> None:
    """Define a tier, or change the one that has its code.

    Raises:
        TierInvalidError: values that make no sense, or a rank another tier has.
    """
    check(draft)
    tiers = {tier.code: tier for tier in queries.definitions(session)}
    if any(tier.rank == draft.rank for code, tier in tiers.items() if code != draft.code):
        raise TierInvalidError(fields={"rank": str(draft.rank)})
    values = {
        "name": draft.name.strip(),
        "rank": draft.rank,
        "points_multiplier_percent": draft.points_multiplier_percent,
        "face": draft.face.document(),
        "benefits": list(draft.benefits),
    }
    before = tiers.get(draft.code)
    if before is None:
        session.execute(sa.insert(Tier).values(id=uuid7(), code=draft.code, **values))
    else:
        session.execute(sa.update(Tier).where(Tier.code == draft.code).values(**values).execution_options(synchronize_session=False))
    audit.record(
        session,
        actor=actor,
        action="tier.define",
        subject_type="tier",
        subject_id=draft.code,
        before=None if before is None else {name: value for name, value in asdict(before).items() if name != "since"},
        after={"code": draft.code, **values},
        now=now,
    )


def assign(session: Session, member_id: UUID, tier_code: str, *, reason: str, actor: Actor, now: datetime) -> queries.TierView:
    """Give a member a tier. The tier they hold already changes nothing.

    Arguments:
        session: of an open transaction.
        member_id: whose tier.
        tier_code: the tier to hold.
        reason: shown to the member and kept with the change.
        actor: who does it.
        now: present instant.

    Raises:
        TierNotFoundError: no tier has that code.
        TierReasonRequiredError: an empty reason.
    """
    if not reason.strip():
        raise TierReasonRequiredError(fields={"reason": TierReasonRequiredError.message})
    target = session.execute(sa.select(Tier.id, Tier.rank).where(Tier.code == tier_code)).one_or_none()
    lowest = session.scalar(sa.select(Tier.id).order_by(Tier.rank).limit(1))
    if target is None or lowest is None:
        raise TierNotFoundError
    # The row is the lock: two assignments of one member follow each other.
    insert_if_absent(session, MemberTier, {"member_id": member_id, "tier_id": lowest, "since": now})
    # Locked without a join: PostgreSQL would hold the new row against the tier joined before the wait, and find nothing.
    held_id = session.scalar(sa.select(MemberTier.tier_id).where(MemberTier.member_id == member_id).with_for_update())
    held = session.execute(sa.select(Tier.id, Tier.code, Tier.rank).where(Tier.id == held_id)).one()
    if held.id == target.id:
        return queries.of_member(session, member_id)
    session.execute(
        sa.update(MemberTier)
        .where(MemberTier.member_id == member_id)
        .values(tier_id=target.id, since=now)
        .execution_options(synchronize_session=False)
    )
    change_id = uuid7()
    session.execute(
        sa.insert(TierChange).values(
            id=change_id,
            member_id=member_id,
            from_tier_id=held.id,
            to_tier_id=target.id,
            reason=reason.strip()[:255],
            actor_kind=actor.kind,
            actor_ref=actor.ref[:80],
            occurred_at=now,
        )
    )
    outbox.publish(
        session,
        events.CHANGED,
        key=f"{events.CHANGED}:{change_id}",
        aggregate_type="member",
        aggregate_id=member_id,
        payload={"member_id": str(member_id), "from": held.code, "to": tier_code, "upgrade": target.rank > held.rank},
        now=now,
    )
    audit.record(
        session,
        actor=actor,
        action="tier.assign",
        subject_type="member",
        subject_id=member_id,
        before={"tier": held.code},
        after={"tier": tier_code},
        reason=reason.strip(),
        now=now,
    )
    return queries.of_member(session, member_id)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, str]:
    """Let the surviving member hold the better of the two tiers; return ``{tier: code}`` for the merge's journal."""
    leaving, staying = queries.of_member(session, from_id), queries.of_member(session, into_id)
    if leaving.rank > staying.rank:
        assign(session, into_id, leaving.code, reason=MERGE_REASON, actor=SystemActor("merge"), now=now)
        return {"tier": leaving.code}
    return {"tier": staying.code}
