"""Tables of content checks. Private to this domain's service and queries."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, table_args


class ContentCheck(Base):
    """One check of one text or picture.

    ``open_slot`` is the subject while the check is open, so that a subject has one open check; ``content`` is a text's copy, for those
    who decide, and is blanked once nobody needs it.
    """

    __tablename__ = "content_checks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(sa.String(20))
    subject_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(sa.String(8))
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    content: Mapped[str | None] = mapped_column(sa.Text)
    upload_id: Mapped[UUID | None]
    state: Mapped[str] = mapped_column(sa.String(12))
    version: Mapped[int] = mapped_column(default=0)
    cause: Mapped[str | None] = mapped_column(sa.String(16))
    label: Mapped[int | None]
    asks: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    open_slot: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(sa.String(80))
    reason: Mapped[str | None] = mapped_column(sa.String(300))

    __table_args__ = table_args(
        sa.CheckConstraint("subject IN ('nickname','avatar','ticket_message','ticket_rating','ticket_image')", name="subject_known"),
        sa.CheckConstraint("state IN ('waiting','held','blocked','passed','allowed','refused','dropped')", name="state_known"),
        sa.CheckConstraint("(kind = 'image') = (upload_id IS NOT NULL)", name="image_has_upload"),
        sa.CheckConstraint("kind IN ('text','image')", name="kind_known"),
        sa.CheckConstraint("(state IN ('waiting','held')) = (open_slot IS NOT NULL)", name="open_has_slot"),
        sa.CheckConstraint("(state IN ('waiting','held')) = (decided_at IS NULL)", name="ended_has_instant"),
        sa.CheckConstraint("next_at IS NULL OR state = 'waiting'", name="only_waiting_is_due"),
        sa.CheckConstraint("state <> 'refused' OR reason IS NOT NULL", name="refused_has_reason"),
        sa.Index("ix_content_checks_due", "state", "next_at"),
        sa.Index("ix_content_checks_list", "state", "created_at", "id"),
        sa.Index("ix_content_checks_subject", "subject_id", "subject"),
        sa.Index("ix_content_checks_member", "member_id"),
    )


class ContentAnswer(Base):
    """One call WeChat took in about a picture, by its trace number, and what it answered.

    Written by whoever comes first: the call's end or the push that answers it. The key makes the second see the first.
    """

    __tablename__ = "content_answers"

    trace_id: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    check_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("content_checks.id", ondelete="CASCADE"), index=True)
    asked_at: Mapped[datetime | None]
    suggestion: Mapped[str | None] = mapped_column(sa.String(16))
    label: Mapped[int | None]
    answered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = table_args(
        sa.CheckConstraint("(check_id IS NULL) = (asked_at IS NULL)", name="asked_has_check"),
        sa.CheckConstraint("(suggestion IS NULL) = (answered_at IS NULL)", name="answered_has_word"),
        sa.CheckConstraint("check_id IS NOT NULL OR suggestion IS NOT NULL", name="says_something"),
    )
