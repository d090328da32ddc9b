"""Tables of tiers. Private to this domain and to ``flows`` and ``reporting``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args
from server.tiers.errors import GrowthDraftChangedError
from server.tiers.qualifying import CAUSES

ENTRY_KINDS = ("spend", "frequency", "activity", "reversal", "merge")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({','.join(repr(word) for word in words)})"


class Tier(Base):
    """A tier's definition. ``face`` holds its card's colours, ``benefits`` the lines shown to members, ``perks`` what the product gives."""

    __tablename__ = "tiers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40), unique=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    # RANK is a reserved word of MySQL 8, hence the longer name in the database.
    rank: Mapped[int] = mapped_column("tier_rank", unique=True)
    points_multiplier_percent: Mapped[int]
    face: Mapped[dict[str, Any]]
    benefits: Mapped[list[Any]]
    perks: Mapped[dict[str, Any] | None]

    __table_args__ = table_args(
        sa.CheckConstraint("points_multiplier_percent BETWEEN 100 AND 1000", name="multiplier_bounded"),
        sa.CheckConstraint("tier_rank >= 0", name="rank_not_negative"),
    )


class MemberTier(Base):
    """The tier a member holds; no row means the lowest."""

    __tablename__ = "member_tiers"

    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)
    tier_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tiers.id"), index=True)
    since: Mapped[datetime]


class TierChange(Base):
    """One change of a member's tier, period or lock, with its cause (None in rows older than causes: given by hand, or a merge)."""

    __tablename__ = "tier_changes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    from_tier_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("tiers.id"))
    to_tier_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tiers.id"))
    reason: Mapped[str] = mapped_column(sa.String(255))
    cause: Mapped[str | None] = mapped_column(sa.String(16))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(80))
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint(_one_of("cause", CAUSES), name="cause_known"),
        sa.Index("ix_tier_changes_member", "member_id", "occurred_at", "id"),
        sa.Index("ix_tier_changes_recent", "occurred_at"),
    )


class GrowthRule(Base):
    """One version of the growth rule. A draft may be edited; what was published never is, and the highest published version holds."""

    __tablename__ = "growth_rules"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(sa.String(12))
    # 1 while it is the draft, so that there is one at most.
    draft_slot: Mapped[int | None] = mapped_column(unique=True)
    document: Mapped[dict[str, Any]]
    edits: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(sa.String(80))
    published_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("version >= 1", name="version_positive"),
        sa.CheckConstraint(_one_of("state", ("draft", "published", "dropped")), name="state_known"),
        sa.CheckConstraint("(state = 'draft') = (draft_slot IS NOT NULL)", name="draft_has_slot"),
        sa.CheckConstraint("(state = 'published') = (published_at IS NOT NULL)", name="published_has_instant"),
    )


class GrowthAccount(Base):
    """What a member's growth comes to, cached; its row is the lock of everything that moves growth or tier.

    ``growth`` is what counted on ``growth_on`` and until ``changes_on``; ``keep_growth`` what will count when the period ends.
    ``due_on`` is the day on which time alone changes something.
    """

    __tablename__ = "growth_accounts"

    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)
    growth: Mapped[int] = mapped_column(default=0)
    keep_growth: Mapped[int] = mapped_column(default=0)
    growth_on: Mapped[date | None] = mapped_column(sa.Date)
    changes_on: Mapped[date | None] = mapped_column(sa.Date)
    due_on: Mapped[date | None] = mapped_column(sa.Date, index=True)
    rule_version: Mapped[int] = mapped_column(default=0, index=True)
    period_starts_on: Mapped[date | None] = mapped_column(sa.Date)
    period_ends_on: Mapped[date | None] = mapped_column(sa.Date, index=True)
    warned_for: Mapped[date | None] = mapped_column(sa.Date)
    locked_until: Mapped[date | None] = mapped_column(sa.Date)
    lock_reason: Mapped[str | None] = mapped_column(sa.String(255))
    merged_into: Mapped[UUID | None] = mapped_column(sa.ForeignKey("growth_accounts.member_id"), index=True)
    opened_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("growth >= 0 AND keep_growth >= 0", name="growth_not_negative"),
        sa.CheckConstraint("(period_starts_on IS NULL) = (period_ends_on IS NULL)", name="period_whole"),
        sa.CheckConstraint("period_ends_on >= period_starts_on", name="period_forward"),
        sa.CheckConstraint("(locked_until IS NULL) = (lock_reason IS NULL)", name="lock_has_reason"),
        sa.CheckConstraint("merged_into IS NULL OR (growth = 0 AND keep_growth = 0 AND due_on IS NULL)", name="merged_is_empty"),
    )


