"""Writing segments and building their lists. A change is a new version with its reason; a build goes on where it was broken off."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.db import zone_of
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.members import facts as members
from server.rosters import service as rosters
from server.segments import queries
from server.segments.errors import SegmentChangedError, SegmentInvalidError, SegmentNotFoundError
from server.segments.models import SegmentRule
from server.segments.rules import MOST_REFRESH_HOURS
from server.segments.selection import bearings, chosen

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.rosters.queries import RosterView
    from server.segments.queries import SegmentView
    from server.segments.rules import Rule

CODE_TAKEN = N_("Another segment has this code.")
NO_REASON = N_("Please give a reason.")
RANGE = 50_000
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_NAME_CHARS, _REASON_CHARS = 80, 300
_ENABLED = "enabled"


@dataclass(frozen=True, slots=True)
class SegmentDraft:
    """A version to be.

    Arguments:
        code: names the segment through all its versions.
        name: shown to staff; members never read it.
        rule: who is chosen.
        reason: why, for the record.
        refresh_hours: how old its list may become.
        enabled: False stops building; the last list goes on counting.
        expected: the version it was made on; 0 for a segment that is new, None for whichever is newest.
    """

    code: str
    name: str
    rule: Rule
    reason: str
    refresh_hours: int = 24
    enabled: bool = True
    expected: int | None = None


def save(session: Session, draft: SegmentDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a new version of a segment, the first if the code is new.

    Until a list is built by it, the list of the version before goes on counting.

    Returns:
        The version's id.

    Raises:
        SegmentInvalidError: something in it makes no sense.
        SegmentChangedError: another version is the newest than the one expected.
    """
    versions = queries.versions(session, draft.code)
    last = versions[0] if versions else None
    problems = _problems(draft, last)
    if problems:
        raise SegmentInvalidError(fields=problems)
    if last is not None and draft.expected not in {None, last.version}:
        raise SegmentChangedError
    rule_id, number = uuid7(), last.version + 1 if last else 1
    session.execute(
        sa.insert(SegmentRule).values(
            id=rule_id,
            code=draft.code,
            version=number,
            name=draft.name.strip(),
            document=draft.rule.to_document(),
            refresh_hours=draft.refresh_hours,
            enabled=draft.enabled,
            reason=draft.reason.strip(),
            created_at=now,
            created_by=actor.ref[:80],
        )
    )
    rosters.hold(session, draft.code)
    audit.record(
        session,
        actor=actor,
        action="segment.save",
        subject_type="segment",
        subject_id=rule_id,
        before=None if last is None else _facts(draft_of(last), last.version),
        after=_facts(draft, number),
        reason=draft.reason.strip(),
        now=now,
    )
    return rule_id


def set_enabled(session: Session, code: str, *, enabled: bool, expected: int | None, reason: str, actor: Actor, now: datetime) -> UUID:
    """Stop building a segment, or begin again, as a new version that differs in nothing else.

    Raises:
        SegmentNotFoundError: there is no such segment.
        SegmentInvalidError: no reason.
        SegmentChangedError: another version is the newest than the one looked at.
    """
    view = _newest(session, code)
    return save(session, replace(draft_of(view), enabled=enabled, reason=reason, expected=expected), actor=actor, now=now)


def ask_for_build(session: Session, code: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Ask for a new list before its time; the job begins it within a minute.

    Raises:
        SegmentNotFoundError: there is no such segment.
        SegmentInvalidError: it is not built any more, or no reason was given.
    """
    view = _newest(session, code)
    if not view.enabled or not reason.strip():
        raise SegmentInvalidError(fields={"reason": NO_REASON} if view.enabled else {_ENABLED: N_("It is not built any more.")})
    rosters.ask(session, code, now=now)
    audit.record(session, actor=actor, action="segment.build", subject_type="segment", subject_id=view.id, reason=reason.strip(), now=now)


def draft_of(view: SegmentView) -> SegmentDraft:
    """Return the draft that would write a version once more."""
    return SegmentDraft(view.code, view.name, view.rule, view.reason, view.refresh_hours, view.enabled, expected=view.version)


def is_due(view: SegmentView, roster: RosterView | None, now: datetime) -> bool:
    """Tell whether a segment's list is to be built, or is being built."""
    if not view.enabled:
        return False
    if roster is None or roster.filling is not None or roster.asked_at is not None or roster.built_at is None:
        return True
    return roster.rule_version != view.version or roster.built_at + timedelta(hours=view.refresh_hours) <= now


def build_step(session: Session, code: str, *, now: datetime, size: int = RANGE) -> bool:
    """Do the next range of a segment's list, or begin it, if it is due.

    Each call is one transaction of the caller. The rule is decided for the instant at which the list was begun, in every range, so a list
    that took long is still one picture; a version written meanwhile begins it anew.

    Arguments:
        session: of a transaction of its own.
        code: of the segment.
        now: present instant.
        size: members in a range.

    Returns:
        Whether there is more to do.
    """
    versions = queries.versions(session, code)
    roster = rosters.hold(session, code)
    if not versions or not is_due(versions[0], roster, now):
        return False
    view = versions[0]
    if roster.filling is None or roster.filling_rule != view.version:
        rosters.begin(session, roster, rule_version=view.version, now=now)
        roster = rosters.hold(session, code)
    began = perf_counter()
    end = members.range_end(session, roster.filled_until, size)
    at = bearings(session, roster.filling_as_of or now, zone_of(session))
    rosters.fill(session, roster, chosen(view.rule, at, (roster.filled_until, end)), end)
    worked = round((perf_counter() - began) * 1000)
    if end is None:
        rosters.finish(session, roster, now=now, worked_ms=worked)
        return False
    rosters.note_work(session, roster, worked)
    return True


def _newest(session: Session, code: str) -> SegmentView:
    versions = queries.versions(session, code)
    if not versions:
        raise SegmentNotFoundError
    return versions[0]


def _facts(draft: SegmentDraft, version: int) -> dict[str, object]:
    return {
        "code": draft.code,
        "version": version,
        "name": draft.name.strip(),
        "document": draft.rule.to_document(),
        "refresh_hours": draft.refresh_hours,
        _ENABLED: draft.enabled,
    }


def _problems(draft: SegmentDraft, last: SegmentView | None) -> dict[str, str]:
    found = draft.rule.problems()
    if not _CODE.fullmatch(draft.code):
        found["code"] = "a-z 0-9 - _"
    elif last is not None and draft.expected == 0:
        found["code"] = CODE_TAKEN
    if not 1 <= len(draft.name.strip()) <= _NAME_CHARS:
        found["name"] = f"1–{_NAME_CHARS}"
    if not 1 <= draft.refresh_hours <= MOST_REFRESH_HOURS:
        found["refresh_hours"] = f"1–{MOST_REFRESH_HOURS}"
    if not draft.reason.strip():
        found["reason"] = NO_REASON
    elif len(draft.reason.strip()) > _REASON_CHARS:
        found["reason"] = f"1–{_REASON_CHARS}"
    return found
