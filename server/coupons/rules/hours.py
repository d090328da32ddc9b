"""The hours of the week in which a coupon holds: windows of local time, on some weekdays or all, across midnight too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, time

DAY_MINUTES = 24 * 60
_WEEK = 7
_WINDOW = re.compile(r"(?:([1-7](?:[-,、，][1-7])*)\s+)?(\d{1,2}):(\d{2})\s*[-–~至]\s*(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From one minute of the day to another; one that ends at or before its beginning runs on into the next day.

    Arguments:
        start: first minute after midnight, 0–1439.
        end: first minute that no longer belongs to it, 0–1440.
        weekdays: 1 (Monday) – 7, of the day it **begins** on; empty for every day.
    """

    start: int
    end: int
    weekdays: tuple[int, ...] = ()

    @property
    def overnight(self) -> bool:
        """Tell whether it runs on into the next day."""
        return self.end <= self.start

    def holds(self, weekday: int, minute: int) -> bool:
        """Tell whether a minute of a weekday is in it."""
        if not self.overnight:
            return self._begins_on(weekday) and self.start <= minute < self.end
        the_day_before = (weekday - 2) % _WEEK + 1
        return (minute >= self.start and self._begins_on(weekday)) or (minute < self.end and self._begins_on(the_day_before))

    def _begins_on(self, weekday: int) -> bool:
        return not self.weekdays or weekday in self.weekdays

    def sound(self) -> bool:
        """Tell whether it is a window at all; a whole day is 00:00–24:00."""
        days = all(1 <= day <= _WEEK for day in self.weekdays) and len(set(self.weekdays)) == len(self.weekdays)
        return days and 0 <= self.start < DAY_MINUTES and 0 <= self.end <= DAY_MINUTES and self.start != self.end


def holds(windows: tuple[Window, ...], day: date, at: time) -> bool:
    """Tell whether a local time of a day is in any of the windows; no windows hold always."""
    return not windows or any(window.holds(day.isoweekday(), at.hour * 60 + at.minute) for window in windows)


def clock(minute: int) -> str:
    """Return a minute of the day as ``09:30``."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def write(window: Window) -> str:
    """Return a window the way ``read`` takes it: ``1,2,3 09:30-14:00``."""
    days = ",".join(map(str, window.weekdays))
    return f"{days} {clock(window.start)}-{clock(window.end)}".strip()


def read(text: str) -> Window | None:
    """Return the window a person wrote: ``10:00-14:00`` or ``1-5 22:00-02:00``; None when it cannot be read."""
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        return None
    days, *numbers = found.groups()
    first_hour, first_minute, last_hour, last_minute = map(int, numbers)
    if max(first_minute, last_minute) >= 60:  # noqa: PLR2004 - minutes of an hour
        return None
    window = Window(first_hour * 60 + first_minute, last_hour * 60 + last_minute, _weekdays(days or ""))
    return window if window.sound() else None


def _weekdays(text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in re.split(r"[,、，]", text) if text else ():
        first, last = int(part[0]), int(part[-1])
        days.update(range(first, last + 1) if first <= last else {*range(first, _WEEK + 1), *range(1, last + 1)})
    return tuple(sorted(days))
