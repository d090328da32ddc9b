"""Verbs of content checks: begin, claim for a call, write down its end or WeChat's answer, decide, drop, forget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.db import insert_if_absent, lock_skipping, update_where
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.screening import events, queries, rules
from server.screening.errors import CheckDecidedError, CheckNotFoundError, CheckReasonMissingError
from server.screening.models import ContentAnswer, ContentCheck
from server.screening.queries import CheckView
from server.screening.rules import DECIDABLE, IMAGES, OPEN, Cause, Course, Screened, State, Subject

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_REASON_CHARS = 300
_KEEP_TEXTS = timedelta(days=90)
_KEEP_ANSWERS = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Claim:
    """A call to make now; ``version`` tells this claim from others of the same check."""

    check_id: UUID
    version: int
    kind: str
    subject: str
    member_id: UUID
    content: str | None
    upload_id: UUID | None


# --- Begin ---


def note_text(
    session: Session, subject: Subject, subject_id: UUID, *, member_id: UUID, content: str, screened: Screened, now: datetime
) -> UUID | None:
    """Begin the check of a text that did not pass at its submission; one that passed needs none.

    An earlier text of the same subject that is still open is dropped: the new one takes its place.

    Arguments:
        session: of the transaction that takes the text in.
        subject: what it is.
        subject_id: of what.
        member_id: who wrote it.
        content: the text, at most 2,000 characters of which are kept.
        screened: what the check at its submission brought.
        now: present instant.

    Returns:
        The check, or None.
    """
    drop_open(session, subject, subject_id, now=now)
    if screened.passed:
        return None
    course = rules.first_course(screened, now)
    return _begin(session, subject, subject_id, member_id, course, now, content=content[: rules.MAX_CHARS], label=screened.label)


def note_image(session: Session, subject: Subject, upload_id: UUID, *, member_id: UUID, now: datetime) -> UUID | None:
    """Begin the check of a picture; WeChat is asked as soon as this is committed. A picture has one check.

    Returns:
        The check, or None when the picture has one already.
    """
    if queries.states_of(session, subject, [upload_id]):
        return None
    check_id = _begin(session, subject, upload_id, member_id, Course(State.WAITING, Cause.NEW, now), now, upload_id=upload_id)
    if check_id is not None:
        publish(
            session,
            events.CHECK_WANTED,
            key=f"{events.CHECK_WANTED}:{check_id}",
            aggregate_type="content_check",
            aggregate_id=check_id,
            payload={"check_id": str(check_id)},
            now=now,
        )
    return check_id


def _begin(
    session: Session, subject: Subject, subject_id: UUID, member_id: UUID, course: Course, now: datetime, **more: Any
) -> UUID | None:
    check_id = uuid7()
    values = {
        "id": check_id,
        "subject": subject.value,
        "subject_id": subject_id,
        "kind": "image" if subject in IMAGES else "text",
        "member_id": member_id,
        "content": None,
        "upload_id": None,
        "state": course.state.value,
        "version": 0,
        "cause": course.cause.value if course.cause else None,
        "label": None,
        "asks": 0,
        "tries": 0,
        "next_at": course.next_at,
        "open_slot": f"{subject.value}:{subject_id}",
        "created_at": now,
        **more,
    }
    return check_id if insert_if_absent(session, ContentCheck, values) else None


def drop_open(session: Session, subject: Subject, subject_id: UUID, *, now: datetime) -> int:
    """End an open check because its subject was replaced; return how many there were (0 or 1)."""
    statement = sa.update(ContentCheck).where(ContentCheck.open_slot == f"{subject.value}:{subject_id}")
    return update_where(session, statement.values(**_ended(State.DROPPED, now), content=None, version=ContentCheck.version + 1))


# --- Ask WeChat ---


def claim(session: Session, ids: Sequence[UUID], *, now: datetime) -> list[Claim]:
    """Claim checks for a call. Those that are not due, or in other hands, are left; a picture asked about often enough goes to a person.

    Should the process die after this commits, the check is due again when the lease ends: asking twice is harmless.

    Arguments:
        session: of a transaction that must be committed before the calls are made.
        ids: of checks.
        now: present instant.
    """
    statement = (
        sa.select(ContentCheck)
        .where(ContentCheck.id.in_(list(ids)), ContentCheck.state == State.WAITING.value, ContentCheck.next_at <= now)
        .order_by(ContentCheck.id)
        .execution_options(populate_existing=True)
    )
    claims = []
    for row in session.scalars(lock_skipping(statement)).all():
        row.version += 1
        if row.asks >= rules.MOST_ASKS:
            row.state, row.cause, row.next_at = State.HELD.value, Cause.UNANSWERED.value, None
            continue
        row.next_at = now + rules.LEASE
        claims.append(Claim(row.id, row.version, row.kind, row.subject, row.member_id, row.content, row.upload_id))
    session.flush()
    return claims


def note_failure(session: Session, claimed: Claim, *, cause: Cause, now: datetime) -> None:
    """Write down that WeChat could not be asked (``unreachable``, tried again) or will never answer this (a person decides)."""
    row = _locked(session, claimed.check_id)
    if row is None or row.state != State.WAITING.value or row.version != claimed.version:
        return
    course = rules.after_failure(row.tries + 1, now) if cause is Cause.UNREACHABLE else Course(State.HELD, cause, None)
    row.tries += 1
    row.version += 1
    row.state, row.cause, row.next_at = course.state.value, cause.value, course.next_at
    session.flush()


def note_asked(session: Session, claimed: Claim, trace_id: str, *, now: datetime) -> CheckView | None:
    """Write down that WeChat took a picture in, and what it answered, should the answer have come first.

    Returns:
        The check when this ended it, so that its effect is to be carried out.
    """
    row = _locked(session, claimed.check_id)
    if row is None:
        return None
    values = {"trace_id": trace_id, "check_id": claimed.check_id, "asked_at": now, "created_at": now}
    answer: ContentAnswer | None = None
    if not insert_if_absent(session, ContentAnswer, values):
        answer = _answer(session, trace_id)
        if answer is not None and answer.check_id is None:
            answer.check_id, answer.asked_at = claimed.check_id, now
    if row.state == State.WAITING.value and row.version == claimed.version:
        course = rules.after_asking(now)
        row.asks += 1
        row.version += 1
        row.cause, row.next_at = course.cause.value if course.cause else None, course.next_at
    session.flush()
    if answer is None or answer.suggestion is None:
        return None
    return apply_verdict(session, claimed.check_id, suggestion=answer.suggestion, label=answer.label, now=now)


def take_answer(session: Session, trace_id: str, *, suggestion: str, label: int | None, now: datetime) -> CheckView | None:
    """Take in what WeChat pushed about a picture. It may come twice, and before its call was written down.

    Arguments:
        session: of an open transaction.
        trace_id: of the call it answers.
        suggestion: ``pass``, ``review`` or ``risky``.
        label: WeChat's reason.
        now: present instant.

    Returns:
        The check when this ended it, so that its effect is to be carried out; None when it is kept, or changes nothing.
    """
    values = {"trace_id": trace_id, "suggestion": suggestion[:16], "label": label, "answered_at": now, "created_at": now}
    if insert_if_absent(session, ContentAnswer, values):
        return None
    answer = _answer(session, trace_id)
    if answer is None or answer.answered_at is not None or answer.check_id is None:
        return None
    answer.suggestion, answer.label, answer.answered_at = suggestion[:16], label, now
    session.flush()
    return apply_verdict(session, answer.check_id, suggestion=suggestion, label=label, now=now)


def apply_verdict(session: Session, check_id: UUID, *, suggestion: str, label: int | None, now: datetime) -> CheckView | None:
    """Go on by WeChat's word, unless somebody has decided before.

    Returns:
        The check as it is now when it went on; None when nothing changed.
    """
    row = _locked(session, check_id)
    # A picture that waits for a person because no answer came is still glad of a late one.
    late = row is not None and row.state == State.HELD.value and row.cause in {Cause.UNANSWERED.value, Cause.UNREACHABLE.value}
    if row is None or not (row.state == State.WAITING.value or late):
        return None
    course = rules.after_answer(suggestion)
    row.version += 1
    row.state, row.cause, row.label, row.next_at = course.state.value, course.cause.value if course.cause else None, label, None
    if course.state not in OPEN:
        row.open_slot, row.decided_at, row.decided_by = None, now, "wechat"
    session.flush()
    view = queries.find(session, check_id)
    if course.state is State.BLOCKED:
        _tell_refused(session, view, now)
    return view


# --- Decide ---


def decide(
    session: Session, check_id: UUID, *, allow: bool, reason: str | None, expected_version: int | None = None, actor: Actor, now: datetime
) -> CheckView:
    """Let a person decide; of two, the first.

    Arguments:
        session: of an open transaction.
        check_id: which.
        allow: True shows it to others, False hides it.
        reason: why; required for a refusal, and told to the member.
        expected_version: what the actor had before their eyes.
        actor: the member of staff.
        now: present instant.

    Raises:
        CheckReasonMissingError: a refusal without a reason.
        CheckNotFoundError: there is none.
        CheckDecidedError: it was decided, replaced or changed before.
    """
    words = (reason or "").strip()[:_REASON_CHARS]
    if not allow and not words:
        raise CheckReasonMissingError(fields={"reason": CheckReasonMissingError.message})
    row = _locked(session, check_id)
    if row is None:
        raise CheckNotFoundError
    if State(row.state) not in DECIDABLE or (expected_version is not None and row.version != expected_version):
        raise CheckDecidedError
    before = row.state
    state = State.ALLOWED if allow else State.REFUSED
    row.version += 1
    row.state, row.next_at, row.open_slot = state.value, None, None
    row.decided_at, row.decided_by, row.reason = now, actor.ref[:80], words or None
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="content.allow" if allow else "content.refuse",
        subject_type="content_check",
        subject_id=check_id,
        before={"state": before},
        after={"state": state.value, "subject": row.subject},
        reason=words or None,
        now=now,
    )
    view = queries.find(session, check_id)
    if state is State.REFUSED and before != State.BLOCKED.value:
        _tell_refused(session, view, now)
    return view


def _tell_refused(session: Session, view: CheckView, now: datetime) -> None:
    publish(
        session,
        events.CONTENT_REFUSED,
        key=f"{events.CONTENT_REFUSED}:{view.id}",
        aggregate_type="content_check",
        aggregate_id=view.id,
        payload={"check_id": str(view.id), "member_id": str(view.member_id)},
        now=now,
    )


def _ended(state: State, now: datetime) -> dict[str, Any]:
    return {"state": state.value, "open_slot": None, "next_at": None, "decided_at": now}


def _locked(session: Session, check_id: UUID) -> ContentCheck | None:
    statement = sa.select(ContentCheck).where(ContentCheck.id == check_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))


def _answer(session: Session, trace_id: str) -> ContentAnswer | None:
    statement = sa.select(ContentAnswer).where(ContentAnswer.trace_id == trace_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))


# --- Duties ---


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Give one member's checks to another; a nickname that waits is dropped, since the survivor has one. Return how many moved."""
    drop_open(session, Subject.NICKNAME, from_id, now=now)
    return update_where(session, sa.update(ContentCheck).where(ContentCheck.member_id == from_id).values(member_id=into_id))


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Drop a leaving member's open checks and blank every text; return how many there were."""
    mine = ContentCheck.member_id == member_id
    open_ones = sa.update(ContentCheck).where(mine, ContentCheck.state.in_(sorted(OPEN)))
    update_where(session, open_ones.values(**_ended(State.DROPPED, now), version=ContentCheck.version + 1))
    update_where(session, sa.update(ContentCheck).where(mine, ContentCheck.reason.is_not(None)).values(reason="-"))
    return update_where(session, sa.update(ContentCheck).where(mine).values(content=None))


def forget_old(session: Session, now: datetime, limit: int) -> int:
    """Blank texts that were decided long ago and delete answers that belong to nothing any more; return how many."""
    texts = session.scalars(
        sa.select(ContentCheck.id)
        .where(ContentCheck.content.is_not(None), ContentCheck.state.not_in(sorted(OPEN)), ContentCheck.decided_at < now - _KEEP_TEXTS)
        .limit(limit)
    ).all()
    if texts:
        update_where(session, sa.update(ContentCheck).where(ContentCheck.id.in_(texts)).values(content=None))
    traces = session.scalars(sa.select(ContentAnswer.trace_id).where(ContentAnswer.created_at < now - _KEEP_ANSWERS).limit(limit)).all()
    if traces:
        session.execute(sa.delete(ContentAnswer).where(ContentAnswer.trace_id.in_(traces)).execution_options(synchronize_session=False))
    return max(len(texts), len(traces))
