"""When staff are told that a template's stock or budget runs low: at 80 % and when nothing more can be had."""

from __future__ import annotations

from typing import Final

LOW: Final = 80
GONE: Final = 100
# A budget comes back as coupons expire: without a distance an alarm at the mark would be raised and cleared all day.
_RELIEF_PERCENT: Final = 5


def percent_of(taken: int, limit: int, least: int) -> int:
    """Return the threshold that is passed: ``GONE`` when not one coupon more fits, ``LOW`` from 80 % on, else 0.

    Arguments:
        taken: coupons issued, or fen committed.
        limit: the stock or the budget, 1 or more.
        least: what one coupon more takes of it.
    """
    if taken + least > limit:
        return GONE
    return LOW if taken * 100 >= limit * LOW else 0


def standing_percent(taken: int, limit: int, least: int, *, raised: int, raised_limit: int) -> int:
    """Return the threshold at which an alarm stands, given the one that was raised before.

    A threshold once raised stands until the limit is changed, or until more than five percent of the limit have come back.

    Arguments:
        taken: as in ``percent_of``.
        limit: as there.
        least: as there.
        raised: the threshold raised before, 0 for none.
        raised_limit: the limit at that time.
    """
    now = percent_of(taken, limit, least)
    if now >= raised or limit != raised_limit:
        return now
    relieved = percent_of(taken + limit * _RELIEF_PERCENT // 100, limit, least)
    return max(now, min(relieved, raised))
