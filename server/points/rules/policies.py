"""The brand's declared policies, how long points live, and the rule version that an entry names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from server.kernel.clock import business_date, end_of_day

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MAX_POINTS = 1_000_000_000
_MONTHS = 12


class DebtPolicy(StrEnum):
    """What happens when more is to be taken back than the member still has."""

    WITHIN_BALANCE = "within_balance"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The brand's declared policies.

    Arguments:
        debt_policy: for reversals that outrun the balance.
        reopen_days: life of points returned into a lot that expired meanwhile.
    """

    debt_policy: DebtPolicy = DebtPolicy.WITHIN_BALANCE
    reopen_days: int = 30


@dataclass(frozen=True, slots=True)
class ExpiryPolicy:
    """How long points live.

    Arguments:
        kind: ``never``, ``days`` (whole days after the day of earning), ``month_end`` or ``year_end`` (the end of the
            month or year that is ``count`` months or years on).
        count: days, months or years.
    """

    kind: str = "never"
    count: int = 0

    def expires_at(self, earned_at: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first instant at which the points are gone, or None."""
        day = business_date(earned_at, zone)
        if self.kind == "days":
            return end_of_day(day + timedelta(days=self.count), zone)
        if self.kind == "month_end":
            months = day.year * _MONTHS + day.month + self.count
            return end_of_day(date(months // _MONTHS, months % _MONTHS + 1, 1) - timedelta(days=1), zone)
        if self.kind == "year_end":
            return end_of_day(date(day.year + self.count, _MONTHS, 31), zone)
        return None


@dataclass(frozen=True, slots=True)
class RuleRef:
    """The rule version that made an entry, and the life of the points it gives."""

    id: UUID
    code: str
    version: int
    expiry: ExpiryPolicy = field(default_factory=ExpiryPolicy)
