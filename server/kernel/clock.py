"""The clock, and the business day.

Instants are aware and in UTC everywhere; a business day is a date in the shop's time zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Something that tells the present instant."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)


class MovableClock:
    """A clock that tests and simulations set by hand; it stands still by itself.

    Arguments:
        start: the first instant it tells, aware.
    """

    def __init__(self, start: datetime) -> None:
        self._now = require_aware(start)

    def now(self) -> datetime:
        """Return the instant it was last set to."""
        return self._now

    def move(self, delta: timedelta) -> datetime:
        """Move by ``delta`` (backwards too) and return the new instant."""
        self._now += delta
        return self._now

    def set(self, instant: datetime) -> None:
        """Set to an aware instant."""
        self._now = require_aware(instant)


def require_aware(instant: datetime) -> datetime:
    """Return the instant in UTC.

    Raises:
        ValueError: when it carries no time zone, since guessing one is how hours get lost.
    """
    if instant.tzinfo is None:
        message = f"an instant needs a time zone: {instant!r}"
        raise ValueError(message)
    return instant.astimezone(UTC)


def business_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the shop's calendar day that an instant falls on."""
    return require_aware(instant).astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which a day begins in the shop's zone."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, that no longer belongs to a day in the shop's zone."""
    return start_of_day(day + timedelta(days=1), zone)
