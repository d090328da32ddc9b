"""The log of attempts: one row for each try to reach a member over a channel, as it ended. Nothing here names a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.ids import uuid7
from server.notifications.models import NotificationAttempt, NotificationMessage
from server.notifications.rules import Outcome

_REASON_CHARS = 64
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt as staff see it; ``milliseconds`` is how long the provider took."""

    message_id: UUID
    channel: str
    provider: str
    attempt: int
    outcome: str
    reason: str | None
    segments: int | None
    milliseconds: int | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """How a provider did since an instant.

    Arguments:
        provider: its name.
        outcomes: outcome → how many.
        milliseconds: of a call on average, or None.
        segments: parts of text messages that were sent.
        sent_at: when it last took something in.
        failed_at: when it last did not.
        failed_reason: why.
    """

    provider: str
    outcomes: dict[str, int]
    milliseconds: int | None
    segments: int
    sent_at: datetime | None
    failed_at: datetime | None
    failed_reason: str | None


def note(
    session: Session,
    row: NotificationMessage,
    provider: str,
    outcome: str,
    reason: str | None,
    now: datetime,
    *,
    milliseconds: int | None = None,
    segments: int | None = None,
) -> None:
    """Write down how one attempt ended."""
    session.add(
        NotificationAttempt(
            id=uuid7(),
            message_id=row.id,
            member_id=row.member_id,
            channel=row.channel,
            provider=provider,
            attempt=row.attempts,
            outcome=outcome,
            reason=reason[:_REASON_CHARS] if reason else None,
            segments=segments,
            milliseconds=milliseconds,
            occurred_at=now,
        )
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """One call of a subscribe message that ended."""

    message_id: UUID
    member_id: UUID
    attempt: int
    outcome: Outcome


def note_subscribe(session: Session, ended: Sequence[Ended], *, now: datetime) -> None:
    """Write down how many calls ended, in one statement."""
    if ended:
        rows = [
            {
                "id": uuid7(),
                "message_id": each.message_id,
                "member_id": each.member_id,
                "channel": "subscribe",
                "provider": "wechat",
                "attempt": each.attempt,
                "outcome": each.outcome.kind,
                "reason": each.outcome.reason[:_REASON_CHARS] or None,
                "segments": None,
                "milliseconds": each.outcome.milliseconds,
                "occurred_at": now,
            }
            for each in ended
        ]
        session.execute(sa.insert(NotificationAttempt), rows)


def of_message(session: Session, message_id: UUID) -> list[AttemptView]:
    """Return what was tried for a message, the first first."""
    return _views(session, NotificationAttempt.message_id == message_id)


def of_member(session: Session, member_id: UUID, since: datetime) -> list[AttemptView]:
    """Return what was tried to reach a member since an instant, the first first."""
    return _views(session, sa.and_(NotificationAttempt.member_id == member_id, NotificationAttempt.occurred_at >= since))


def _views(session: Session, wanted: sa.ColumnElement[bool]) -> list[AttemptView]:
    statement = (
        sa.select(NotificationAttempt).where(wanted).order_by(NotificationAttempt.occurred_at, NotificationAttempt.id).limit(_MOST_SHOWN)
    )
    return [
        AttemptView(
            row.message_id, row.channel, row.provider, row.attempt, row.outcome, row.reason, row.segments, row.milliseconds, row.occurred_at
        )
        for row in session.scalars(statement)
    ]


def health(session: Session, since: datetime) -> dict[str, ProviderHealth]:
    """Return provider → how it did since an instant."""
    called = sa.and_(
        NotificationAttempt.occurred_at >= since, NotificationAttempt.outcome.not_in(("skipped", "decided", "delivered", "undelivered"))
    )
    rows = session.execute(
        sa.select(
            NotificationAttempt.provider,
            NotificationAttempt.outcome,
            sa.func.count(),
            sa.func.sum(NotificationAttempt.milliseconds),
            sa.func.sum(NotificationAttempt.segments),
            sa.func.max(NotificationAttempt.occurred_at),
            sa.func.max(NotificationAttempt.reason),
        )
        .where(called)
        .group_by(NotificationAttempt.provider, NotificationAttempt.outcome)
    ).all()
    found: dict[str, ProviderHealth] = {}
    for provider in {row[0] for row in rows}:
        mine = {row[1]: row for row in rows if row[0] == provider}
        calls = sum(int(row[2]) for row in mine.values())
        waited = sum(int(row[3] or 0) for row in mine.values())
        bad = [row for outcome, row in mine.items() if outcome != "sent"]
        last = max(bad, key=lambda row: row[5]) if bad else None
        found[provider] = ProviderHealth(
            provider=provider,
            outcomes={outcome: int(row[2]) for outcome, row in mine.items()},
            milliseconds=waited // calls if calls else None,
            segments=int(mine["sent"][4] or 0) if "sent" in mine else 0,
            sent_at=mine["sent"][5] if "sent" in mine else None,
            failed_at=last[5] if last is not None else None,
            failed_reason=last[6] if last is not None else None,
        )
    return found
