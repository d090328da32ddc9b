"""The tables of coupons. Private to this domain's service and queries."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.coupons.errors import ClaimLimitReachedError, SoldOutError, SourceConflictError, TemplateCodeTakenError
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

    __table_args__ = table_args(
        sa.UniqueConstraint("template_id", "member_id", "slot"),
        sa.UniqueConstraint("source_namespace", "source_key"),
        sa.CheckConstraint("state IN ('issued','locked','redeemed','expired','voided')", name="state_known"),
        sa.CheckConstraint("state NOT IN ('locked','redeemed') OR (channel IS NOT NULL AND external_no IS NOT NULL)", name="order_named"),
        sa.Index("ix_coupons_wallet", "member_id", "state", "issued_at", "id"),
        sa.Index("ix_coupons_ending", "state", "valid_until"),
        sa.Index("ix_coupons_locked", "state", "locked_until"),
        sa.Index("ix_coupons_order", "channel", "external_no"),
        sa.Index("ix_coupons_template", "template_id", "issued_at", "id"),
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
    )


append_only(CouponTransition)

register_constraint("uq_coupon_templates_code", TemplateCodeTakenError)
register_constraint("ck_coupon_templates_within_stock", SoldOutError)
register_constraint("ck_coupon_templates_within_budget", SoldOutError)
register_constraint("uq_coupons_template_id_member_id_slot", ClaimLimitReachedError)
register_constraint("uq_coupons_source_namespace_source_key", SourceConflictError)
