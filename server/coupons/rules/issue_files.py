"""Reads one row of a file of members to issue to, and decides what a member may still have. Pure: no database, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

# What a column may be called, in the words of whoever made the file.
HEADINGS: dict[str, tuple[str, ...]] = {
    "card_no": ("card_no", "card number", "卡号", "会员卡号"),
    "phone": ("phone", "phone number", "手机号", "手机"),
}
MAX_ROWS = 100_000


class RowRefusedError(ValueError):
    """A row that names nobody: the column, and a stable code of the reason."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a row names: by ``card_no`` or ``phone``, and what it says there."""

    kind: str
    who: str


@dataclass(slots=True)
class Room:
    """What of a template is left while a piece of a file is issued; None is without limit."""

    stock: int | None
    today: int | None
    budget_fen: int | None
    cost_fen: int
    per_member: int | None
    per_member_daily: int | None
    day: date
    given: int = 0
    held: dict[bytes, list[tuple[int | None, date]]] = field(default_factory=dict)

    def refusal(self, member: bytes) -> str | None:
        """Return the error code of why a member cannot have one more, or None."""
        mine = self.held.get(member, [])
        if self.per_member is not None and len(mine) >= self.per_member:
            return "claim_limit_reached"
        if self.per_member_daily is not None and sum(day == self.day for _, day in mine) >= self.per_member_daily:
            return "claim_limit_reached"
        ends = (self.stock, self.today)
        if any(left is not None and self.given >= left for left in ends):
            return "sold_out"
        if self.budget_fen is not None and (self.given + 1) * self.cost_fen > self.budget_fen:
            return "sold_out"
        return None

    def give(self, member: bytes) -> int | None:
        """Take one for a member; return the slot it stands in, None where members have no limit."""
        mine = self.held.setdefault(member, [])
        taken = {slot for slot, _ in mine}
        slot = None if self.per_member is None else next(each for each in range(1, len(mine) + 2) if each not in taken)
        mine.append((slot, self.day))
        self.given += 1
        return slot


def columns_of(header: Sequence[str]) -> dict[str, int]:
    """Return meaning → place of the columns of a file.

    Raises:
        RowRefusedError: no column names members.
    """
    called = {word: meaning for meaning, words in HEADINGS.items() for word in words}
    found: dict[str, int] = {}
    for place, name in enumerate(header):
        meaning = called.get(name.strip().lower())
        if meaning is not None:
            found.setdefault(meaning, place)
    if not found:
        raise RowRefusedError(" / ".join(HEADINGS), "column_missing")
    return found


def read_row(cells: Sequence[str], columns: Mapping[str, int]) -> Named:
    """Return whom a row names; the card goes before the phone.

    Raises:
        RowRefusedError: nobody.
    """
    for kind in HEADINGS:
        text = cells[columns[kind]].strip() if kind in columns else ""
        if text:
            return Named(kind, text)
    raise RowRefusedError(next(iter(columns)), "empty")
