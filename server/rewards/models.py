"""The tables of rewards. Private to this domain's service and queries."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, register_version, table_args
from server.rewards.errors import (
    PaymentConflictError,
    RedemptionLimitReachedError,
    RewardCodeTakenError,
    SoldOutError,
)


class Reward(Base):
    """Something in the catalogue. ``issued`` and the day's count move by conditional UPDATE only."""

    __tablename__ = "rewards"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(64), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    name: Mapped[str] = mapped_column(sa.String(120))
    description: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int] = mapped_column(default=1)
    points: Mapped[int]
    cash_fen: Mapped[int] = mapped_column(default=0)
    tiers: Mapped[list[Any]]
    coupon_template_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("coupon_templates.id"))
    picture_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("uploads.id"))
    stock: Mapped[int | None]
    issued: Mapped[int] = mapped_column(default=0)
    daily_stock: Mapped[int | None]
    day: Mapped[date | None]
    day_issued: Mapped[int] = mapped_column(default=0)
    per_member: Mapped[int | None]
    per_member_daily: Mapped[int | None]
    on_sale_from: Mapped[datetime | None]
    on_sale_until: Mapped[datetime | None]
    pay_minutes: Mapped[int]
    voucher_days: Mapped[int | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("issued >= 0 AND (stock IS NULL OR issued <= stock)", name="within_stock"),
        sa.CheckConstraint("day_issued >= 0", name="day_not_negative"),
        sa.CheckConstraint("points > 0 AND cash_fen >= 0", name="price_positive"),
        sa.CheckConstraint("state IN ('draft','published','paused')", name="state_known"),
        sa.CheckConstraint("kind IN ('coupon','goods','service')", name="kind_known"),
        sa.CheckConstraint("(kind = 'coupon') = (coupon_template_id IS NOT NULL)", name="coupon_named"),
        sa.Index("ix_rewards_open", "state", "created_at"),
        sa.Index("ix_rewards_newest", "created_at", "id"),
    )


class RewardVersion(Base):
    """One version of a reward's terms; a redemption names the one it was made under."""

    __tablename__ = "reward_versions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reward_id: Mapped[UUID] = mapped_column(sa.ForeignKey("rewards.id"))
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(sa.UniqueConstraint("reward_id", "version"))


class RewardRedemption(Base):
    """One redemption: points of one member for one reward, at the price of its version. The receiver is sealed."""

    __tablename__ = "reward_redemptions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    redemption_no: Mapped[str] = mapped_column(sa.String(24), unique=True)
    reward_id: Mapped[UUID] = mapped_column(sa.ForeignKey("rewards.id"))
    reward_version: Mapped[int]
    reward_name: Mapped[str] = mapped_column(sa.String(120))
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    slot: Mapped[int | None]
    kind: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int] = mapped_column(default=1)
    points: Mapped[int]
    cash_fen: Mapped[int]
    day: Mapped[date] = mapped_column(sa.Date)
    reservation_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_entries.id"))
    pay_until: Mapped[datetime | None]
    entry_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_entries.id"))
    return_entry_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_entries.id"))
    paid_namespace: Mapped[str | None] = mapped_column(sa.String(60))
    payment_ref: Mapped[str | None] = mapped_column(sa.String(120))
    paid_at: Mapped[datetime | None]
    refund_state: Mapped[str] = mapped_column(sa.String(8), default="none")
    refund_ref: Mapped[str | None] = mapped_column(sa.String(120))
    receiver_name: Mapped[str | None] = mapped_column(sa.String(500))
    receiver_phone: Mapped[str | None] = mapped_column(sa.String(255))
    receiver_address: Mapped[str | None] = mapped_column(sa.Text)
    carrier: Mapped[str | None] = mapped_column(sa.String(64))
    tracking_no: Mapped[str | None] = mapped_column(sa.String(64))
    voucher_code: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    voucher_until: Mapped[datetime | None]
    coupon_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("coupons.id"))
    created_at: Mapped[datetime]
    placed_at: Mapped[datetime | None]
    fulfilled_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("reward_id", "member_id", "slot"),
        sa.UniqueConstraint("paid_namespace", "payment_ref"),
        sa.CheckConstraint("state IN ('reserved','placed','fulfilled','cancelled')", name="state_known"),
        sa.CheckConstraint("kind IN ('coupon','goods','service')", name="kind_known"),
        sa.CheckConstraint("points > 0 AND cash_fen >= 0", name="price_positive"),
        sa.CheckConstraint("state <> 'reserved' OR (reservation_id IS NOT NULL AND pay_until IS NOT NULL)", name="points_reserved"),
        sa.CheckConstraint("state NOT IN ('placed','fulfilled') OR entry_id IS NOT NULL", name="points_redeemed"),
        sa.CheckConstraint("state NOT IN ('placed','fulfilled') OR cash_fen = 0 OR paid_at IS NOT NULL", name="cash_paid"),
        sa.CheckConstraint("state <> 'cancelled' OR (slot IS NULL AND cancelled_at IS NOT NULL)", name="slot_given_back"),
        sa.CheckConstraint("state <> 'cancelled' OR entry_id IS NULL OR return_entry_id IS NOT NULL", name="points_given_back"),
        sa.CheckConstraint("refund_state IN ('none','due','done')", name="refund_known"),
        sa.CheckConstraint("refund_state = 'none' OR (state = 'cancelled' AND paid_at IS NOT NULL)", name="refund_of_payment"),
        sa.Index("ix_reward_redemptions_member", "member_id", "created_at", "id"),
        sa.Index("ix_reward_redemptions_reward", "reward_id", "created_at", "id"),
        sa.Index("ix_reward_redemptions_newest", "created_at", "id"),
        sa.Index("ix_reward_redemptions_work", "state", "kind", "created_at", "id"),
        sa.Index("ix_reward_redemptions_due", "state", "pay_until"),
        sa.Index("ix_reward_redemptions_refund", "refund_state", "created_at", "id"),
    )


class RewardTransition(Base):
    """One change of a redemption: who, when, why, and the number of the parcel, payment or refund it came with."""

    __tablename__ = "reward_transitions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    redemption_id: Mapped[UUID] = mapped_column(sa.ForeignKey("reward_redemptions.id"))
    event: Mapped[str] = mapped_column(sa.String(16))
    from_state: Mapped[str | None] = mapped_column(sa.String(16))
    to_state: Mapped[str] = mapped_column(sa.String(16))
    detail: Mapped[str | None] = mapped_column(sa.String(300))
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(80))
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(sa.Index("ix_reward_transitions_redemption", "redemption_id", "occurred_at"))


class PointsPaymentPolicy(Base):
    """One version of how points may pay for orders; the highest holds."""

    __tablename__ = "points_payment_policies"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(unique=True)
    points_per_yuan: Mapped[int]
    max_percent: Mapped[int]
    max_points: Mapped[int | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.CheckConstraint("points_per_yuan >= 1", name="worth_something"),
        sa.CheckConstraint("max_percent >= 0 AND max_percent <= 100", name="percent_known"),
        sa.CheckConstraint("max_points IS NULL OR max_points >= 1", name="cap_positive"),
    )


for _model in (RewardVersion, RewardTransition, PointsPaymentPolicy):
    append_only(_model)

register_constraint("uq_rewards_code", RewardCodeTakenError)
register_constraint("ck_rewards_within_stock", SoldOutError)
register_constraint("uq_reward_redemptions_reward_id_member_id_slot", RedemptionLimitReachedError)
register_constraint("uq_reward_redemptions_paid_namespace_payment_ref", PaymentConflictError)
register_version("points_payment_policies")
