"""The tables of coupons. Private to this domain's service and queries."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.coupons.errors import (
    ClaimLimitReachedError,
    CodeWordTakenError,
    RecallStateError,
    SoldOutError,
    SourceConflictError,
    TemplateCodeTakenError,
)
from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args


class CouponTemplate(Base):
    """What coupons are made from. ``issued`` and ``budget_committed_fen`` move by conditional UPDATE only."""

    __tablename__ = "coupon_templates"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(64), unique=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    kind: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int] = mapped_column(default=1)
    terms: Mapped[dict[str, Any]]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    valid_days: Mapped[int | None]
    starts_after_days: Mapped[int] = mapped_column(default=0)
    stock: Mapped[int | None]
    issued: Mapped[int] = mapped_column(default=0)
    daily_stock: Mapped[int | None]
    day: Mapped[date | None]
    day_issued: Mapped[int] = mapped_column(default=0)
    budget_fen: Mapped[int | None]
    budget_committed_fen: Mapped[int] = mapped_column(default=0)
    per_member: Mapped[int | None]
    per_member_daily: Mapped[int | None]
    claim_from: Mapped[datetime | None]
    claim_until: Mapped[datetime | None]
    claim_centre: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("issued >= 0 AND (stock IS NULL OR issued <= stock)", name="within_stock"),
        sa.CheckConstraint(
            "budget_committed_fen >= 0 AND (budget_fen IS NULL OR budget_committed_fen <= budget_fen)", name="within_budget"
        ),
        sa.CheckConstraint("state IN ('draft','published','paused')", name="state_known"),
        sa.Index("ix_coupon_templates_open", "state", "claim_centre", "created_at"),
        sa.Index("ix_coupon_templates_newest", "created_at", "id"),
    )


class Coupon(Base):
    """One coupon in one wallet, with the terms as they stood when it was issued."""

    __tablename__ = "coupons"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(20), unique=True)
    template_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_templates.id"))
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    slot: Mapped[int | None]
    state: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int] = mapped_column(default=1)
    terms: Mapped[dict[str, Any]]
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime]
    issued_at: Mapped[datetime]
    issued_day: Mapped[date]
    committed_fen: Mapped[int] = mapped_column(default=0)
    source_namespace: Mapped[str] = mapped_column(sa.String(60))
    source_key: Mapped[str] = mapped_column(sa.String(120))
    channel: Mapped[str | None] = mapped_column(sa.String(64))
    external_no: Mapped[str | None] = mapped_column(sa.String(64))
    locked_until: Mapped[datetime | None]
    redeemed_at: Mapped[datetime | None]
    discount_fen: Mapped[int | None]
    sales_fen: Mapped[int | None]
    reminded_at: Mapped[datetime | None]
    # When a late return moved its end; it is moved once, or whoever buys and returns would keep a coupon for ever.
    grace_given_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("template_id", "member_id", "slot"),
        sa.UniqueConstraint("source_namespace", "source_key"),
        sa.CheckConstraint("state IN ('issued','locked','redeemed','expired','voided','offered','given')", name="state_known"),
        sa.CheckConstraint("state NOT IN ('locked','redeemed') OR (channel IS NOT NULL AND external_no IS NOT NULL)", name="order_named"),
        sa.Index("ix_coupons_wallet", "member_id", "state", "issued_at", "id"),
        sa.Index("ix_coupons_ending", "state", "valid_until"),
        sa.Index("ix_coupons_locked", "state", "locked_until"),
        sa.Index("ix_coupons_order", "channel", "external_no"),
        sa.Index("ix_coupons_template", "template_id", "issued_at", "id"),
        # What the report counts lies in the index, so that it need not read the terms that make the rows wide.
        sa.Index("ix_coupons_issued_day", "issued_day", "template_id", "source_namespace", "state", "valid_until"),
    )


class CouponTransition(Base):
    """One change of a coupon's state: who, when, why and for which order or refund."""

    __tablename__ = "coupon_transitions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    coupon_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupons.id"))
    event: Mapped[str] = mapped_column(sa.String(16))
    from_state: Mapped[str | None] = mapped_column(sa.String(16))
    to_state: Mapped[str] = mapped_column(sa.String(16))
    channel: Mapped[str | None] = mapped_column(sa.String(64))
    external_no: Mapped[str | None] = mapped_column(sa.String(64))
    refund_id: Mapped[str | None] = mapped_column(sa.String(120))
    discount_fen: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("coupon_id", "refund_id"),
        sa.Index("ix_coupon_transitions_coupon", "coupon_id", "occurred_at"),
        sa.Index("ix_coupon_transitions_event", "event", "occurred_at"),
    )


