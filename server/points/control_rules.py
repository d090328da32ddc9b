"""Controls of points as money: who must agree to an adjustment, what a month adds up to, what is owed. Pure: no database, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = 12
_FEN_PER_YUAN = 100
_PER_TEN_THOUSAND = 10_000

MEMBER_ACCOUNTS = ("pending", "available", "reserved", "debt")
ACCOUNTS = (*MEMBER_ACCOUNTS, "issuer", "redeemed", "expired", "forgiven")
# Which column of a month an entry's postings stand in. What only moves points between accounts of members is ``moved``.
COLUMN_OF_KIND: dict[str, str] = {
    "accrue": "issued",
    "redeem": "redeemed",
    "return": "redeemed",
    "expire": "expired",
    "reverse": "reversed",
    "adjust": "adjusted",
    "unlock": "moved",
    "reserve": "moved",
    "release": "moved",
    "merge": "moved",
}
MOVES = ("issued", "redeemed", "expired", "reversed", "adjusted", "forgiven", "moved")


@dataclass(frozen=True, slots=True)
class Controls:
    """The brand's declared controls.

    Arguments:
        adjust_limit: points up to which a member of staff adjusts alone, in one adjustment and on one business day in all.
        notice_min_points: fewer points that expire on one day are not worth a message.
        points_per_yuan: points that are worth one yuan in the books; None for what paying with points says.
    """

    adjust_limit: int = 1000
    notice_min_points: int = 10
    points_per_yuan: int | None = None


def needs_second_person(points: int, adjusted_today: int, limit: int) -> bool:
    """Tell whether an adjustment goes beyond what one person may do alone.

    Arguments:
        points: of the adjustment, with its sign.
        adjusted_today: given and taken alone by the same person on this business day, both counted as positive.
        limit: of the controls.
    """
    return abs(points) + adjusted_today > limit


def month_of(day: date) -> date:
    """Return the first day of a day's month, which names the month."""
    return day.replace(day=1)


def next_month(month: date) -> date:
    """Return the month after one."""
    return date(month.year + month.month // _MONTHS, month.month % _MONTHS + 1, 1)


def last_day(month: date) -> date:
    """Return the last day of a month."""
    return next_month(month) - timedelta(days=1)


def months_to_close(first: date | None, last_closed: date | None, today: date) -> list[date]:
    """Return the months that are over and not closed, oldest first.

    Arguments:
        first: of the oldest month with entries, or None when there are none.
        last_closed: the newest closed month, or None.
        today: the present business day; its own month is still open, and so is the one before on the first of a month.
    """
    if last_closed is None and first is None:
        return []
    month = next_month(last_closed) if last_closed is not None else month_of(first or today)
    over = month_of(today - timedelta(days=1))
    months = []
    while month < over:
        months.append(month)
        month = next_month(month)
    return months


@dataclass(frozen=True, slots=True)
class AccountMonth:
    """One account's month. Every number is signed as the account sees it, so that opening + moves = closing."""

    account: str
    opening: int
    issued: int = 0
    redeemed: int = 0
    expired: int = 0
    reversed: int = 0
    adjusted: int = 0
    forgiven: int = 0
    moved: int = 0

    @property
    def closing(self) -> int:
        """Return what the account stands at after the month."""
        moves: int = sum(getattr(self, name) for name in MOVES)
        return self.opening + moves


def account_months(opening: Mapping[str, int], sums: Mapping[tuple[str, str], int]) -> list[AccountMonth]:
    """Return the month of every account.

    What a reversal could not take back and was forgiven is told apart from what it took back, on both accounts it moves between.

    Arguments:
        opening: account → closing of the month before, nothing for zero.
        sums: (account, kind of entry) → sum of the postings of the entries the month covers.
    """
    forgiven = -sums.get(("forgiven", "reverse"), 0)
    rows = []
    for account in ACCOUNTS:
        moves = dict.fromkeys(MOVES, 0)
        for kind, column in COLUMN_OF_KIND.items():
            moves[column] += sums.get((account, kind), 0)
        if account == "issuer":
            moves["reversed"] -= forgiven
            moves["forgiven"] += forgiven
        elif account == "forgiven":
            moves["reversed"] += forgiven
            moves["forgiven"] -= forgiven
        rows.append(AccountMonth(account, opening.get(account, 0), **moves))
    return rows


def liability_points(rows: Iterable[AccountMonth]) -> int:
    """Return what members hold: pending, available and reserved; what some of them owe is not set against it."""
    return sum(row.closing for row in rows if row.account in {"pending", "available", "reserved"})


def liability_fen(points: int, points_per_yuan: int) -> int:
    """Return what points are worth in fen, rounded up, as a debt is."""
    return -(-points * _FEN_PER_YUAN // points_per_yuan)


def breakage(issued: int, expired: int) -> int | None:
    """Return which share of what was issued has expired, in hundredths of a percent; None when nothing was issued."""
    return expired * _PER_TEN_THOUSAND // issued if issued > 0 else None
