"""The sentence that tells a rule, in Chinese or English, made from the rule alone.

It stands here and not in a translation catalogue because its grammar differs by language, not only its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from server.segments.rules import Fact, Test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.segments.rules import Condition, Group, Rule

Language = Literal["zh", "en"]
_GENDERS = {"zh": {"female": "女", "male": "男", "unknown": "未填写"}, "en": {"female": "female", "male": "male", "unknown": "not told"}}
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_CHOICES = {
    "zh": {
        Fact.TIER: "等级",
        Fact.JOINED_VIA: "入会渠道",
        Fact.BIRTHDAY_MONTH: "生日月份",
        Fact.GENDER: "性别",
        Fact.CITY: "城市",
        Fact.COUPON: "可用优惠券",
    },
    "en": {
        Fact.TIER: "tier",
        Fact.JOINED_VIA: "joined by",
        Fact.BIRTHDAY_MONTH: "birthday month",
        Fact.GENDER: "gender",
        Fact.CITY: "city",
        Fact.COUPON: "has the coupon",
    },
}
_NUMBERS = {
    "zh": {Fact.GROWTH: "成长值", Fact.POINTS: "可用积分", Fact.COUPONS: "持有优惠券", Fact.ORDERS: "付款订单", Fact.PAID: "实付金额"},
    "en": {
        Fact.GROWTH: "growth",
        Fact.POINTS: "points",
        Fact.COUPONS: "coupons held",
        Fact.ORDERS: "paid orders",
        Fact.PAID: "amount paid",
    },
}
_UNITS = {Fact.COUPONS: "张", Fact.ORDERS: "笔"}


def sentence(rule: Rule, language: Language, names: Mapping[str, str] | None = None) -> str:
    """Return whom a rule chooses, in one sentence.

    Arguments:
        rule: what it says.
        language: ``zh`` or ``en``.
        names: code of a tier, a channel, a store, a way of joining or a template → its name in that language; a code without stands
            for itself.
    """
    names = names or {}
    groups = [_group(group, language, names, alone=len(rule.groups) == 1) for group in rule.groups]
    if language == "zh":
        return ("，且" if rule.join == "all" else "，或").join(groups) + "的会员。"
    return "Members with " + (", and " if rule.join == "all" else ", or ").join(groups) + "."


def yuan(fen: int) -> str:
    """Return an amount in yuan without idle zeros: ``100``, ``9.9``, ``0.05``."""
    whole, rest = divmod(fen, 100)
    return f"{whole}" if rest == 0 else f"{whole}.{rest:02d}".rstrip("0")


def _group(group: Group, language: Language, names: Mapping[str, str], *, alone: bool) -> str:
    write = _zh if language == "zh" else _en
    parts = [write(each, names) for each in group.conditions]
    if language == "zh":
        told = ("且" if group.join == "all" else "或").join(parts)
        bare = alone or len(parts) == 1
        return f"不满足「{told}」" if group.negated else (told if bare else f"（{told}）")
    told = (" and " if group.join == "all" else " or ").join(parts)
    bare = alone or len(parts) == 1
    return f"not ({told})" if group.negated else (told if bare else f"({told})")


def _named(condition: Condition, language: Language, names: Mapping[str, str]) -> list[str]:
    if condition.fact is Fact.GENDER:
        return [_GENDERS[language].get(value, value) for value in condition.values]
    if condition.fact is Fact.BIRTHDAY_MONTH:
        months = [int(value) for value in condition.values]
        return [f"{month}月" if language == "zh" else _MONTHS[month - 1] for month in months]
    return [names.get(value, value) for value in condition.values]


def _zh(condition: Condition, names: Mapping[str, str]) -> str:
    fact, number, turned = condition.fact, condition.number, condition.negated
    if condition.test is Test.ONE_OF:
        listed = _either(_named(condition, "zh", names), "、", "或")
        if fact in {Fact.STORE, Fact.CHANNEL}:
            return f"{_days_zh(condition)}{'没有' if turned else ''}在{listed}买过"
        return f"{_CHOICES['zh'][fact]}{'不' if turned else ''}是{listed}"
    if condition.test in {Test.WITHIN, Test.BEYOND}:
        what = "入会" if fact is Fact.JOINED else "最近一次付款"
        when = f"在{number}天内" if condition.test is Test.WITHIN else f"在{number}天以前"
        return f"{what}{'不' if turned else ''}{when}"
    value = f"{yuan(number)}元" if fact is Fact.PAID else f"{number}{_UNITS.get(fact, '')}"
    compared = {(Test.AT_LEAST, False): "至少", (Test.AT_MOST, False): "至多", (Test.AT_LEAST, True): "少于", (Test.AT_MOST, True): "多于"}
    return f"{_days_zh(condition)}{_NUMBERS['zh'][fact]}{compared[condition.test, turned]}{value}"


def _days_zh(condition: Condition) -> str:
    return f"近{condition.days}天" if condition.days is not None else ""


def _en(condition: Condition, names: Mapping[str, str]) -> str:
    fact, number, turned = condition.fact, condition.number, condition.negated
    if condition.test is Test.ONE_OF:
        listed = _either(_named(condition, "en", names), ", ", " or ")
        if fact in {Fact.STORE, Fact.CHANNEL}:
            return f"{'nothing' if turned else 'something'} bought at {listed}{_days_en(condition)}"
        return f"{_CHOICES['en'][fact]} {'other than ' if turned else ''}{listed}"
    if condition.test in {Test.WITHIN, Test.BEYOND}:
        what = "joining" if fact is Fact.JOINED else "the newest payment"
        when = f"within {number} days" if condition.test is Test.WITHIN else f"more than {number} days ago"
        return f"{what} {'not ' if turned else ''}{when}"
    value = f"¥{yuan(number)}" if fact is Fact.PAID else str(number)
    compared = {
        (Test.AT_LEAST, False): "at least",
        (Test.AT_MOST, False): "at most",
        (Test.AT_LEAST, True): "less than",
        (Test.AT_MOST, True): "more than",
    }
    return f"{_NUMBERS['en'][fact]} {compared[condition.test, turned]} {value}{_days_en(condition)}"


def _days_en(condition: Condition) -> str:
    return f" in the last {condition.days} days" if condition.days is not None else ""


def _either(names: Sequence[str], comma: str, last: str) -> str:
    return names[0] if len(names) == 1 else f"{comma.join(names[:-1])}{last}{names[-1]}"