class CouponRedemption(Base):
    """A coupon that stands redeemed, with what reports sum up; a return takes the row away.

    ``place`` counts the coupons of one order: it is UNIQUE, so those who redeem the first ones at once come one after the other, and
    later ones wait for the rows of those before; whoever is last sees all that share the order's sales.
    """

    __tablename__ = "coupon_redemptions"

    coupon_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupons.id"), primary_key=True)
    template_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_templates.id"))
    source_namespace: Mapped[str] = mapped_column(sa.String(60))
    channel: Mapped[str] = mapped_column(sa.String(64))
    external_no: Mapped[str] = mapped_column(sa.String(64))
    place: Mapped[int]
    # A store's code, empty for an order that is known to name none, NULL while nobody told.
    store_code: Mapped[str | None] = mapped_column(sa.String(64))
    day: Mapped[date]
    # What it took off, or what its gift was worth; NULL when nobody told.
    cost_fen: Mapped[int | None]
    sales_fen: Mapped[int | None]
    part_fen: Mapped[int]

    __table_args__ = table_args(
        sa.UniqueConstraint("channel", "external_no", "place"),
        sa.CheckConstraint("place >= 1 AND part_fen >= 0", name="counts_positive"),
        sa.Index("ix_coupon_redemptions_day", "day", "template_id"),
        sa.Index("ix_coupon_redemptions_template", "template_id", "day"),
    )


class CouponCodeBatch(Base):
    """Codes of one template: many for one claim each, or one word for all. ``claimed`` moves by conditional UPDATE only."""

    __tablename__ = "coupon_code_batches"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    template_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_templates.id"))
    kind: Mapped[str] = mapped_column(sa.String(8))
    state: Mapped[str] = mapped_column(sa.String(12))
    size: Mapped[int | None]
    made: Mapped[int] = mapped_column(default=0)
    claimed: Mapped[int] = mapped_column(default=0)
    word: Mapped[str | None] = mapped_column(sa.String(32), unique=True)
    per_member: Mapped[int | None]
    claim_from: Mapped[datetime | None]
    claim_until: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(sa.String(300))
    seed_sealed: Mapped[str | None] = mapped_column(sa.String(191))
    file_until: Mapped[datetime | None]
    downloads: Mapped[int] = mapped_column(default=0)
    transfer_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(120))
    stopped_at: Mapped[datetime | None]
    stopped_by: Mapped[str | None] = mapped_column(sa.String(120))
    stopped_why: Mapped[str | None] = mapped_column(sa.String(300))

    __table_args__ = table_args(
        sa.CheckConstraint("kind IN ('unique','shared')", name="kind_known"),
        sa.CheckConstraint("state IN ('making','open','stopped')", name="state_known"),
        sa.CheckConstraint("(kind = 'shared') = (word IS NOT NULL)", name="shared_has_word"),
        sa.CheckConstraint("kind = 'shared' OR (size IS NOT NULL AND made <= size)", name="made_within_size"),
        sa.CheckConstraint("claimed >= 0 AND (size IS NULL OR claimed <= size)", name="claimed_within_size"),
        sa.CheckConstraint("(state = 'stopped') = (stopped_at IS NOT NULL)", name="stopped_has_instant"),
        sa.Index("ix_coupon_code_batches_newest", "created_at", "id"),
        sa.Index("ix_coupon_code_batches_template", "template_id", "created_at"),
        sa.Index("ix_coupon_code_batches_file", "file_until"),
    )


class CouponCode(Base):
    """One code, as a keyed hash only. Who claimed it is told by the coupon whose source it is."""

    __tablename__ = "coupon_codes"

    code_hash: Mapped[str] = mapped_column(sa.String(72), primary_key=True)
    batch_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_code_batches.id"))
    line: Mapped[int]

    __table_args__ = table_args(sa.UniqueConstraint("batch_id", "line"))


class CouponCodeTry(Base):
    """A wrong code that a member typed: the slots of a day are the limit."""

    __tablename__ = "coupon_code_tries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    business_day: Mapped[date]
    slot: Mapped[int]
    tried_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "business_day", "slot"),
        sa.CheckConstraint("slot BETWEEN 1 AND 10", name="slot_within_day"),
        sa.Index("ix_coupon_code_tries_tried_at", "tried_at"),
    )


class CouponIssueFile(Base):
    """A file of members to issue to, read and waiting, being issued or done. Its rows are never changed."""

    __tablename__ = "coupon_issue_files"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    template_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_templates.id"))
    name: Mapped[str] = mapped_column(sa.String(191))
    state: Mapped[str] = mapped_column(sa.String(12))
    members: Mapped[int]
    done_line: Mapped[int]
    issued: Mapped[int]
    refused: Mapped[int]
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    transfer_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(120))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    finished_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('staged','running','done')", name="state_known"),
        sa.CheckConstraint("issued >= 0 AND issued <= members", name="issued_within_members"),
        sa.CheckConstraint("(state = 'done') = (finished_at IS NOT NULL)", name="done_has_instant"),
        sa.CheckConstraint("state = 'staged' OR (reason IS NOT NULL AND transfer_id IS NOT NULL)", name="started_with_reason"),
        sa.Index("ix_coupon_issue_files_newest", "created_at", "id"),
        sa.Index("ix_coupon_issue_files_template", "template_id", "created_at"),
    )


