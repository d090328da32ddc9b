"""The block list: entries are put on and taken off, and become holds of the members they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.db import update_where
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.members import queries as members
from server.risk import queries, rules
from server.risk.errors import EntryEndedError, EntryExistsError, EntryNotFoundError, ReasonRequiredError
from server.risk.marks import hold, lock, mark_of
from server.risk.models import RiskEntry, RiskHold, RiskMark
from server.risk.queries import EntryView, alive

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


@dataclass(frozen=True, slots=True)
class Target:
    """What is blocked: a member, or a text of which only the blind index is kept, or a mark that is known from a refusal.

    Arguments:
        kind: what it is.
        member_id: the member, for that kind.
        text: phone number in E.164 form, device or address.
        mark: instead of the text.
    """

    kind: rules.Kind
    member_id: UUID | None = None
    text: str = ""
    mark: str | None = None


def add_entry(
    session: Session, target: Target, *, scope: str, reason: str, until: datetime | None, actor: Actor, now: datetime
) -> EntryView:
    """Put something on the block list, and hold the members it means.

    Arguments:
        session: of the edge's transaction.
        target: what.
        scope: ``coupons``, ``points``, ``rewards``, ``referrals`` or ``all``.
        reason: in the staff's own words.
        until: when it ends by itself; None for never.
        actor: who blocks it.
        now: present instant.

    Raises:
        ReasonRequiredError: no reason.
        InvalidError: an unknown scope, an end that is over, or nothing to block.
        MemberNotFoundError: no such member.
        EntryExistsError: it is on the list for this scope.
    """
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": ReasonRequiredError.message})
    if scope not in rules.SCOPES:
        raise InvalidError(fields={"scope": ", ".join(rules.SCOPES)})
    if until is not None and until <= now:
        raise InvalidError(fields={"until": N_("This moment is over.")})
    mark, hint, subject = _named(session, target)
    if mark is not None:
        lock(session, [mark], now=now)
    else:
        members.resolve(session, UUID(subject), hold=True)
    slot = f"{target.kind}:{subject}:{scope}"
    _end_lapsed(session, slot, now)
    if session.scalar(sa.select(RiskEntry.id).where(RiskEntry.live_slot == slot)) is not None:
        raise EntryExistsError
    entry = RiskEntry(
        id=uuid7(),
        kind=target.kind.value,
        mark=mark,
        member_id=UUID(subject) if mark is None else None,
        hint=hint,
        scope=scope,
        live_slot=slot,
        reason=reason.strip()[:500],
        until=until,
        created_at=now,
        created_by=str(getattr(actor, "name", "") or actor.ref)[:120],
    )
    session.add(entry)
    session.flush()
    held, _ = _resolve(session, entry, now=now)
    _audit(session, "risk_entry.add", entry, {"kind": entry.kind, "scope": scope, "members": held}, actor=actor, reason=reason, now=now)
    found = queries.find_entry(session, entry.id)
    if found is None:
        raise EntryNotFoundError
    return found


def end_entry(session: Session, entry_id: UUID, *, reason: str, actor: Actor, now: datetime) -> int:
    """Take an entry off the list, with the holds that came of it; return how many members it held.

    Raises:
        ReasonRequiredError: no reason.
        EntryNotFoundError: there is none.
        EntryEndedError: it was taken off before.
    """
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": ReasonRequiredError.message})
    entry = session.scalars(sa.select(RiskEntry).where(RiskEntry.id == entry_id)).one_or_none()
    if entry is None:
        raise EntryNotFoundError
    if entry.mark is not None:
        # A mark that is noted at this moment must not leave a hold behind.
        lock(session, [entry.mark], now=now)
    by = str(getattr(actor, "name", "") or actor.ref)[:120]
    ended = sa.update(RiskEntry).where(RiskEntry.id == entry_id, RiskEntry.ended_at.is_(None))
    if not update_where(session, ended.values(ended_at=now, ended_by=by, live_slot=None)):
        raise EntryEndedError
    held = int(session.scalar(sa.select(sa.func.count(sa.distinct(RiskHold.member_id))).where(RiskHold.entry_id == entry_id)) or 0)
    session.execute(sa.delete(RiskHold).where(RiskHold.entry_id == entry_id).execution_options(synchronize_session=False))
    _audit(session, "risk_entry.end", entry, {"members": held}, actor=actor, reason=reason, now=now)
    return held


def resolve_entries(session: Session, now: datetime, limit: int = 200, after: UUID | None = None) -> tuple[int, UUID | None]:
    """Hold whoever a live entry means and who is not held: a release that ended, a number that came in with an import.

    Arguments:
        session: of the job's transaction.
        now: present instant.
        limit: at most so many entries.
        after: go on behind this entry.

    Returns:
        How many holds are new, and the last entry looked at; None when there are no more.
    """
    statement = sa.select(RiskEntry).where(RiskEntry.ended_at.is_(None), alive(RiskEntry.until, now))
    if after is not None:
        statement = statement.where(RiskEntry.id > after)
    rows = session.scalars(statement.order_by(RiskEntry.id).limit(limit)).all()
    made = 0
    for entry in rows:
        if entry.mark is not None:
            lock(session, [entry.mark], now=now)
        if session.scalar(sa.select(RiskEntry.id).where(RiskEntry.id == entry.id, RiskEntry.ended_at.is_(None))) is not None:
            made += _resolve(session, entry, now=now)[1]
    return made, rows[-1].id if len(rows) == limit else None


def _named(session: Session, target: Target) -> tuple[str | None, str, str]:
    if target.kind is rules.Kind.MEMBER:
        home = members.resolve(session, target.member_id) if target.member_id is not None else None
        if home is None:
            raise InvalidError(fields={"value": N_("There is no such member.")})
        return None, "", str(home)
    if target.mark is not None:
        return target.mark, f"…{target.mark[-6:]}", target.mark
    if not (rules.normalised_address(target.text) if target.kind is rules.Kind.ADDRESS else target.text.strip()):
        raise InvalidError(fields={"value": N_("Please say what is blocked.")})
    mark = mark_of(session, target.kind, target.text)
    return mark, (rules.masked(target.kind, target.text) or f"…{mark[-6:]}")[:40], mark


def _resolve(session: Session, entry: RiskEntry, *, now: datetime) -> tuple[int, int]:
    """Hold whom an entry means; return how many members that are, and how many holds are new."""
    if entry.member_id is not None:
        who = {entry.member_id}
    else:
        who = set(session.scalars(sa.select(RiskMark.member_id).where(RiskMark.mark == entry.mark)))
    if entry.kind == rules.Kind.PHONE.value and entry.mark is not None:
        # Who has the number now, whether or not they were seen binding it: it may have come with a file or from a till.
        holder = members.by_phone_index(session, entry.mark.partition(":")[2])
        if holder is not None:
            who.add(holder)
    made = sum(hold(session, member_id, entry, now=now) for member_id in sorted(who))
    return len(who), made


def _end_lapsed(session: Session, slot: str, now: datetime) -> None:
    lapsed = sa.update(RiskEntry).where(RiskEntry.live_slot == slot, RiskEntry.until <= now)
    update_where(session, lapsed.values(live_slot=None, ended_at=now, ended_by="risk"))


def _audit(session: Session, action: str, entry: RiskEntry, after: dict[str, object], *, actor: Actor, reason: str, now: datetime) -> None:
    audit.record(session, actor=actor, action=action, subject_type="risk_entry", subject_id=entry.id, after=after, reason=reason, now=now)
