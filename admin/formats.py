"""How values look on a page: amounts, instants, masked texts, coloured tags. Every template uses these and nothing of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from flask import current_app
from flask_babel import get_locale, gettext, ngettext
from jinja2 import pass_context

from server.kernel.amounts import Money, Points
from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from jinja2.runtime import Context

_WAN = 10_000
_YI = 100_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Tag:
    """An enum value as people see it.

    Arguments:
        label: English msgid.
        tone: ``blue``, ``green``, ``red``, ``orange``, ``gold``, ``purple``, ``cyan`` or ``grey``.
    """

    label: str
    tone: str = "grey"


YES_NO: dict[object, Tag] = {True: Tag(N_("Yes"), "green"), False: Tag(N_("No"), "grey")}


def translated(message: object) -> str:
    """Return a msgid in the reader's language; anything else as text."""
    if message is None:
        return ""
    text = str(message)
    return str(gettext(text)) if text else ""


def reader_language() -> Literal["zh", "en"]:
    """Return the language that the sentences of rules and coupons are told in."""
    return "zh" if str(get_locale()).startswith("zh") else "en"


def money(fen: object) -> str:
    """Return an amount of money with its sign: ``¥1,234.50``."""
    if fen is None:
        return "–"
    amount = fen.fen if isinstance(fen, Money) else int(str(fen))
    sign = "-" if amount < 0 else ""
    return f"{sign}¥{abs(amount) // 100:,}.{abs(amount) % 100:02d}"


def points(count: object) -> str:
    """Return a number of points: ``1,234``."""
    if count is None:
        return "–"
    return f"{count.count if isinstance(count, Points) else int(str(count)):,}"


def short_number(value: object) -> str:
    """Return a large number short: 万 and 亿 in Chinese, K and M in English."""
    if value is None:
        return "–"
    number = float(str(value))
    steps = ((_YI, "亿"), (_WAN, "万")) if str(get_locale()).startswith("zh") else ((1_000_000, "M"), (_WAN, "K"))
    for size, unit in steps:
        if abs(number) >= size:
            divisor = 1000 if unit == "K" else size
            return f"{number / divisor:,.1f}".rstrip("0").rstrip(".") + unit
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def local(at: datetime) -> datetime:
    """Return an instant in the shop's time zone."""
    zone = current_app.extensions["huiban"].settings.zone
    return at.astimezone(zone if isinstance(zone, ZoneInfo) else ZoneInfo(str(zone)))


def instant(at: datetime | None) -> str:
    """Return an instant in the shop's time: ``2026-06-15 12:00:00``."""
    return local(at).strftime("%Y-%m-%d %H:%M:%S") if at else "–"


def minute(at: datetime | None) -> str:
    """Return an instant in the shop's time without seconds."""
    return local(at).strftime("%Y-%m-%d %H:%M") if at else "–"


def day(value: date | None) -> str:
    """Return a calendar day, of an instant the shop's."""
    if value is None:
        return "–"
    return local(value).strftime("%Y-%m-%d") if isinstance(value, datetime) else value.isoformat()


def duration(seconds: object) -> str:
    """Return a length of time in its largest whole unit."""
    if seconds is None:
        return "–"
    size = int(float(str(seconds)))
    if size < _MINUTE:
        return str(ngettext("%(num)d second", "%(num)d seconds", size))
    if size < _HOUR:
        return str(ngettext("%(num)d minute", "%(num)d minutes", size // _MINUTE))
    if size < _DAY:
        return str(ngettext("%(num)d hour", "%(num)d hours", size // _HOUR))
    return str(ngettext("%(num)d day", "%(num)d days", size // _DAY))


def ago(at: datetime | None) -> str:
    """Return how long ago an instant is, or how long until it comes."""
    if at is None:
        return "–"
    seconds = int((current_app.extensions["huiban"].clock.now() - at.astimezone(UTC)).total_seconds())
    if abs(seconds) < _MINUTE:
        return str(gettext("just now"))
    span = duration(abs(seconds))
    return str(gettext("%(span)s ago", span=span) if seconds > 0 else gettext("in %(span)s", span=span))


def share_of_stock(issued: int, stock: int | None) -> int | None:
    """Return how much of a stock is gone in percent, never above 100; None without a limit."""
    return None if stock is None else min(issued * 100 // max(stock, 1), 100)


def stock_words(issued: int, stock: int | None) -> str:
    """Return how many of how many are gone."""
    return f"{issued:,} / {stock:,}" if stock is not None else f"{issued:,} · {gettext('No limit')}"


def masked(value: object) -> str:
    """Return a personal text of which only its ends are shown; what comes masked already stays as it is."""
    if value is None or value == "":
        return "–"
    text = str(value)
    if "*" in text:
        return text
    return f"{text[:3]}****{text[-4:]}" if len(text) > 7 else f"{text[:1]}**"  # noqa: PLR2004 - shorter ones would be shown nearly whole


def plain(value: object) -> str:
    """Return any value as text, a dash for none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return str(gettext("Yes") if value else gettext("No"))
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return "、".join(plain(item) for item in value) or "–"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


_KINDS = {
    "text": plain, "money": money, "points": points, "number": plain, "instant": instant, "minute": minute, "date": day, "ago": ago,
    "masked": masked, "link": plain, "tag": plain, "code": plain, "duration": duration, "bar": plain,
}  # fmt: skip


def shown(value: Any, kind: str = "text") -> str:
    """Return a value as text after the manner of its kind."""
    return _KINDS[kind](value)


def tag_of(value: Any, tags: dict[Any, Tag] | None) -> Tag:
    """Return the tag of an enum value; an unknown value is shown as it is, in grey."""
    key = getattr(value, "value", value)
    return (tags or {}).get(value) or (tags or {}).get(key) or Tag(plain(key), "grey")


def _at_render(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that is worked out at every rendering.

    Jinja folds a plain filter over a constant when it compiles the template, and the first visitor's language would stay for all.
    """

    @pass_context
    @wraps(function)
    def filtered(_context: Context, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return filtered


def init_app(app: Flask) -> None:
    """Give the formats to the templates."""
    filters = {
        "t": translated,
        "money": money,
        "points": points,
        "short": short_number,
        "instant": instant,
        "minute": minute,
        "day": day,
        "ago": ago,
        "masked": masked,
        "plain": plain,
        "shown": shown,
    }
    app.jinja_env.filters.update({name: _at_render(function) for name, function in filters.items()})
    app.jinja_env.globals.update(tag_of=tag_of)
