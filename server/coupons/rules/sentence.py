"""The sentence a member reads on a coupon, in Chinese or English, made from its terms alone.

It stands here and not in a translation catalogue because its grammar differs by language, not only its words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from server.coupons.rules.hours import clock
from server.coupons.rules.terms import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from server.coupons.rules.hours import Window
    from server.coupons.rules.terms import Terms, Validity

Language = Literal["zh", "en"]
_DAYS = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
_RUN = 3  # so many days in a row are told as from–to


def sentence(terms: Terms, language: Language, *, validity: Validity | None = None, zone: ZoneInfo | None = None) -> str:
    """Return what a coupon promises, in one sentence.

    Arguments:
        terms: the promise.
        language: ``zh`` or ``en``.
        validity: said too, when given together with ``zone``.
        zone: the shop's time zone, in which the days are told.
    """
    write = _chinese if language == "zh" else _english
    parts = write(terms)
    if validity is not None and zone is not None:
        parts.append(_validity(validity, zone, language))
    return ("，".join(parts) + "。") if language == "zh" else "; ".join(parts) + "."


def offer(terms: Terms, language: Language) -> str:
    """Return the offer alone, for a list: ``满100元减20元``."""
    return (_chinese_offer if language == "zh" else _english_offer)(terms)


def yuan(fen: int) -> str:
    """Return an amount in yuan without idle zeros: ``100``, ``9.9``, ``0.05``."""
    whole, rest = divmod(fen, 100)
    return f"{whole}" if rest == 0 else f"{whole}.{rest:02d}".rstrip("0")


def _chinese_offer(terms: Terms) -> str:
    if terms.kind is Kind.STEPS:
        return "，".join(f"满{yuan(threshold)}元减{yuan(amount)}元" for threshold, amount in terms.steps)
    over = f"满{yuan(terms.threshold_fen)}元" if terms.threshold_fen else ""
    if terms.kind is Kind.AMOUNT_OFF:
        return f"{over}减{yuan(terms.amount_off_fen)}元" if over else f"立减{yuan(terms.amount_off_fen)}元"
    if terms.kind is Kind.PERCENT_OFF:
        tenths = yuan((100 - terms.percent_off) * 10)  # 80 % of the price is 八折, 85 % is 8.5 折
        return f"{over}享{tenths}折" if over else f"{tenths}折"
    if terms.kind is Kind.FREE_SHIPPING:
        return f"{over}包邮"
    if terms.kind is Kind.GIFT:
        return f"{over}赠{terms.gift_sku}×{terms.gift_quantity}"
    return f"{over}可兑换指定商品一件"


def _chinese(terms: Terms) -> list[str]:
    scope = terms.scope
    parts = [_chinese_offer(terms)]
    if terms.cap_fen is not None:
        parts.append(f"最高优惠{yuan(terms.cap_fen)}元")
    goods = _listed([*scope.categories, *scope.products], "、")
    if goods:
        parts.append(f"限{goods}")
    left_out = _listed([*scope.excluded_categories, *scope.excluded_products], "、")
    if left_out:
        parts.append(f"{left_out}除外")
    for label, codes in (("限门店", scope.stores), ("限渠道", scope.channels), ("限会员等级", scope.tiers)):
        if codes:
            parts.append(f"{label}{_listed(codes, '、')}")
    # What a group is called is for colleagues.
    parts += ["限受邀会员"] * bool(scope.segments)
    if terms.hours:
        parts.append(f"限{'、'.join(_chinese_window(window) for window in terms.hours)}使用")
    if terms.first_order_only:
        parts.append("仅限首单")
    parts += [f"{_chinese_day(first)}至{_chinese_day(last)}不可用" for first, last in terms.blackouts]
    if not terms.combinable:
        parts.append("不可与其他优惠券同时使用")
    if terms.giftable:
        parts.append("可转赠好友")
    return parts


def _english_offer(terms: Terms) -> str:
    if terms.kind is Kind.STEPS:
        return ", ".join(f"¥{yuan(amount)} off on ¥{yuan(threshold)} or more" for threshold, amount in terms.steps)
    over = f" on ¥{yuan(terms.threshold_fen)} or more" if terms.threshold_fen else ""
    if terms.kind is Kind.AMOUNT_OFF:
        return f"¥{yuan(terms.amount_off_fen)} off{over}"
    if terms.kind is Kind.PERCENT_OFF:
        return f"{terms.percent_off}% off{over}"
    if terms.kind is Kind.FREE_SHIPPING:
        return f"free shipping{over}"
    if terms.kind is Kind.GIFT:
        return f"{terms.gift_quantity} × {terms.gift_sku} as a gift{over}"
    return f"one of the named goods free{over}"


def _english(terms: Terms) -> list[str]:
    scope = terms.scope
    first_part = _english_offer(terms)
    parts = [first_part[0].upper() + first_part[1:]]
    if terms.cap_fen is not None:
        parts.append(f"at most ¥{yuan(terms.cap_fen)}")
    goods = _listed([*scope.categories, *scope.products], ", ")
    if goods:
        parts.append(f"for {goods} only")
    left_out = _listed([*scope.excluded_categories, *scope.excluded_products], ", ")
    if left_out:
        parts.append(f"not for {left_out}")
    for label, codes in (("in stores", scope.stores), ("on channels", scope.channels), ("for tiers", scope.tiers)):
        if codes:
            parts.append(f"{label} {_listed(codes, ', ')}")
    parts += ["for invited members"] * bool(scope.segments)
    if terms.hours:
        parts.append(f"only {', '.join(_english_window(window) for window in terms.hours)}")
    if terms.first_order_only:
        parts.append("on the first order only")
    parts += [f"not from {first.isoformat()} to {last.isoformat()}" for first, last in terms.blackouts]
    if not terms.combinable:
        parts.append("not together with other coupons")
    if terms.giftable:
        parts.append("may be given to a friend")
    return parts


def _validity(validity: Validity, zone: ZoneInfo, language: Language) -> str:
    if validity.days is not None:
        return _days(validity.days, validity.starts_after_days, language)
    if validity.valid_from is None or validity.valid_until is None:
        return "有效期未定" if language == "zh" else "validity not set"
    first, last = last_days(validity.valid_from, validity.valid_until, zone)
    if language == "zh":
        return f"{_chinese_day(first)}至{_chinese_day(last)}有效"
    return f"valid from {first.isoformat()} to {last.isoformat()}"


def _days(days: int, starts_after_days: int, language: Language) -> str:
    if language == "zh":
        if starts_after_days:
            return f"领取{starts_after_days}天后生效，生效后{days}天内有效"
        return "领取当天有效" if days == 1 else f"领取后{days}天内有效"
    if starts_after_days:
        held, wait = ("day" if number == 1 else "days" for number in (days, starts_after_days))
        return f"valid for {days} {held}, beginning {starts_after_days} {wait} after it is claimed"
    return "valid on the day it is claimed" if days == 1 else f"valid for {days} days once claimed"


def last_days(valid_from: datetime, valid_until: datetime, zone: ZoneInfo) -> tuple[date, date]:
    """Return the first and the last business day of a validity whose end is the first instant no longer valid."""
    return valid_from.astimezone(zone).date(), (valid_until - timedelta(microseconds=1)).astimezone(zone).date()


def _chinese_window(window: Window) -> str:
    days = window.weekdays
    if len(days) >= _RUN and days[-1] - days[0] == len(days) - 1:
        told = f"周{_DAYS['zh'][days[0] - 1]}至周{_DAYS['zh'][days[-1] - 1]}"
    else:
        told = "、".join(f"周{_DAYS['zh'][day - 1]}" for day in days) or "每天"
    return f"{told}{clock(window.start)}至{'次日' if window.overnight else ''}{clock(window.end)}"


def _english_window(window: Window) -> str:
    days = window.weekdays
    if len(days) >= _RUN and days[-1] - days[0] == len(days) - 1:
        told = f"{_DAYS['en'][days[0] - 1]} to {_DAYS['en'][days[-1] - 1]}"
    else:
        told = " and ".join(_DAYS["en"][day - 1] for day in days) or "daily"
    return f"{told} {clock(window.start)} to {clock(window.end)}{' the next day' if window.overnight else ''}"


def _chinese_day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _listed(codes: Sequence[str], separator: str) -> str:
    return separator.join(codes)
