"""Whether something of value may go through. A refusal is returned, not raised, so that the caller commits its row and then tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.members import queries as members
from server.risk import queries, rules
from server.risk.marks import lock, note_address
from server.risk.models import RiskRefusal, RiskTry

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Refusal:
    """What stands in the way.

    Arguments:
        way: what was tried.
        cause: ``entry:{id}`` or ``rule:{code}``.
        entry_id: the entry of the block list, if it is one.
        rule: code of the velocity rule, if it is one.
        version: that rule's version.
        mark: the device or address that was counted.
    """

    way: rules.Way
    cause: str
    entry_id: UUID | None = None
    rule: str | None = None
    version: int | None = None
    mark: str | None = None


def ask_held(session: Session, member_id: UUID, way: rules.Way, *, now: datetime) -> Refusal | None:
    """Ask whether a member is held, and list it when they are; for what is counted afterwards (``claims``), and must cost little now.

    Arguments:
        session: of the transaction in which it is done.
        member_id: who wants it.
        way: what.
        now: present instant.

    Returns:
        As ``ask`` does.
    """
    scope = str(rules.SCOPE_OF[way])
    refused = _held(session, member_id, way, scope, now)
    if refused is None or queries.has_pass(session, member_id, scope, now):
        return None
    note_refused(session, member_id, refused, now=now, once_key=None)
    return refused


def ask(
    session: Session,
    member_id: UUID,
    way: rules.Way,
    *,
    now: datetime,
    address: str | None = None,
    once_key: str | None = None,
) -> Refusal | None:
    """Ask whether a member may do something now; count it when they may, list it when they may not.

    The devices and addresses that are counted are locked until the transaction ends, so that the count is exact. What is done afterwards
    and fails takes its count back with it.

    Arguments:
        session: of the transaction in which it is done.
        member_id: who wants it.
        way: what.
        now: present instant.
        address: where goods would go.
        once_key: names what is given by itself, so that it is counted and listed once however often it is asked for.

    Returns:
        None when it may go through; otherwise what stands in the way, written down already.
    """
    scope = str(rules.SCOPE_OF[way])
    # Held first, as everywhere else that locks both: a merge of the member waits, and nobody waits for it in a circle.
    member_id = members.resolve(session, member_id, hold=True) or member_id
    marks = {rules.Kind.DEVICE: queries.device_of(session, member_id)}
    marks[rules.Kind.ADDRESS] = note_address(session, member_id, address, now=now) if address else None
    if queries.has_pass(session, member_id, scope, now):
        return None
    refused = _held(session, member_id, way, scope, now) or _too_much(session, member_id, way, marks, now)
    if refused is not None:
        note_refused(session, member_id, refused, now=now, once_key=once_key)
        return refused
    for mark in marks.values():
        if mark is not None:
            record_try(session, member_id, way, mark, now=now, once_key=once_key)
    return None


def record_try(session: Session, member_id: UUID, way: rules.Way, mark: str, *, now: datetime, once_key: str | None = None) -> None:
    """Count something that goes through; what has a key is counted once."""
    if once_key is not None:
        known = sa.select(RiskTry.id).where(RiskTry.mark == mark, RiskTry.way == way.value, RiskTry.member_id == member_id)
        if session.scalar(known.limit(1)) is not None:
            return
    session.execute(sa.insert(RiskTry).values(id=uuid7(), mark=mark, way=way.value, member_id=member_id, tried_at=now))


def note_refused(session: Session, member_id: UUID, refused: Refusal, *, now: datetime, once_key: str | None = None) -> bool:
    """Write a refusal into the list; False when what its key names is there already."""
    values = {
        "id": uuid7(),
        "occurred_at": now,
        "member_id": member_id,
        "way": refused.way.value,
        "scope": str(rules.SCOPE_OF[refused.way]),
        "cause": refused.cause,
        "entry_id": refused.entry_id,
        "rule_code": refused.rule,
        "rule_version": refused.version,
        "mark": refused.mark,
        "once_key": once_key,
    }
    return insert_if_absent(session, RiskRefusal, values)


def _held(session: Session, member_id: UUID, way: rules.Way, scope: str, now: datetime) -> Refusal | None:
    # A blocked address needs no look-up of its own: noting it, in this very transaction, put the hold there.
    hold = queries.hold_of(session, member_id, scope, now)
    if hold is None:
        return None
    rule = None if hold.entry_id is not None else hold.cause.partition(":")[2]
    return Refusal(way, hold.cause, hold.entry_id, rule)


def _too_much(session: Session, member_id: UUID, way: rules.Way, marks: dict[rules.Kind, str | None], now: datetime) -> Refusal | None:
    version, known = queries.velocity_rules(session)
    counting = [(rule, mark) for rule in known if rule.enabled and rule.way is way and (mark := marks.get(rule.per)) is not None]
    lock(session, {mark for _, mark in counting}, now=now)
    for rule, mark in counting:
        within = (RiskTry.mark == mark, RiskTry.way == way.value, RiskTry.tried_at > rules.since(rule, now))
        if rule.count is rules.Count.MEMBERS:
            who = set(session.scalars(sa.select(RiskTry.member_id).where(*within).distinct()))
            done, among_them = len(who), member_id in who
        else:
            done, among_them = int(session.scalar(sa.select(sa.func.count()).select_from(RiskTry).where(*within)) or 0), False
        if rules.refuses(rule, done, among_them=among_them):
            return Refusal(way, f"rule:{rule.code}", rule=rule.code, version=version, mark=mark)
    return None
