"""The rules' versions, holds that a rule asks for, and what becomes of a member's rows: merged, forgotten, grown old."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.db import update_where
from server.kernel.errors import InvalidError
from server.risk import queries, rules
from server.risk.marks import put_hold
from server.risk.models import RiskEntry, RiskHold, RiskMark, RiskPass, RiskRefusal, RiskRuleVersion, RiskSubject, RiskTry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

# How long a device or address that is not seen any more is remembered.
MARK_DAYS = 180
# No rule looks back longer.
TRY_DAYS = rules.DAYS[1]


def change_rules(session: Session, wanted: Sequence[rules.VelocityRule], *, actor: Actor, now: datetime) -> int:
    """Declare all velocity rules anew; return their version.

    Raises:
        InvalidError: naming the numbers that make no sense.
    """
    wrong = rules.wrong_fields(wanted)
    if wrong:
        raise InvalidError(fields=wrong)
    version, before = queries.velocity_rules(session)
    document = rules.to_document(wanted)
    session.execute(sa.insert(RiskRuleVersion).values(version=version + 1, rules=document, created_at=now, created_by=actor.ref[:80]))
    changed = [one.code for one, old in zip(wanted, before, strict=True) if one != old]
    audit.record(
        session,
        actor=actor,
        action="risk_rules.change",
        subject_type="risk_rules",
        subject_id=str(version + 1),
        before={one.code: [one.most, one.days, one.enabled] for one in before if one.code in changed},
        after={one.code: [one.most, one.days, one.enabled] for one in wanted if one.code in changed},
        now=now,
    )
    return version + 1


def hold_member(session: Session, member_id: UUID, scope: str, rule: str, *, until: datetime | None, now: datetime) -> bool:
    """Hold a member because a rule that is worked out afterwards says so; False when they are, or when staff let them through."""
    if queries.has_pass(session, member_id, scope, now):
        return False
    return put_hold(session, member_id, scope, f"rule:{rule}", entry_id=None, until=until, now=now)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, int]:  # noqa: ARG001 - the movers' signature
    """Give one member's marks, holds, passes, tries and refusals to another; return what moved, for the merge journal."""
    moved = 0
    held: tuple[tuple[type[Any], tuple[Any, ...]], ...] = (
        (RiskMark, (RiskMark.mark,)),
        (RiskHold, (RiskHold.scope, RiskHold.cause)),
    )
    for model, key in held:
        known = {tuple(row) for row in session.execute(sa.select(*key).where(model.member_id == into_id))}
        for row in session.execute(sa.select(model.id, *key).where(model.member_id == from_id)).all():
            one = model.id == row[0]
            if tuple(row[1:]) in known:
                session.execute(sa.delete(model).where(one).execution_options(synchronize_session=False))
            else:
                moved += update_where(session, sa.update(model).where(one).values(member_id=into_id))
    plain: tuple[type[Any], ...] = (RiskPass, RiskTry, RiskRefusal)
    for model in plain:
        moved += update_where(session, sa.update(model).where(model.member_id == from_id).values(member_id=into_id))
    _move_entries(session, from_id, into_id)
    return {"risk": moved} if moved else {}


def _move_entries(session: Session, from_id: UUID, into_id: UUID) -> None:
    taken = set(session.scalars(sa.select(RiskEntry.live_slot).where(RiskEntry.member_id == into_id, RiskEntry.live_slot.is_not(None))))
    for row in session.execute(sa.select(RiskEntry.id, RiskEntry.scope, RiskEntry.live_slot).where(RiskEntry.member_id == from_id)).all():
        slot = f"{rules.Kind.MEMBER}:{into_id}:{row.scope}" if row.live_slot is not None else None
        values: dict[str, Any] = {"member_id": into_id, "live_slot": slot}
        if slot is not None and slot in taken:
            # Both records were blocked: one entry goes on, and what the other held stays held by it.
            values |= {"live_slot": None, "ended_at": sa.func.coalesce(RiskEntry.ended_at, RiskEntry.created_at), "ended_by": "merge"}
            session.execute(sa.delete(RiskHold).where(RiskHold.entry_id == row.id).execution_options(synchronize_session=False))
        update_where(session, sa.update(RiskEntry).where(RiskEntry.id == row.id).values(**values))


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Delete a leaving member's devices, numbers, addresses, holds and passes; return how many. Refusals stay, without a mark or words."""
    gone = 0
    every: tuple[type[Any], ...] = (RiskMark, RiskHold, RiskPass, RiskTry)
    for model in every:
        deleted = session.execute(sa.delete(model).where(model.member_id == member_id).execution_options(synchronize_session=False))
        gone += int(getattr(deleted, "rowcount", 0))
    blank = {"mark": None, "released_why": sa.case((RiskRefusal.released_at.is_(None), None), else_="")}
    update_where(session, sa.update(RiskRefusal).where(RiskRefusal.member_id == member_id).values(**blank))
    update_where(session, sa.update(RiskEntry).where(RiskEntry.member_id == member_id).values(reason=""))
    return gone


def forget_old(session: Session, now: datetime, limit: int = 500) -> int:
    """Delete devices and addresses unseen for long, tries that no rule looks at, and holds and passes that are over; return how many."""
    gone = 0
    old: tuple[tuple[type[Any], Any, Any], ...] = (
        # A phone number is its member's as long as they have it.
        (RiskMark, RiskMark.id, sa.and_(RiskMark.kind != rules.Kind.PHONE.value, RiskMark.seen_at < now - timedelta(days=MARK_DAYS))),
        (RiskTry, RiskTry.id, RiskTry.tried_at < now - timedelta(days=TRY_DAYS)),
        (RiskHold, RiskHold.id, RiskHold.until <= now),
        (RiskPass, RiskPass.id, RiskPass.until <= now),
        (RiskSubject, RiskSubject.mark, RiskSubject.seen_at < now - timedelta(days=TRY_DAYS)),
    )
    for model, key, over in old:
        keys = list(session.scalars(sa.select(key).where(over).limit(limit)))
        if keys:
            # Once more under the delete's own eyes: a mark may have been seen again.
            deleted = session.execute(sa.delete(model).where(key.in_(keys), over).execution_options(synchronize_session=False))
            gone += int(getattr(deleted, "rowcount", 0))
    return gone
