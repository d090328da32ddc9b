"""The sentence that tells a rule, in Chinese or English, made from the rule alone.

It stands here and not in a translation catalogue because its grammar differs by language, not only its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from server.points.rules.kinds import CheckInRule, EarningEvent, EventRule, MultiplierRule, PerAmountRule, Rounding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.points.rules.kinds import Rule, Scope

Language = Literal["zh", "en"]

ROUNDINGS: dict[str, dict[Language, str]] = {
    Rounding.FLOOR: {"zh": "向下取整", "en": "rounded down"},
    Rounding.HALF_UP: {"zh": "四舍五入", "en": "rounded half up"},
    Rounding.CEIL: {"zh": "向上取整", "en": "rounded up"},
}
EVENTS: dict[str, dict[Language, str]] = {
    EarningEvent.SIGN_UP: {"zh": "注册成为会员", "en": "joining"},
    EarningEvent.PROFILE_COMPLETED: {"zh": "完善资料", "en": "a complete profile"},
    EarningEvent.FIRST_ORDER: {"zh": "首笔订单", "en": "the first order"},
    EarningEvent.TICKET_RATED: {"zh": "评价客服答复", "en": "rating an answer"},
}
_WEEKDAYS_ZH = "一二三四五六日"
_WEEKDAYS_EN = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


def sentence(rule: Rule, language: Language) -> str:
    """Return what a rule gives, in one sentence."""
    zh = language == "zh"
    if isinstance(rule, PerAmountRule):
        parts = _per_amount_zh(rule) if zh else _per_amount_en(rule)
    elif isinstance(rule, MultiplierRule):
        parts = _multiplier(rule, zh=zh)
    elif isinstance(rule, EventRule):
        parts = _event(rule, zh=zh)
    else:
        parts = _check_in(rule, zh=zh)
    return "，".join(parts) + "。" if zh else "; ".join(parts) + "."


def yuan(fen: int) -> str:
    """Return an amount in yuan without idle zeros: ``100``, ``9.9``, ``0.05``."""
    whole, rest = divmod(fen, 100)
    return f"{whole}" if rest == 0 else f"{whole}.{rest:02d}".rstrip("0")


def times(percent: int) -> str:
    """Return a percentage as a factor: 200 is ``2``, 150 is ``1.5``."""
    return yuan(percent)


def _per_amount_zh(rule: PerAmountRule) -> list[str]:
    parts = [f"每消费{yuan(rule.fen_per_point)}元得1分", *_scope(rule.scope, zh=True)]
    if rule.min_order_fen:
        parts.append(f"订单满{yuan(rule.min_order_fen)}元")
    if rule.rounding is not Rounding.FLOOR or rule.by_line:
        parts.append(f"{'按行' if rule.by_line else '按单'}{ROUNDINGS[rule.rounding]['zh']}")
    for label, cap in (
        ("每天最多", rule.max_points_per_day),
        ("每人累计最多", rule.max_points_per_member),
        ("总预算", rule.max_points_in_all),
    ):
        if cap is not None:
            parts.append(f"{label}{cap}分")
    if not rule.use_tier_multiplier:
        parts.append("不计等级倍数")
    if not rule.use_campaigns:
        parts.append("不参加积分倍数活动")
    if rule.stacks:
        parts.append("在其他规则之外另加")
    return parts


def _per_amount_en(rule: PerAmountRule) -> list[str]:
    parts = [f"1 point for every ¥{yuan(rule.fen_per_point)}", *_scope(rule.scope, zh=False)]
    if rule.min_order_fen:
        parts.append(f"orders of ¥{yuan(rule.min_order_fen)} or more")
    if rule.rounding is not Rounding.FLOOR or rule.by_line:
        parts.append(f"{ROUNDINGS[rule.rounding]['en']} for each {'line' if rule.by_line else 'order'}")
    for cap, words in (
        (rule.max_points_per_day, "a day"),
        (rule.max_points_per_member, "for each member in all"),
        (rule.max_points_in_all, "for all members together"),
    ):
        if cap is not None:
            parts.append(f"at most {cap} points {words}")
    if not rule.use_tier_multiplier:
        parts.append("the tier does not multiply")
    if not rule.use_campaigns:
        parts.append("campaigns do not multiply")
    if rule.stacks:
        parts.append("on top of other rules")
    return parts


def _multiplier(rule: MultiplierRule, *, zh: bool) -> list[str]:
    days = [f"每周{_WEEKDAYS_ZH[day - 1]}" if zh else f"on {_WEEKDAYS_EN[day - 1]}" for day in sorted(rule.weekdays)]
    days += [f"每月{day}日" if zh else f"on day {day} of the month" for day in sorted(rule.month_days)]
    factor = f"积分{times(rule.percent)}倍" if zh else f"{times(rule.percent)} times the points"
    head = ("、".join(days) if zh else " and ".join(days)).strip()
    parts = [f"{head}{factor}" if zh else f"{factor} {head}".strip(), *_scope(rule.scope, zh=zh)]
    if rule.tiers:
        parts.append(f"限会员等级{_listed(rule.tiers, zh=zh)}" if zh else f"for tiers {_listed(rule.tiers, zh=zh)}")
    if rule.compounds:
        parts.append("与其他倍数相乘" if zh else "multiplies on top of other campaigns")
    return parts


def _event(rule: EventRule, *, zh: bool) -> list[str]:
    what = EVENTS[rule.event]["zh" if zh else "en"]
    parts = [f"{what}得{rule.points}分" if zh else f"{rule.points} points for {what}"]
    if rule.event.once:
        parts.append("每人一次" if zh else "once for each member")
    if rule.max_times_per_day is not None:
        parts.append(f"每天最多{rule.max_times_per_day}次" if zh else f"at most {rule.max_times_per_day} times a day")
    if rule.pending_days:
        parts.append(f"{rule.pending_days}天后到账" if zh else f"available after {rule.pending_days} days")
    return parts


def _check_in(rule: CheckInRule, *, zh: bool) -> list[str]:
    parts = [f"每天签到得{rule.points}分" if zh else f"{rule.points} points a day for checking in"]
    parts += [
        f"连续{days}天另加{more}分" if zh else f"{more} more after {days} days in a row" for days, more in sorted(rule.streak_bonus.items())
    ]
    if rule.cycle_days:
        parts.append(f"每{rule.cycle_days}天重新开始" if zh else f"starts again after {rule.cycle_days} days")
    return parts


def _scope(scope: Scope, *, zh: bool) -> list[str]:
    parts = []
    limits = (
        (scope.channels, "限渠道", "on channels"),
        (scope.stores, "限门店", "in stores"),
        (scope.categories, "限分类", "for categories"),
        (scope.skus, "限商品", "for products"),
    )
    for codes, chinese, english in limits:
        if codes:
            parts.append(f"{chinese}{_listed(codes, zh=zh)}" if zh else f"{english} {_listed(codes, zh=zh)}")
    left_out = (
        (scope.except_stores, "门店", "in stores"),
        (scope.except_categories, "分类", "for categories"),
        (scope.except_skus, "商品", "for products"),
    )
    for codes, chinese, english in left_out:
        if codes:
            parts.append(f"{chinese}{_listed(codes, zh=zh)}除外" if zh else f"not {english} {_listed(codes, zh=zh)}")
    return parts


def _listed(codes: Iterable[str], *, zh: bool) -> str:
    return ("、" if zh else ", ").join(sorted(codes))
