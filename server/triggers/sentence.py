"""The sentence that tells a rule, in Chinese or English, made from the rule alone.

It stands here and not in a translation catalogue because its grammar differs by language, not only its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from server.triggers.rules import TriggerKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.triggers.rules import Terms

Language = Literal["zh", "en"]


def sentence(
    kind: TriggerKind,
    terms: Terms,
    language: Language,
    *,
    coupons: Mapping[str, str] | None = None,
    places: Mapping[str, str] | None = None,
) -> str:
    """Return what a rule does, in one sentence.

    Arguments:
        kind: of the rule.
        terms: what it says.
        language: ``zh`` or ``en``.
        coupons: template code → name; a code without a name stands for itself.
        places: code of a tier, a channel, a store or a segment → name in that language, likewise.
    """
    coupons, places = coupons or {}, places or {}
    named = [coupons.get(code, code) for code in terms.coupons]
    if language == "zh":
        only = f"仅限{'、'.join(f'「{places.get(code, code)}」' for code in terms.segments)}人群。" if terms.segments else ""
        return f"{_when_zh(kind, terms, places)}，送{_listed_zh(named)}。{only}{_back_zh(kind, terms)}"
    only = f" Only for members of {' or '.join(f'“{places.get(code, code)}”' for code in terms.segments)}." if terms.segments else ""
    return f"{_when_en(kind, terms, places)}: {_listed_en(named)}.{only} {_back_en(kind, terms)}".rstrip()


def yuan(fen: int) -> str:
    """Return an amount in yuan without idle zeros: ``100``, ``9.9``, ``0.05``."""
    whole, rest = divmod(fen, 100)
    return f"{whole}" if rest == 0 else f"{whole}.{rest:02d}".rstrip("0")


def _when_zh(kind: TriggerKind, terms: Terms, places: Mapping[str, str]) -> str:
    if kind is TriggerKind.WELCOME:
        return "会员首次登录入会"
    if kind is TriggerKind.TIER_UP:
        tiers = [places.get(code, code) for code in terms.tiers]
        return f"会员升级到{'或'.join(tiers)}" if tiers else "会员升级到任一更高等级"
    if kind is TriggerKind.WIN_BACK:
        return f"会员连续{terms.lapse_days}天没有付款订单"
    where = "、".join(places.get(code, code) for code in (*terms.channels, *terms.stores))
    return f"{f'在{where}' if where else ''}单笔订单商品实付满{yuan(terms.min_paid_fen)}元"


def _back_zh(kind: TriggerKind, terms: Terms) -> str:
    if kind is TriggerKind.ORDER:
        return "每笔订单只送一次；订单取消、全额退款，或部分退款后不足该金额，未使用的券收回。"
    if kind is TriggerKind.WIN_BACK:
        more = f"规则启用时已沉睡{terms.lapse_days}至{terms.lapse_days + terms.back_days}天的会员也会收到。" if terms.back_days else ""
        return f"每次沉睡只送一次。{more}"
    return "每人只送一次。" if kind is TriggerKind.WELCOME else "每次升级只送一次。"


def _listed_zh(names: Sequence[str]) -> str:
    return "、".join(f"「{name}」" for name in names)


def _when_en(kind: TriggerKind, terms: Terms, places: Mapping[str, str]) -> str:
    if kind is TriggerKind.WELCOME:
        return "For joining by the first log-in"
    if kind is TriggerKind.TIER_UP:
        tiers = [places.get(code, code) for code in terms.tiers]
        return f"For reaching {' or '.join(tiers)}" if tiers else "For reaching any higher tier"
    if kind is TriggerKind.WIN_BACK:
        return f"For {terms.lapse_days} days without a paid order"
    where = ", ".join(places.get(code, code) for code in (*terms.channels, *terms.stores))
    return f"For an order with ¥{yuan(terms.min_paid_fen)} or more paid for goods{f' at {where}' if where else ''}"


def _back_en(kind: TriggerKind, terms: Terms) -> str:
    if kind is TriggerKind.ORDER:
        return (
            "Once for each order; called off, refunded whole, or refunded so far that the amount is not reached any more, "
            "the order takes the unused coupon back."
        )
    if kind is TriggerKind.WIN_BACK:
        longest = terms.lapse_days + terms.back_days
        more = f" Who has been away for {terms.lapse_days} to {longest} days when the rule begins gets it too." if terms.back_days else ""
        return f"Once for each absence.{more}"
    return "Once for each person." if kind is TriggerKind.WELCOME else "Once for each upgrade."


def _listed_en(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)
