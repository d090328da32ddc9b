"""A business day begins at midnight in the shop's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from server.kernel.clock import MovableClock, SystemClock, business_date, end_of_day, require_aware, start_of_day

SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_the_day_changes_at_sixteen_utc_in_shanghai():
    assert business_date(datetime(2026, 6, 15, 15, 59, 59, tzinfo=UTC), SHANGHAI) == date(2026, 6, 15)
    assert business_date(datetime(2026, 6, 15, 16, 0, tzinfo=UTC), SHANGHAI) == date(2026, 6, 16)


def test_a_day_is_bounded_by_its_instants():
    assert start_of_day(date(2026, 6, 15), SHANGHAI) == datetime(2026, 6, 14, 16, tzinfo=UTC)
    assert end_of_day(date(2026, 6, 15), SHANGHAI) == start_of_day(date(2026, 6, 16), SHANGHAI)


def test_a_day_may_have_another_length_than_24_hours():
    berlin = ZoneInfo("Europe/Berlin")
    assert end_of_day(date(2026, 3, 29), berlin) - start_of_day(date(2026, 3, 29), berlin) == timedelta(hours=23)


def test_naive_instants_are_refused():
    with pytest.raises(ValueError):
        require_aware(datetime(2026, 1, 1))
    with pytest.raises(ValueError):
        MovableClock(datetime(2026, 1, 1))


def test_the_movable_clock_moves_and_the_system_clock_is_aware():
    clock = MovableClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.move(timedelta(days=1)) == clock.now() == datetime(2026, 1, 2, tzinfo=UTC)
    clock.set(datetime(2025, 1, 1, 8, tzinfo=SHANGHAI))
    assert clock.now() == datetime(2025, 1, 1, tzinfo=UTC)
    assert SystemClock().now().tzinfo is UTC
