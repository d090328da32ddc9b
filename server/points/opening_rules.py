"""Reads one row of opening balances. Pure: no database, no clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from server.points.rules import MAX_POINTS

# What a column may be called, in the words of whoever made the file.
HEADINGS: dict[str, tuple[str, ...]] = {
    "id": ("id", "编号", "流水号"),
    "card_no": ("card_no", "card number", "卡号", "会员卡号"),
    "phone": ("phone", "phone number", "手机号", "手机"),
    "external_id": ("external_id", "external id", "外部编号", "外部会员号"),
    "points": ("points", "积分", "积分余额"),
    "expires_on": ("expires_on", "expiry date", "到期日", "有效期至"),
    "note": ("note", "备注", "说明"),
}
WHO = ("card_no", "phone", "external_id")
_KEY_CHARS = 60
# More digits than any number of points has.
_MOST_DIGITS = 18
# What a spreadsheet's date, or an older system's last instant, has behind its day.
_TIME = re.compile(r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$")
_NOTE_CHARS = 200


class RowRefusedError(ValueError):
    """A row that cannot be taken in: the column, and a stable code of the reason."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Balance:
    """One balance as the file tells it.

    Arguments:
        own: the row's own id, by which it is taken in once; empty when it has none.
        kind: which of ``WHO`` names the member.
        who: what it says.
        points: one or more.
        expires_on: the last day on which they can be redeemed; None for never.
        note: shown to the member; empty for "Opening balance".
    """

    own: str
    kind: str
    who: str
    points: int
    expires_on: date | None
    note: str

    def key_of(self, member_id: UUID) -> str:
        """Return what the row is known by, once its member is found.

        A row without an id of its own is known by its member and expiry, however a file names the member: by card or by phone, with
        blanks or without. A file has one balance for each of them then.
        """
        return self.own or hashlib.sha256(f"{member_id.hex}|{self.expires_on}".encode()).hexdigest()[:40]


def columns_of(header: Sequence[str]) -> dict[str, int]:
    """Return meaning → place of the columns of a file.

    Raises:
        RowRefusedError: no column names members, or none has points.
    """
    called = {word: meaning for meaning, words in HEADINGS.items() for word in words}
    found: dict[str, int] = {}
    for place, name in enumerate(header):
        meaning = called.get(name.strip().lower())
        if meaning is not None:
            found.setdefault(meaning, place)
    if "points" not in found:
        raise RowRefusedError("points", "column_missing")
    if not any(name in found for name in WHO):
        raise RowRefusedError(" / ".join(WHO), "column_missing")
    return found


def read_balance(cells: Sequence[str], columns: Mapping[str, int], today: date) -> Balance:
    """Return the balance of a row.

    Raises:
        RowRefusedError: naming the column.
    """
    values = {meaning: cells[place].strip() for meaning, place in columns.items()}
    kind = next((name for name in WHO if values.get(name)), None)
    if kind is None:
        raise RowRefusedError(next(name for name in WHO if name in columns), "empty")
    text = values["points"].replace(",", "").removesuffix(".0")
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or not 1 <= int(text) <= MAX_POINTS:
        raise RowRefusedError("points", "not_a_number_of_points")
    expires_on = _day(values.get("expires_on", ""))
    if expires_on is not None and expires_on < today:
        raise RowRefusedError("expires_on", "expired")
    own = values.get("id", "")
    if len(own) > _KEY_CHARS:
        raise RowRefusedError("id", "too_long")
    note = values.get("note", "")
    if len(note) > _NOTE_CHARS:
        raise RowRefusedError("note", "too_long")
    return Balance(own, kind, values[kind], int(text), expires_on, note)


def _day(text: str) -> date | None:
    if not text:
        return None
    text = _TIME.sub("", text)
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d"):
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    raise RowRefusedError("expires_on", "not_a_day")
