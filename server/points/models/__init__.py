"""The points tables. Private to this domain.

``points_entries``, ``points_postings``, ``points_allocations``, ``points_rules`` and ``points_settings`` are append-only, and so are
``points_controls``, the closed months and the rows of opening balances.
"""

from __future__ import annotations

from server.points.models.control import (
    PointsControl,
    PointsExpiryNotice,
    PointsMonth,
    PointsMonthAccount,
    PointsMonthCohort,
    PointsOpening,
    PointsOpeningRow,
)
from server.points.models.ledger import (
    PointsAccount,
    PointsAllocation,
    PointsCheckIn,
    PointsEntry,
    PointsLot,
    PointsPosting,
    PointsReservation,
)
from server.points.models.rulebook import (
    PointsDryRun,
    PointsEventGrant,
    PointsRule,
    PointsRuleBudget,
    PointsRuleDraft,
    PointsRuleShare,
    PointsSettings,
)
from server.points.models.words import ENTRY_KINDS, MEMBER_ACCOUNTS, SYSTEM_ACCOUNTS

__all__ = [
    "ENTRY_KINDS",
    "MEMBER_ACCOUNTS",
    "SYSTEM_ACCOUNTS",
    "PointsAccount",
    "PointsAllocation",
    "PointsCheckIn",
    "PointsControl",
    "PointsDryRun",
    "PointsEntry",
    "PointsEventGrant",
    "PointsExpiryNotice",
    "PointsLot",
    "PointsMonth",
    "PointsMonthAccount",
    "PointsMonthCohort",
    "PointsOpening",
    "PointsOpeningRow",
    "PointsPosting",
    "PointsReservation",
    "PointsRule",
    "PointsRuleBudget",
    "PointsRuleDraft",
    "PointsRuleShare",
    "PointsSettings",
]
