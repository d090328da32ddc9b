"""The typed fields of WeChat's subscribe templates: what fits, and how a text is made to fit. Pure.

Limits are those of the platform's documentation (订阅消息参数值内容限制). The type stands in a field's name: ``thing1``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

_THING, _CHARACTERS, _LETTERS, _SYMBOLS, _DIGITS, _CAR, _PHRASE = 20, 32, 32, 5, 32, 8, 5
_CHINESE_NAME, _LATIN_NAME = 10, 20
_PHONE = 17
ELLIPSIS = "…"
_ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = frozenset("\u200d\ufe0e\ufe0f\u20e3")
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
_FLAGS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))
_INSIDE, _CURRENCY = frozenset(".,:/-_@'’"), frozenset("¥￥$")
_KEY = re.compile(r"([a-z_]+?)(\d+)")


def clean(text: str) -> str:
    """Return a text in one line: control characters and runs of blanks become one blank."""
    shown = "".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in text)
    return re.sub(r"\s+", " ", shown).strip()


def shorten(text: str, limit: int) -> str:
    """Return a text of at most ``limit`` characters, a cut shown by an ellipsis.

    A cut is never inside a joined character, a number or a Latin word, unless that word is all that fits: half a number is another one,
    and half a word none.
    """
    if len(text) <= limit:
        return text
    end = limit - 1
    while end > 0 and _joined(text, end):
        end -= 1
    word = end
    while word > 0 and (_in_word(text, word) or _joined(text, word)):
        word -= 1
    return (text[:word].rstrip() or text[:end].rstrip()) + ELLIPSIS


def _joined(text: str, place: int) -> bool:
    """Tell whether a cut before a place would part what is shown as one sign."""
    before, after = text[place - 1], text[place]
    if unicodedata.category(after).startswith("M") or after in _JOINERS or before == _ZERO_WIDTH_JOINER or after in _SKIN_TONES:
        return True
    if before in _FLAGS and after in _FLAGS:
        # Two letters make a flag, so a cut parts one where an odd number of them stands before it.
        return sum(1 for _ in takewhile(_FLAGS.__contains__, reversed(text[:place]))) % 2 == 1
    return False


def _in_word(text: str, place: int) -> bool:
    """Tell whether a cut before a place would part a Latin word or a number, its points, signs and currency among it."""
    before, after = text[place - 1], text[place]
    following = text[place + 1] if place + 1 < len(text) else ""
    earlier = text[place - 2] if place > 1 else ""
    if _of_word(before) and _of_word(after):
        return True
    if after in _INSIDE and _of_word(before) and _of_word(following):
        return True
    if before in _INSIDE and _of_word(earlier) and _of_word(after):
        return True
    return (before in _CURRENCY and after.isdigit()) or (before.isdigit() and after in "%‰元")


def _of_word(char: str) -> bool:
    return char.isalnum() and (char.isascii() or "LATIN" in unicodedata.name(char, ""))


def _fit_name(text: str) -> str:
    # Letters of any script, digits and punctuation make a name; pictures in a nickname do not.
    text = clean("".join(char for char in text if unicodedata.category(char)[0] in "LMNPZ"))
    # An ellipsis would make a Latin name count as a Chinese one.
    return text[:_LATIN_NAME].rstrip() if text.isascii() else shorten(text, _CHINESE_NAME)


def _ascii_only(limit: int) -> Callable[[str], str]:
    def fit(text: str) -> str:
        return "".join(char for char in text if char.isascii() and char.isprintable() and char != " ")[:limit]

    return fit


def _unchanged(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of field.

    Arguments:
        name: as in the platform's field names.
        fits: tells whether a value is allowed.
        fit: makes a clean text fit where that loses only length; dates and numbers are never altered.
    """

    name: str
    fits: Callable[[str], object]
    fit: Callable[[str], str] = _unchanged


_TIME_PART = r"\d{1,2}[:：]\d{2}([:：]\d{2})?"
_DATE_PART = r"(\d{4}年\d{1,2}月\d{1,2}日|\d{4}([-/.])\d{1,2}\2\d{1,2})"
_MOMENT_PART = rf"(\d{{4}}年\d{{1,2}}月\d{{1,2}}日( {_TIME_PART})?|\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}( {_TIME_PART})?|{_TIME_PART})"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("thing", lambda text: len(text) <= _THING, lambda text: shorten(text, _THING)),
        Kind("character_string", lambda text: len(text) <= _CHARACTERS and text.isascii(), _ascii_only(_CHARACTERS)),
        Kind("letter", lambda text: len(text) <= _LETTERS and text.isascii() and text.isalpha()),
        Kind("symbol", lambda text: len(text) <= _SYMBOLS),
        Kind("number", re.compile(rf"\d{{1,{_DIGITS}}}(\.\d+)?").fullmatch),
        Kind("amount", re.compile(r"[¥￥$]?\d{1,10}(\.\d+)?元?").fullmatch),
        Kind("time", re.compile(rf"{_MOMENT_PART}(~{_MOMENT_PART})?").fullmatch),
        Kind("date", re.compile(rf"{_DATE_PART}( {_TIME_PART})?").fullmatch),
        Kind("phone_number", re.compile(rf"[0-9+() -]{{1,{_PHONE}}}").fullmatch),
        Kind("car_number", lambda text: len(text) <= _CAR),
        Kind("name", lambda text: len(text) <= (_LATIN_NAME if text.isascii() else _CHINESE_NAME), _fit_name),
        Kind("phrase", lambda text: len(text) <= _PHRASE and not text.isascii(), lambda text: shorten(text, _PHRASE)),
    )
}

# Which kinds of WeChat field may carry a text of ours of a kind: a brand picks its template from WeChat's catalogue,
# which may spell an order number as ``number`` or ``character_string``.
CARRIERS: dict[str, frozenset[str]] = {
    "thing": frozenset({"thing"}),
    "name": frozenset({"name", "thing"}),
    "character_string": frozenset({"character_string", "thing"}),
    "number": frozenset({"number", "character_string", "thing"}),
    "time": frozenset({"time", "date", "thing"}),
    "date": frozenset({"date", "time", "thing"}),
}


def kind_of(key: str) -> Kind | None:
    """Return the type of a field by its name (``thing1``), or None when the name is none of WeChat's."""
    found = _KEY.fullmatch(key)
    return KINDS.get(found.group(1)) if found else None


def fitted(key: str, text: str) -> str:
    """Return a text as it may stand in a field.

    Arguments:
        key: the field's name at WeChat.
        text: what to say.

    Raises:
        ValueError: it cannot be made to fit.
    """
    kind = kind_of(key)
    if kind is None:
        message = f"no such field: {key}"
        raise ValueError(message)
    value = kind.fit(clean(text))
    if not value or not kind.fits(value):
        message = f"the text does not fit {kind.name}"
        raise ValueError(message)
    return value


def moment(instant: datetime, zone: ZoneInfo) -> str:
    """Return an instant as members read it and WeChat takes it: ``2026年06月15日 12:00``."""
    local = instant.astimezone(zone)
    return f"{day(local.date())} {local:%H:%M}"


def day(value: date) -> str:
    """Return a day as members read it and WeChat takes it: ``2026年06月15日``."""
    return f"{value:%Y}年{value:%m}月{value:%d}日"
