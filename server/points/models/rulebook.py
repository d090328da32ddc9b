"""What earns points and by which policies: versions of rules, drafts and dry runs, what caps count, gifts for events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_version, table_args
from server.points.models.words import one_of


class PointsRule(Base):
    """One version of an earning rule; a change is a new version."""

    __tablename__ = "points_rules"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40))
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(24))
    name: Mapped[str] = mapped_column(sa.String(80))
    document: Mapped[dict[str, Any]]
    enabled: Mapped[bool]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    dry_run_id: Mapped[UUID | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("code", "version"),
        sa.CheckConstraint("version >= 1", name="version_positive"),
        sa.CheckConstraint(one_of("kind", ("per_amount", "multiplier", "event", "check_in")), name="kind_known"),
    )


class PointsRuleBudget(Base):
    """What a rule with a budget has given to all members so far. Its row is the lock of the budget, taken after the accounts'."""

    __tablename__ = "points_rule_budgets"

    code: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    given: Mapped[int] = mapped_column(default=0)

    __table_args__ = table_args(sa.CheckConstraint("given >= 0", name="given_not_negative"))


class PointsRuleShare(Base):
    """What a rule with a cap over more than a day has given to one member so far, under the lock of the member's account."""

    __tablename__ = "points_rule_shares"

    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_accounts.member_id"), primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    given: Mapped[int] = mapped_column(default=0)

    __table_args__ = table_args(sa.CheckConstraint("given >= 0", name="given_not_negative"))


class PointsRuleDraft(Base):
    """A rule version to be, one for each code; ``edits`` is asked for by whoever publishes it, so that nobody publishes unseen changes."""

    __tablename__ = "points_rule_drafts"

    code: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(24))
    name: Mapped[str] = mapped_column(sa.String(80))
    document: Mapped[dict[str, Any]]
    enabled: Mapped[bool]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    edits: Mapped[int] = mapped_column(default=1)
    saved_at: Mapped[datetime]
    saved_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.CheckConstraint(one_of("kind", ("per_amount", "multiplier", "event", "check_in")), name="kind_known"),
        sa.CheckConstraint("edits >= 1", name="edits_positive"),
    )


class PointsDryRun(Base):
    """What past orders would have earned by the drafts, against the rules that hold. ``progress`` is where a run goes on after a kill."""

    __tablename__ = "points_dry_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    transfer_id: Mapped[UUID] = mapped_column(sa.ForeignKey("transfer_jobs.id"))
    state: Mapped[str] = mapped_column(sa.String(16))
    since: Mapped[date] = mapped_column(sa.Date)
    until: Mapped[date] = mapped_column(sa.Date)
    drafts: Mapped[list[Any]]
    chunk: Mapped[int] = mapped_column(default=0)
    progress: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    asked_at: Mapped[datetime]
    asked_by: Mapped[str] = mapped_column(sa.String(80))
    finished_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint(one_of("state", ("running", "done", "failed")), name="state_known"),
        sa.CheckConstraint("(state = 'done') = (result IS NOT NULL)", name="done_has_result"),
        sa.CheckConstraint("since <= until", name="range_in_order"),
        sa.Index("ix_points_dry_runs_asked", "asked_at", "id"),
    )


class PointsSettings(Base):
    """One version of the brand's declared policies; the highest version holds."""

    __tablename__ = "points_settings"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    debt_policy: Mapped[str] = mapped_column(sa.String(16))
    reopen_days: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.CheckConstraint(one_of("debt_policy", ("within_balance", "negative")), name="debt_policy_known"),
        sa.CheckConstraint("reopen_days >= 1", name="reopen_days_positive"),
    )


class PointsEventGrant(Base):
    """Points given for an event.

    ``slot`` holds a once-in-a-lifetime event for its member; it is empty once the points were taken back, so that they may be given anew.
    """

    __tablename__ = "points_event_grants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_accounts.member_id"))
    event: Mapped[str] = mapped_column(sa.String(32))
    business_key: Mapped[str] = mapped_column(sa.String(64))
    slot: Mapped[str | None] = mapped_column(sa.String(64))
    day: Mapped[date] = mapped_column(sa.Date)
    entry_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_entries.id"), unique=True)
    given_at: Mapped[datetime]
    taken_back_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("event", "business_key"),
        sa.UniqueConstraint("member_id", "event", "slot"),
        sa.CheckConstraint("(slot IS NULL) = (taken_back_at IS NOT NULL)", name="slot_until_taken_back"),
        sa.Index("ix_points_event_grants_day", "member_id", "event", "day"),
    )


for _model in (PointsRule, PointsSettings):
    append_only(_model)

register_version("points_settings")
