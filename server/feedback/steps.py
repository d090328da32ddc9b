"""What the verbs of ``service`` are made of: lock a ticket, change it from the version read, write messages, moves and news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.feedback.errors import TicketChangedError, TicketInvalidError, TicketNotFoundError, TransitionRefusedError
from server.feedback.models import Ticket, TicketAttachment, TicketMessage, TicketTransition
from server.feedback.rules import MAX_CONTENT_CHARS, MAX_UPLOADS, State, Step, next_state
from server.files import queries as files
from server.files import service as file_service
from server.kernel import outbox
from server.kernel.actors import Actor, MemberActor, PartnerActor, StaffActor
from server.kernel.clock import business_date
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.kernel.ids import dated_number, uuid7
from server.screening import service as screening
from server.screening.rules import PASSED, Screened, Subject

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

_TRIES = 5
_MAX_NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class Words:
    """A message before it is written."""

    content: str
    upload_ids: Sequence[UUID]


def words_of(content: str, upload_ids: Sequence[UUID]) -> Words:
    """Return a message that may be written.

    Raises:
        TicketInvalidError: empty, too long, or with too many pictures.
    """
    text = content.strip()
    if not text or len(text) > MAX_CONTENT_CHARS:
        raise TicketInvalidError(fields={"content": f"1–{MAX_CONTENT_CHARS}"})
    unique = list(dict.fromkeys(upload_ids))
    if len(unique) > MAX_UPLOADS:
        raise TicketInvalidError(fields={"upload_ids": f"≤ {MAX_UPLOADS}"})
    return Words(text, unique)


def one_of(kind: Any, value: str, field: str) -> Any:
    """Return the member of an enum, or say which field is wrong."""
    try:
        return kind(value)
    except ValueError as error:
        raise TicketInvalidError(fields={field: " | ".join(kind)}) from error


def insert_with_number(session: Session, values: dict[str, Any], now: datetime) -> str:
    """Insert a ticket under a number that is still free, and return the number."""
    day = f"{business_date(now, zone_of(session)):%y%m%d}"
    for _ in range(_TRIES):
        ticket_no = dated_number(day, "T")
        if insert_if_absent(session, Ticket, {**values, "ticket_no": ticket_no}):
            return ticket_no
    raise AssertionError  # pragma: no cover - five random numbers of eight digits all taken


def locked(session: Session, ticket_no: str, actor: Actor, expected_version: int | None) -> Ticket:
    """Return the ticket's row, locked and detached, if the actor may reach it and it is the version they saw."""
    statement = sa.select(Ticket).where(Ticket.ticket_no == ticket_no).with_for_update().execution_options(populate_existing=True)
    ticket = session.scalars(statement).one_or_none()
    if ticket is None or (isinstance(actor, MemberActor) and ticket.member_id != actor.member_id):
        raise TicketNotFoundError
    if expected_version is not None and ticket.version != expected_version:
        raise TicketChangedError
    session.expunge(ticket)
    return ticket


def change(
    session: Session, ticket: Ticket, step: Step | None, actor: Actor, now: datetime, reason: str | None = None, **values: Any
) -> None:
    """Compare and set: from the version and state that were read to the next."""
    state = State(ticket.state)
    target = state if step is None else next_state(state, step)
    if target is None:
        raise TransitionRefusedError(state=state.value)
    changed = update_where(
        session,
        sa.update(Ticket)
        .where(Ticket.id == ticket.id, Ticket.version == ticket.version, Ticket.state == ticket.state)
        .values(state=target.value, version=ticket.version + 1, updated_at=now, **values),
    )
    if changed != 1:
        raise TicketChangedError
    if target is not state:
        note_move(session, ticket.id, ticket.version + 1, state, target, actor, reason, now)


def note_move(
    session: Session,
    ticket_id: UUID,
    version: int,
    from_state: State | None,
    to_state: State,
    actor: Actor,
    reason: str | None,
    now: datetime,
) -> None:
    """Write one move of the state."""
    session.execute(
        sa.insert(TicketTransition).values(
            id=uuid7(),
            ticket_id=ticket_id,
            version=version,
            from_state=from_state.value if from_state else None,
            to_state=to_state.value,
            actor_kind=actor.kind,
            actor_ref=actor.ref[:64],
            actor_name=_name_of(actor),
            reason=reason,
            occurred_at=now,
        )
    )


def write_message(
    session: Session,
    ticket_id: UUID,
    member_id: UUID,
    words: Words,
    *,
    actor: Actor,
    internal: bool,
    screened: Screened = PASSED,
    now: datetime,
) -> UUID:
    """Write a message with its pictures and return its id; what a member wrote or showed is checked."""
    # Pictures of a member are the member's own whoever hands them in for them; staff use their own.
    owner = None if isinstance(actor, StaffActor) else member_id
    uploads = files.owned(session, owner, words.upload_ids)
    message_id = uuid7()
    session.execute(
        sa.insert(TicketMessage).values(
            id=message_id,
            ticket_id=ticket_id,
            author_kind=actor.kind,
            author_id=_id_of(actor),
            author_name=_name_of(actor),
            internal=internal,
            content=words.content,
            created_at=now,
        )
    )
    if uploads:
        rows = [
            {"id": uuid7(), "message_id": message_id, "upload_id": upload.id, "place": place}
            for place, upload in enumerate(uploads, start=1)
        ]
        session.execute(sa.insert(TicketAttachment), rows)
        file_service.attach(session, words.upload_ids, now=now)
    if isinstance(actor, MemberActor):
        screening.note_text(
            session, Subject.TICKET_MESSAGE, message_id, member_id=member_id, content=words.content, screened=screened, now=now
        )
        for upload in uploads:
            screening.note_image(session, Subject.TICKET_IMAGE, upload.id, member_id=member_id, now=now)
    return message_id


def _id_of(actor: Actor) -> UUID | None:
    if isinstance(actor, MemberActor):
        return actor.member_id
    if isinstance(actor, StaffActor):
        return actor.staff_id
    return actor.partner_id if isinstance(actor, PartnerActor) else None


def _name_of(actor: Actor) -> str | None:
    return actor.name[:_MAX_NAME_CHARS] if isinstance(actor, (StaffActor, PartnerActor)) else None


def tell(session: Session, topic: str, fact: str, ticket_id: UUID, member_id: UUID, version: int, now: datetime) -> None:
    """Publish one of this domain's topics."""
    outbox.publish(
        session,
        topic,
        key=f"{topic}:{fact}",
        aggregate_type="ticket",
        aggregate_id=ticket_id,
        payload={"ticket_id": str(ticket_id), "member_id": str(member_id)},
        now=now,
        version=version,
    )


def note_audit(
    session: Session,
    actor: Actor,
    action: str,
    ticket_no: str,
    now: datetime,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write what staff or a partner did to the trail."""
    audit.record(session, actor=actor, action=action, subject_type="ticket", subject_id=ticket_no, before=before, after=after, now=now)