class GrowthEntry(Base):
    """A fact that brought growth or took it back. ``counted_on`` is the day it counts on; a reversal's is that of what it reverses."""

    __tablename__ = "growth_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("growth_accounts.member_id"))
    kind: Mapped[str] = mapped_column(sa.String(12))
    growth: Mapped[int]
    counted_on: Mapped[date] = mapped_column(sa.Date)
    source_key: Mapped[str] = mapped_column(sa.String(160), unique=True)
    rule_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("growth_rules.id"))
    reverses_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("growth_entries.id"), index=True)
    details: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint(_one_of("kind", ENTRY_KINDS), name="kind_known"),
        sa.CheckConstraint("growth <> 0", name="growth_not_zero"),
        sa.CheckConstraint("growth > 0 OR kind IN ('reversal','merge')", name="only_reversals_take"),
        sa.CheckConstraint("(kind = 'reversal') = (reverses_id IS NOT NULL)", name="reversal_names_entry"),
        sa.CheckConstraint("kind <> 'reversal' OR growth < 0", name="reversal_takes"),
        sa.Index("ix_growth_entries_window", "member_id", "counted_on", "growth"),
        sa.Index("ix_growth_entries_statement", "member_id", "occurred_at", "id"),
    )


class GrowthOrder(Base):
    """What an order has brought, and how much of it was taken back; written once for each order, so that it earns once."""

    __tablename__ = "growth_orders"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    spend_entry_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("growth_entries.id"))
    spend: Mapped[int]
    spend_back: Mapped[int] = mapped_column(default=0)
    frequency_entry_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("growth_entries.id"))
    frequency: Mapped[int]
    frequency_back: Mapped[int] = mapped_column(default=0)

    __table_args__ = table_args(
        sa.CheckConstraint("spend_back >= 0 AND spend_back <= spend", name="spend_back_within"),
        sa.CheckConstraint("frequency_back >= 0 AND frequency_back <= frequency", name="frequency_back_within"),
        sa.CheckConstraint("(spend = 0) = (spend_entry_id IS NULL)", name="spend_has_entry"),
        sa.CheckConstraint("(frequency = 0) = (frequency_entry_id IS NULL)", name="frequency_has_entry"),
    )


class TierGift(Base):
    """What a member got for reaching a tier: once for each period that begins with it."""

    __tablename__ = "tier_gifts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    tier_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tiers.id"))
    reached_on: Mapped[date] = mapped_column(sa.Date)
    change_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tier_changes.id"), unique=True)
    points: Mapped[int] = mapped_column(default=0)
    entry_id: Mapped[UUID | None]
    coupon_id: Mapped[UUID | None]
    coupon_problem: Mapped[str | None] = mapped_column(sa.String(40))
    given_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "tier_id", "reached_on"),
        sa.CheckConstraint("points >= 0", name="points_not_negative"),
        sa.Index("ix_tier_gifts_given", "given_at", "id"),
    )


append_only(TierChange)
append_only(GrowthEntry)

register_constraint("uq_growth_rules_draft_slot", GrowthDraftChangedError)
register_constraint("uq_growth_rules_version", GrowthDraftChangedError)
