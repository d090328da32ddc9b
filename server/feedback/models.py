"""Tables of the service desk. Private to this domain's service and queries."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.feedback.errors import AlreadyRatedError, CannedReplyTitleTakenError
from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args


class Ticket(Base):
    """One matter of one member. ``version`` grows with every change; ``next_due_at`` is the earliest open deadline."""

    __tablename__ = "tickets"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ticket_no: Mapped[str] = mapped_column(sa.String(24), unique=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    channel: Mapped[str] = mapped_column(sa.String(16))
    category: Mapped[str] = mapped_column(sa.String(16))
    priority: Mapped[str] = mapped_column(sa.String(8))
    state: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int] = mapped_column(sa.Integer)
    round: Mapped[int] = mapped_column(sa.Integer)
    order_no: Mapped[str | None] = mapped_column(sa.String(40), index=True)
    assignee_id: Mapped[UUID | None]
    excerpt: Mapped[str] = mapped_column(sa.String(120))
    needs_review: Mapped[bool]
    close_reason: Mapped[str | None] = mapped_column(sa.String(16))
    next_due_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('open','assigned','working','answered','closed','reopened')", name="state_known"),
        sa.CheckConstraint("priority IN ('low','normal','high','urgent')", name="priority_known"),
        sa.CheckConstraint("category IN ('product','service','logistics','payment','suggestion','praise','other')", name="category_known"),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_instant"),
        sa.CheckConstraint("version > 0 AND round > 0", name="counts_positive"),
        sa.Index("ix_tickets_member_opened", "member_id", "opened_at", "id"),
        sa.Index("ix_tickets_state_updated", "state", "updated_at", "id"),
        sa.Index("ix_tickets_assignee_state", "assignee_id", "state", "updated_at"),
        sa.Index("ix_tickets_due", "next_due_at"),
        sa.Index("ix_tickets_opened", "opened_at", "id"),
    )


class TicketMessage(Base):
    """What somebody wrote: the member, staff in public, or staff among themselves."""

    __tablename__ = "ticket_messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ticket_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tickets.id"))
    author_kind: Mapped[str] = mapped_column(sa.String(8))
    author_id: Mapped[UUID | None]
    author_name: Mapped[str | None] = mapped_column(sa.String(120))
    internal: Mapped[bool]
    content: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("author_kind IN ('member','staff','partner','system')", name="author_known"),
        sa.Index("ix_ticket_messages_ticket", "ticket_id", "created_at", "id"),
    )


class TicketAttachment(Base):
    """A picture that belongs to a message."""

    __tablename__ = "ticket_attachments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(sa.ForeignKey("ticket_messages.id"))
    upload_id: Mapped[UUID] = mapped_column(sa.ForeignKey("uploads.id"))
    place: Mapped[int] = mapped_column(sa.SmallInteger)

    __table_args__ = table_args(sa.UniqueConstraint("message_id", "place"))


class TicketTransition(Base):
    """One move of a ticket's state."""

    __tablename__ = "ticket_transitions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ticket_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tickets.id"))
    version: Mapped[int] = mapped_column(sa.Integer)
    from_state: Mapped[str | None] = mapped_column(sa.String(16))
    to_state: Mapped[str] = mapped_column(sa.String(16))
    actor_kind: Mapped[str] = mapped_column(sa.String(8))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    actor_name: Mapped[str | None] = mapped_column(sa.String(120))
    reason: Mapped[str | None] = mapped_column(sa.String(500))
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(sa.UniqueConstraint("ticket_id", "version"))


class TicketDeadline(Base):
    """What has to be done by when, once for each kind and round."""

    __tablename__ = "ticket_deadlines"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ticket_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tickets.id"))
    kind: Mapped[str] = mapped_column(sa.String(16))
    round: Mapped[int] = mapped_column(sa.Integer)
    state: Mapped[str] = mapped_column(sa.String(12))
    started_at: Mapped[datetime]
    due_at: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    paused_seconds: Mapped[int]
    done_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("ticket_id", "kind", "round"),
        sa.CheckConstraint("kind IN ('first_response','resolution')", name="kind_known"),
        sa.CheckConstraint("state IN ('open','paused','met','breached','cancelled')", name="state_known"),
        sa.CheckConstraint("(state = 'paused') = (paused_at IS NOT NULL)", name="paused_has_instant"),
        sa.Index("ix_ticket_deadlines_due", "state", "due_at"),
    )


class TicketRating(Base):
    """What the member thinks of one round."""

    __tablename__ = "ticket_ratings"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ticket_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tickets.id"))
    round: Mapped[int] = mapped_column(sa.Integer)
    score: Mapped[int] = mapped_column(sa.SmallInteger)
    comment: Mapped[str | None] = mapped_column(sa.String(500))
    rated_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = table_args(
        sa.UniqueConstraint("ticket_id", "round"),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score_in_range"),
    )


class CannedReply(Base):
    """A text that staff send often."""

    __tablename__ = "canned_replies"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(80), unique=True)
    category: Mapped[str | None] = mapped_column(sa.String(16))
    content: Mapped[str] = mapped_column(sa.Text)
    active: Mapped[bool]
    updated_at: Mapped[datetime]

    __table_args__ = table_args()


class DeskSetting(Base):
    """One number the brand decides; what has no row has its default."""

    __tablename__ = "feedback_settings"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    number: Mapped[int] = mapped_column(sa.Integer)
    updated_at: Mapped[datetime]

    __table_args__ = table_args()


append_only(TicketTransition)
register_constraint("uq_ticket_ratings_ticket_id_round", AlreadyRatedError)
register_constraint("uq_canned_replies_title", CannedReplyTitleTakenError)
