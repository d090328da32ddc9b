"""Tables of members. Personal columns are sealed; what is searched has a blind index beside it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args
from server.members.errors import ChangePendingError, IdentityTakenError, PhoneTakenError


class Member(Base):
    """One person. ``phone_index`` is given up on merge and deletion, so it is unique among live members."""

    __tablename__ = "members"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(sa.String(16), default="active")
    status_reason: Mapped[str | None] = mapped_column(sa.String(500))
    merged_into: Mapped[UUID | None] = mapped_column(sa.ForeignKey("members.id"))
    nickname: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    gender: Mapped[str] = mapped_column(sa.String(8), default="unknown")
    city: Mapped[str | None] = mapped_column(sa.String(64))
    interests: Mapped[list[Any]]
    avatar_upload_id: Mapped[UUID | None]
    birthday_calendar: Mapped[str | None] = mapped_column(sa.String(8))
    birthday_month: Mapped[int | None] = mapped_column(sa.SmallInteger)
    birthday_day: Mapped[int | None] = mapped_column(sa.SmallInteger)
    birthday_year: Mapped[int | None] = mapped_column(sa.SmallInteger)
    phone_sealed: Mapped[str | None] = mapped_column(sa.String(255))
    phone_index: Mapped[str | None] = mapped_column(sa.String(80), unique=True)
    phone_tail_index: Mapped[str | None] = mapped_column(sa.String(80), index=True)
    phone_bound_at: Mapped[datetime | None]
    invite_code: Mapped[str | None] = mapped_column(sa.String(40))
    joined_via: Mapped[str] = mapped_column(sa.String(24))
    joined_at: Mapped[datetime]
    profile_completed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("status IN ('active','frozen','deleting','deleted','merged')", name="status_known"),
        sa.CheckConstraint("gender IN ('unknown','male','female')", name="gender_known"),
        sa.CheckConstraint("(status = 'merged') = (merged_into IS NOT NULL)", name="merged_names_survivor"),
        sa.CheckConstraint("(phone_sealed IS NULL) = (phone_index IS NULL)", name="phone_whole"),
        sa.CheckConstraint(
            "(birthday_calendar IS NULL AND birthday_month IS NULL AND birthday_day IS NULL) OR "
            "(birthday_calendar IN ('solar','lunar') AND birthday_month BETWEEN 1 AND 12 AND birthday_day BETWEEN 1 AND 31)",
            name="birthday_whole",
        ),
        sa.Index("ix_members_birthday", "birthday_calendar", "birthday_month", "birthday_day", "id"),
        sa.Index("ix_members_joined", "joined_at", "id"),
    )


class MemberIdentity(Base):
    """Who a member is in one channel: ``wechat:<appid>``, ``wechat_union``, a shop platform, a till."""

    __tablename__ = "member_identities"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    channel: Mapped[str] = mapped_column(sa.String(48))
    external_index: Mapped[str] = mapped_column(sa.String(80))
    external_sealed: Mapped[str] = mapped_column(sa.String(400))
    created_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("external_index", "channel"),
        sa.Index("ix_member_identities_member", "member_id", "channel"),
    )


class MemberSession(Base):
    """One log-in: a family of rotating tokens of which only hashes are stored."""

    __tablename__ = "member_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    access_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    access_expires_at: Mapped[datetime]
    refresh_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    refresh_expires_at: Mapped[datetime]
    client: Mapped[str | None] = mapped_column(sa.String(160))
    network: Mapped[str | None] = mapped_column(sa.String(64))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_because: Mapped[str | None] = mapped_column(sa.String(24))

    __table_args__ = table_args(sa.Index("ix_member_sessions_member", "member_id", "revoked_at"))


class UsedRefreshToken(Base):
    """A refresh token that was rotated away; seeing it again means it was stolen or sent twice."""

    __tablename__ = "member_used_refresh_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(sa.ForeignKey("member_sessions.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    used_at: Mapped[datetime] = mapped_column(index=True)


class MemberConsent(Base):
    """One declaration: a purpose granted or withdrawn under a version of the policy. The latest one counts."""

    __tablename__ = "member_consents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    purpose: Mapped[str] = mapped_column(sa.String(32))
    policy_version: Mapped[str] = mapped_column(sa.String(32))
    granted: Mapped[bool]
    source: Mapped[str] = mapped_column(sa.String(24))
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(sa.Index("ix_member_consents_member", "member_id", "purpose", "occurred_at", "id"))


class MemberChangeRequest(Base):
    """A sensitive change that staff decide. ``open_slot`` holds at most one open request for each member and kind."""

    __tablename__ = "member_change_requests"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(sa.String(16))
    open_slot: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    reason: Mapped[str | None] = mapped_column(sa.String(500))
    decided_by: Mapped[str | None] = mapped_column(sa.String(64))
    decided_at: Mapped[datetime | None]
    requested_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('pending','approved','refused')", name="state_known"),
        sa.CheckConstraint("(state = 'pending') = (open_slot IS NOT NULL)", name="open_while_pending"),
        sa.Index("ix_member_change_requests_state", "state", "requested_at"),
    )


class MemberMerge(Base):
    """The journal of merges: which record went into which, by whom, why, and what it carried."""

    __tablename__ = "member_merges"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    from_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), unique=True)
    into_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    reason: Mapped[str] = mapped_column(sa.String(500))
    carried: Mapped[dict[str, Any]]
    merged_at: Mapped[datetime]

    __table_args__ = table_args(sa.Index("ix_member_merges_newest", "merged_at", "id"))


class MemberDeletion(Base):
    """A member's wish to be forgotten. ``open_slot`` holds at most one that can still be taken back.

    ``attempt_at`` is when the job looks at it next: at the end of the cooling period, then once more for what was under way.
    """

    __tablename__ = "member_deletions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    open_slot: Mapped[UUID | None] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(sa.String(12))
    channel: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str | None] = mapped_column(sa.String(500))
    status_before: Mapped[str] = mapped_column(sa.String(16))
    held_by: Mapped[str | None] = mapped_column(sa.String(16))
    requested_at: Mapped[datetime]
    due_at: Mapped[datetime]
    deadline_on: Mapped[date] = mapped_column(sa.Date)
    attempt_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('waiting','cancelled','erased','done')", name="state_known"),
        sa.CheckConstraint("(state = 'waiting') = (open_slot IS NOT NULL)", name="open_while_waiting"),
        sa.CheckConstraint("(state IN ('waiting','erased')) = (attempt_at IS NOT NULL)", name="attempted_until_done"),
        sa.CheckConstraint("(state IN ('erased','done')) = (erased_at IS NOT NULL)", name="erased_has_instant"),
        sa.Index("ix_member_deletions_due", "attempt_at", "id"),
        sa.Index("ix_member_deletions_newest", "requested_at", "id"),
    )


class MemberWithdrawal(Base):
    """What a member withdrew in WeChat's settings and what was deleted for it. It proves the deletion and holds nothing personal.

    ``codes`` are WeChat's, ``duties`` what follows from them here, ``held`` what something under way still needs.
    """

    __tablename__ = "member_withdrawals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    push_key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    event: Mapped[str] = mapped_column(sa.String(64))
    codes: Mapped[list[Any]]
    duties: Mapped[list[Any]]
    held: Mapped[list[Any]]
    occurred_at: Mapped[datetime]
    taken_at: Mapped[datetime]
    attempt_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("(attempt_at IS NULL) = (done_at IS NOT NULL)", name="attempted_until_done"),
        sa.Index("ix_member_withdrawals_due", "attempt_at", "id"),
        sa.Index("ix_member_withdrawals_member", "member_id", "occurred_at"),
    )


append_only(MemberConsent)
append_only(MemberMerge)

register_constraint("uq_members_phone_index", PhoneTakenError)
register_constraint("uq_member_identities_external_index_channel", IdentityTakenError)
register_constraint("uq_member_change_requests_open_slot", ChangePendingError)


class MemberEmail(Base):
    """A member's e-mail address, once a code sent to it came back. One address may be several members': a family shares it."""

    __tablename__ = "member_emails"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), unique=True)
    address_sealed: Mapped[str] = mapped_column(sa.String(500))
    address_index: Mapped[str] = mapped_column(sa.String(80), index=True)
    verified_at: Mapped[datetime]

    __table_args__ = table_args()


class MemberEmailCode(Base):
    """An address a member wants to use, and the code that proves it. ``code_sealed`` goes once it was sent, ``code_hash`` stays.

    ``sent_in_window`` and ``window_until`` bound how many mails a member can have sent to strangers.
    """

    __tablename__ = "member_email_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), unique=True)
    address_sealed: Mapped[str] = mapped_column(sa.String(500))
    code_sealed: Mapped[str | None] = mapped_column(sa.String(255))
    code_hash: Mapped[str] = mapped_column(sa.String(80))
    serial: Mapped[int]
    wrong: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]
    sent_in_window: Mapped[int] = mapped_column(default=0)
    window_until: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("wrong >= 0", name="wrong_positive"),
        sa.CheckConstraint("sent_in_window >= 0", name="sent_positive"),
    )
