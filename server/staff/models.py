"""Tables of staff accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, register_constraint, table_args
from server.staff.errors import EmailTakenError, OwnRequestError


class StaffAccount(Base):
    """One person's account. ``uniquifier`` names its sessions: a new one ends them all."""

    __tablename__ = "staff_accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(191))
    name: Mapped[str] = mapped_column(sa.String(60))
    password_hash: Mapped[str] = mapped_column(sa.String(191))
    active: Mapped[bool] = mapped_column(sa.Boolean(), default=True)
    uniquifier: Mapped[str] = mapped_column(sa.String(64))
    totp_secret: Mapped[str | None] = mapped_column(sa.String(255))
    totp_confirmed_at: Mapped[datetime | None]
    totp_last_step: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]
    last_login_address: Mapped[str | None] = mapped_column(sa.String(64))
    created_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("email"),
        sa.UniqueConstraint("uniquifier"),
        sa.CheckConstraint("failures >= 0", name="failures_not_negative"),
        sa.Index("ix_staff_accounts_created", "created_at", "id"),
    )


class StaffRole(Base):
    """A role that an account holds; what the role allows is in ``permissions``."""

    __tablename__ = "staff_roles"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff_accounts.id"))
    role: Mapped[str] = mapped_column(sa.String(32))

    __table_args__ = table_args(sa.UniqueConstraint("staff_id", "role"))


class StaffSession(Base):
    """One browser that an account is signed in with."""

    __tablename__ = "staff_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff_accounts.id"))
    device: Mapped[str] = mapped_column(sa.String(255))
    address: Mapped[str] = mapped_column(sa.String(64))
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("seen_at >= began_at", name="seen_after_began"),
        sa.Index("ix_staff_sessions_seen", "staff_id", "seen_at"),
    )


class StaffRecoveryCode(Base):
    """A way in when the phone is lost: works once, stored hashed."""

    __tablename__ = "staff_recovery_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff_accounts.id"))
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    spent_at: Mapped[datetime | None]

    __table_args__ = table_args(sa.UniqueConstraint("staff_id", "code_hash"))


class StaffApproval(Base):
    """Something one person asked for and another has to decide. What was asked (``kind``, ``payload``) is never changed afterwards."""

    __tablename__ = "staff_approvals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(191))
    kind: Mapped[str] = mapped_column(sa.String(40))
    subject_type: Mapped[str] = mapped_column(sa.String(32))
    subject_id: Mapped[str] = mapped_column(sa.String(64))
    payload: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(sa.String(255))
    state: Mapped[str] = mapped_column(sa.String(16))
    asked_kind: Mapped[str] = mapped_column(sa.String(16))
    asked_ref: Mapped[str] = mapped_column(sa.String(80))
    asked_name: Mapped[str] = mapped_column(sa.String(120))
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    decided_kind: Mapped[str | None] = mapped_column(sa.String(16))
    decided_ref: Mapped[str | None] = mapped_column(sa.String(80))
    decided_name: Mapped[str | None] = mapped_column(sa.String(120))
    decided_at: Mapped[datetime | None]
    decision_reason: Mapped[str | None] = mapped_column(sa.String(255))
    outcome: Mapped[dict[str, Any] | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("key"),
        sa.CheckConstraint("state IN ('pending','approved','refused','withdrawn','expired')", name="state_known"),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided_when_closed"),
        # Four eyes: who decides is never who asked.
        sa.CheckConstraint("state NOT IN ('approved','refused') OR decided_ref <> asked_ref", name="four_eyes"),
        sa.CheckConstraint("state NOT IN ('approved','refused') OR decided_kind = 'staff'", name="decided_by_staff"),
        sa.CheckConstraint("expires_at > asked_at", name="expires_after_asked"),
        sa.Index("ix_staff_approvals_queue", "state", "asked_at", "id"),
        sa.Index("ix_staff_approvals_due", "state", "expires_at"),
        sa.Index("ix_staff_approvals_subject", "subject_type", "subject_id", "state"),
    )


register_constraint("uq_staff_accounts_email", EmailTakenError)
register_constraint("ck_staff_approvals_four_eyes", OwnRequestError)