class CouponIssueRow(Base):
    """One member of a file."""

    __tablename__ = "coupon_issue_rows"

    file_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_issue_files.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))

    __table_args__ = table_args(sa.UniqueConstraint("file_id", "member_id"), sa.Index("ix_coupon_issue_rows_member_id", "member_id"))


class CouponIssueRefusal(Base):
    """One row of a file that gave no coupon, and the code of why."""

    __tablename__ = "coupon_issue_refusals"

    file_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_issue_files.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    column_name: Mapped[str] = mapped_column(sa.String(40))
    reason: Mapped[str] = mapped_column(sa.String(40))

    __table_args__ = table_args()


class CouponRecall(Base):
    """Taking back what a file gave. ``begun_slot`` is the file's id from its start on: one recall of a file ever runs."""

    __tablename__ = "coupon_recalls"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    file_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_issue_files.id"))
    begun_slot: Mapped[UUID | None] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str] = mapped_column(sa.String(300))
    done_line: Mapped[int]
    voided: Mapped[int]
    kept: Mapped[int]
    approval_id: Mapped[UUID | None]
    transfer_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(120))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    finished_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('asked','running','done')", name="state_known"),
        # Nothing is taken back that nobody was asked about.
        sa.CheckConstraint("(state = 'asked') = (begun_slot IS NULL)", name="begun_has_slot"),
        sa.CheckConstraint("state = 'asked' OR (approval_id IS NOT NULL AND transfer_id IS NOT NULL)", name="asked_first"),
        sa.CheckConstraint("begun_slot IS NULL OR begun_slot = file_id", name="slot_is_file"),
        sa.CheckConstraint("(state = 'done') = (finished_at IS NOT NULL)", name="done_has_instant"),
        sa.Index("ix_coupon_recalls_file", "file_id", "created_at"),
    )


class CouponGift(Base):
    """One offer of a coupon to a friend. ``open_slot`` is the coupon's id while it is open: at most one offer of a coupon is."""

    __tablename__ = "coupon_gifts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    coupon_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupons.id"))
    open_slot: Mapped[UUID | None] = mapped_column(unique=True)
    token_hash: Mapped[str] = mapped_column(sa.String(72), unique=True)
    from_member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    to_member_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("members.id"))
    received_coupon_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("coupons.id"), unique=True)
    state: Mapped[str] = mapped_column(sa.String(12))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('open','accepted','refused','withdrawn','lapsed')", name="state_known"),
        sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended_has_instant"),
        sa.CheckConstraint("(state = 'open') = (open_slot IS NOT NULL)", name="open_has_slot"),
        sa.CheckConstraint("open_slot IS NULL OR open_slot = coupon_id", name="slot_is_coupon"),
        sa.CheckConstraint("(state = 'accepted') = (received_coupon_id IS NOT NULL)", name="accepted_has_coupon"),
        sa.CheckConstraint("state NOT IN ('accepted','refused') OR to_member_id IS NOT NULL", name="answered_by"),
        sa.Index("ix_coupon_gifts_coupon", "coupon_id", "created_at"),
        sa.Index("ix_coupon_gifts_from", "from_member_id", "created_at", "id"),
        sa.Index("ix_coupon_gifts_to", "to_member_id", "created_at", "id"),
        sa.Index("ix_coupon_gifts_ending", "state", "expires_at"),
    )


class CouponLimitAlarm(Base):
    """Of a template's stock or budget so much is gone that staff were told. A table of its own: claims never wait for it."""

    __tablename__ = "coupon_limit_alarms"

    template_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_templates.id"), primary_key=True)
    what: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    percent: Mapped[int]
    limit_value: Mapped[int]
    raised_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("what IN ('stock','budget')", name="what_known"),
        sa.CheckConstraint("percent IN (80,100)", name="percent_known"),
    )


for _model in (CouponTransition, CouponCode, CouponIssueRow, CouponIssueRefusal):
    append_only(_model)

register_constraint("uq_coupon_templates_code", TemplateCodeTakenError)
register_constraint("ck_coupon_templates_within_stock", SoldOutError)
register_constraint("ck_coupon_templates_within_budget", SoldOutError)
register_constraint("uq_coupons_template_id_member_id_slot", ClaimLimitReachedError)
register_constraint("uq_coupons_source_namespace_source_key", SourceConflictError)
register_constraint("uq_coupon_code_batches_word", CodeWordTakenError)
register_constraint("uq_coupon_recalls_begun_slot", RecallStateError)
