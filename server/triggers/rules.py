"""Which happenings give a coupon, and which take it back. Pure.

A rule has versions; the newest of those written by an instant is the one that held at it. Pausing acts at once: news that still waits
gives nothing more, whatever held when it happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from server.kernel.clock import business_date

MOST_COUPONS = 5
MOST_LAPSE_DAYS = 1095
MOST_BACK_DAYS = 365
MOST_CODES = 50
MOST_FEN = 100_000_000


class TriggerKind(StrEnum):
    """What gives."""

    WELCOME = "welcome"
    TIER_UP = "tier_up"
    WIN_BACK = "win_back"
    ORDER = "order_earned"


class GiftState(StrEnum):
    """What became of one coupon of one happening.

    ``kept`` should have been taken back and was in use; ``over`` had ended before it could be.
    """

    GIVEN = "given"
    REFUSED = "refused"
    REVOKED = "revoked"
    KEPT = "kept"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule says, whatever its kind; what a kind does not ask for stays as it is.

    Arguments:
        coupons: codes of the templates, one coupon of each is given.
        tiers: of ``tier_up``: the tiers that give when they are reached; none for every tier.
        lapse_days: of ``win_back``: so many business days after the last paid order.
        back_days: of ``win_back``: who had been away so many days longer when the rule began gets one too.
        min_paid_fen: of ``order_earned``: cash paid for goods, from which on.
        channels, stores: of ``order_earned``: where the order was placed; none for anywhere.
        segments: only for members of one of these, as of their last builds when the news is handled; none for everybody.
    """

    coupons: tuple[str, ...]
    tiers: tuple[str, ...] = ()
    lapse_days: int = 0
    back_days: int = 0
    min_paid_fen: int = 0
    channels: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()

    def document(self, kind: TriggerKind) -> dict[str, Any]:
        """Return what a kind's version keeps."""
        whole = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in whole.items() if name in _OWN[kind]}

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Terms:
        """Return the terms of a version."""
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
        return cls(**values)

    def problems(self, kind: TriggerKind) -> dict[str, str]:
        """Return field → what would be right, for what makes no sense."""
        found: dict[str, str] = {}
        if not 1 <= len(self.coupons) <= MOST_COUPONS or len(set(self.coupons)) != len(self.coupons):
            found["coupons"] = f"1–{MOST_COUPONS}"
        if kind is TriggerKind.WIN_BACK and not 1 <= self.lapse_days <= MOST_LAPSE_DAYS:
            found["lapse_days"] = f"1–{MOST_LAPSE_DAYS}"
        if kind is TriggerKind.WIN_BACK and not 0 <= self.back_days <= MOST_BACK_DAYS:
            found["back_days"] = f"0–{MOST_BACK_DAYS}"
        if kind is TriggerKind.ORDER and not 1 <= self.min_paid_fen <= MOST_FEN:
            found["min_paid_fen"] = f"0.01–{MOST_FEN // 100}"
        for name in ("tiers", "channels", "stores", "segments"):
            if len(getattr(self, name)) > MOST_CODES:
                found[name] = f"0–{MOST_CODES}"
        return found


_OWN: dict[TriggerKind, tuple[str, ...]] = {
    TriggerKind.WELCOME: ("coupons", "segments"),
    TriggerKind.TIER_UP: ("coupons", "segments", "tiers"),
    TriggerKind.WIN_BACK: ("coupons", "segments", "lapse_days", "back_days"),
    TriggerKind.ORDER: ("coupons", "segments", "min_paid_fen", "channels", "stores"),
}


class Version(Protocol):
    """What deciding needs of a version of a rule."""

    @property
    def code(self) -> str:
        """Name the rule through all its versions."""
        ...

    @property
    def version(self) -> int:
        """Count the versions from 1 on."""
        ...

    @property
    def enabled(self) -> bool:
        """Tell whether it is published, not paused."""
        ...

    @property
    def valid_from(self) -> datetime | None:
        """Return from when on it holds, or None."""
        ...

    @property
    def valid_until(self) -> datetime | None:
        """Return until when it holds, or None."""
        ...

    @property
    def created_at(self) -> datetime:
        """Return when it was written."""
        ...


One = TypeVar("One", bound=Version)


@dataclass(frozen=True, slots=True)
class EarningOrder:
    """What deciding needs of an order.

    Arguments:
        goods_left_fen: cash paid for its goods, less what was refunded of it.
        gone: it was called off, or refunded whole.
    """

    channel: str
    store: str | None
    paid_at: datetime | None
    goods_left_fen: int
    gone: bool


def open_at(rule: Version, at: datetime) -> bool:
    """Tell whether a version is published and inside its window."""
    return rule.enabled and (rule.valid_from is None or rule.valid_from <= at) and (rule.valid_until is None or at < rule.valid_until)


def in_force(versions: Sequence[One], at: datetime) -> list[One]:
    """Return the version of each rule that held at an instant, of the rules that are not paused since.

    Arguments:
        versions: of any number of rules, in any order.
        at: when it happened.
    """
    newest: dict[str, One] = {}
    held: dict[str, One] = {}
    for one in sorted(versions, key=lambda one: one.version):
        newest[one.code] = one
        if one.created_at <= at:
            held[one.code] = one
    return [one for code, one in sorted(held.items()) if open_at(one, at) and newest[code].enabled]


def began_at(versions: Sequence[Version]) -> datetime | None:
    """Return since when a rule has been published without a pause, or None when it is paused.

    Arguments:
        versions: all of one rule.
    """
    began = None
    for one in sorted(versions, key=lambda one: one.version, reverse=True):
        if not one.enabled:
            break
        began = one.created_at
    return began


def earns(terms: Terms, order: EarningOrder) -> bool:
    """Tell whether an order, as it stands now, has earned a rule's coupons."""
    return (
        order.paid_at is not None
        and not order.gone
        and order.goods_left_fen >= terms.min_paid_fen
        and (not terms.channels or order.channel in terms.channels)
        and (not terms.stores or order.store in terms.stores)
    )


def lapse_days_to_do(terms: Terms, began: datetime, done_until: date | None, now: datetime, zone: ZoneInfo) -> list[date]:
    """Return the days of last purchases whose members are to be won back, the oldest first.

    Arguments:
        terms: of the version that holds.
        began: since when the rule has been published without a pause, or its window open, whichever is later.
        done_until: the newest such day that is wholly done; None before the first run.
        now: present instant.
        zone: the shop's.
    """
    last = business_date(now, zone) - timedelta(days=terms.lapse_days)
    first = business_date(began, zone) - timedelta(days=terms.lapse_days + terms.back_days)
    if done_until is not None:
        first = max(first, done_until + timedelta(days=1))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
