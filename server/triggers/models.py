"""The tables of triggers. Private to this domain."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args
from server.triggers.errors import TriggerChangedError
from server.triggers.rules import GiftState, TriggerKind


def _one_of(column: str, words: type[TriggerKind | GiftState]) -> str:
    return f"{column} IN ({','.join(repr(str(word)) for word in words)})"


class CouponTriggerRule(Base):
    """One version of a rule; a change is a new version."""

    __tablename__ = "coupon_trigger_rules"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40))
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(16))
    name: Mapped[str] = mapped_column(sa.String(80))
    document: Mapped[dict[str, Any]]
    enabled: Mapped[bool]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(sa.String(300))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.UniqueConstraint("code", "version"),
        sa.CheckConstraint("version >= 1", name="version_positive"),
        sa.CheckConstraint(_one_of("kind", TriggerKind), name="kind_known"),
        sa.CheckConstraint("valid_from IS NULL OR valid_until IS NULL OR valid_from < valid_until", name="window_forward"),
        sa.Index("ix_coupon_trigger_rules_kind", "kind", "code", "version"),
    )


class CouponTriggerGift(Base):
    """What became of one coupon of one happening.

    ``slot`` keeps what a member gets once only; a merge empties that of the record whose gift is one too many.
    """

    __tablename__ = "coupon_trigger_gifts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    rule_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_trigger_rules.id"))
    rule_code: Mapped[str] = mapped_column(sa.String(40))
    business_key: Mapped[str] = mapped_column(sa.String(64))
    template_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coupon_templates.id"))
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    slot: Mapped[str | None] = mapped_column(sa.String(80))
    order_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("orders.id"), index=True)
    state: Mapped[str] = mapped_column(sa.String(8))
    # Why there is no coupon, or why it was to be taken back.
    problem: Mapped[str | None] = mapped_column(sa.String(40))
    coupon_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("coupons.id"), unique=True)
    given_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("rule_code", "business_key", "template_id"),
        sa.UniqueConstraint("rule_code", "member_id", "slot", "template_id"),
        sa.CheckConstraint(_one_of("state", GiftState), name="state_known"),
        sa.CheckConstraint("(state = 'refused') = (coupon_id IS NULL)", name="refused_has_none"),
        sa.CheckConstraint("(state = 'given') = (problem IS NULL)", name="problem_named"),
        sa.CheckConstraint("(state IN ('given','refused')) = (ended_at IS NULL)", name="ended_has_instant"),
        sa.Index("ix_coupon_trigger_gifts_rule", "rule_code", "given_at", "id"),
        sa.Index("ix_coupon_trigger_gifts_newest", "given_at", "id"),
        sa.Index("ix_coupon_trigger_gifts_member", "member_id", "given_at", "id"),
    )


class CouponTriggerMark(Base):
    """How far a rule that wins back has come: the newest day of last purchases that is wholly done."""

    __tablename__ = "coupon_trigger_marks"

    rule_code: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    done_until: Mapped[date] = mapped_column(sa.Date)
    updated_at: Mapped[datetime]

    __table_args__ = table_args()


append_only(CouponTriggerRule)
register_constraint("uq_coupon_trigger_rules_code_version", TriggerChangedError)
