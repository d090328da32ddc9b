"""Tables of staff accounts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, register_constraint, table_args
from server.staff.errors import EmailTakenError


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


class StaffRecoveryCode(Base):
    """A way in when the phone is lost: works once, stored hashed."""

    __tablename__ = "staff_recovery_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff_accounts.id"))
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    spent_at: Mapped[datetime | None]

    __table_args__ = table_args(sa.UniqueConstraint("staff_id", "code_hash"))


register_constraint("uq_staff_accounts_email", EmailTakenError)
