"""Why an entry gave so many points, and why a line gave none: the trace that ``order_points`` left, put into words.

Members and staff read the same words; rules are told by their names, never by ids. Traces of older versions are read too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from server.points.rules.earning import BELOW_MINIMUM, CAP_REACHED, EXCLUDED, NO_RULE_FITS, NOTHING_PAID
from server.points.rules.sentence import EVENTS, ROUNDINGS, Language, times, yuan

_POLICIES: dict[str, dict[Language, str]] = {
    "birthday": {"zh": "生日礼", "en": "birthday gift"},
    "tier_gift": {"zh": "升级礼", "en": "gift for reaching a tier"},
    "inviter": {"zh": "邀请有礼，邀请人奖励", "en": "invitation, the inviter's reward"},
    "friend": {"zh": "邀请有礼，好友奖励", "en": "invitation, the friend's reward"},
}
# What an order says whose points were never worked out.
NOT_PAID, CALLED_OFF, NOBODYS = "not_paid", "called_off", "nobodys"
BELOW_ONE = "below_one"
_CAPS: dict[str, dict[Language, str]] = {
    "day": {"zh": "每日上限", "en": "the day's cap of"},
    "member": {"zh": "每人累计上限", "en": "the member's cap of"},
    "in_all": {"zh": "活动总预算", "en": "the campaign's budget of"},
}
_NONE: dict[str, dict[Language, str]] = {
    NOTHING_PAID: {"zh": "没有实付金额，不计积分", "en": "nothing was paid in cash, so nothing is earned"},
    NO_RULE_FITS: {"zh": "没有适用的积分规则", "en": "no points rule fits"},
    BELOW_ONE: {"zh": "不足1分", "en": "too little for a whole point"},
    NOT_PAID: {"zh": "付款后计算积分", "en": "points are worked out once it is paid"},
    CALLED_OFF: {"zh": "订单已取消，不计积分", "en": "the order was called off, so nothing is earned"},
    NOBODYS: {"zh": "未关联会员，不计积分", "en": "the buyer is no member we know, so nothing is earned"},
}


def why_entry(details: Mapping[str, Any] | None, language: Language, names: Mapping[str, str]) -> list[str]:
    """Return why an entry moved so many points, one sentence for each reason.

    Arguments:
        details: of the entry, or None.
        language: ``zh`` or ``en``.
        names: rule code → name as the reader reads it.
    """
    if not details:
        return []
    told = [_reason(reason, language, names) for reason in details.get("why", ())]
    zh = language == "zh"
    if details.get("owed"):
        told.append(f"余额不足，{details['owed']}分记为欠分" if zh else f"{details['owed']} points were missing and are owed")
    if details.get("forgiven"):
        told.append(f"余额不足，免除{details['forgiven']}分" if zh else f"{details['forgiven']} points were missing and are forgiven")
    return told


def why_line(details: Mapping[str, Any] | None, line_no: int, points: int, language: Language, names: Mapping[str, str]) -> list[str]:
    """Return why a line of an order earned its points, or none.

    Arguments:
        details: the order's trace; None when it has none.
        line_no: which line.
        points: what it earned.
        language: ``zh`` or ``en``.
        names: rule code → name as the reader reads it.
    """
    told: list[str] = []
    for reason in (details or {}).get("why", ()):
        if reason.get("line_no") == line_no:
            told.append(_why_none(reason, language, names))
        elif line_no in reason.get("lines", ()):
            if points:
                told.append(_how(reason, language, names, line_no))
            elif _capped(reason):
                told.append(_name(reason, language, names) + _cap(reason, language))
            else:
                told.append(_name(reason, language, names) + _NONE[BELOW_ONE][language])
    return told


def why_none(code: str, language: Language) -> str:
    """Return why an order that was not worked out has no points: ``not_paid``, ``called_off`` or ``nobodys``."""
    return _NONE[code][language]


def _reason(reason: Mapping[str, Any], language: Language, names: Mapping[str, str]) -> str:
    zh = language == "zh"
    points = f"{reason['points']}分" if zh else f"{reason['points']} point{'' if reason['points'] == 1 else 's'}"
    if "line_no" in reason:
        line = f"第{reason['line_no']}行" if zh else f"line {reason['line_no']}"
        return _end(f"{line}{_colon(zh)}{_why_none(reason, language, names)}")
    if "policy" in reason or "refund_line" in reason:
        told = f"{_policy(reason, language)}{_colon(zh)}{points}" if "policy" in reason else _refunded(reason, language)
        return _end(told)
    if "streak_days" in reason:
        days = f"连续签到第{reason['streak_days']}天" if zh else f"day {reason['streak_days']} of checking in"
        return _end(f"{_name(reason, language, names)}{days}{_colon(zh)}{points}")
    if "event" in reason:
        what = EVENTS[reason["event"]][language] if reason["event"] in EVENTS else reason["event"]
        return _end(f"{_name(reason, language, names)}{what}{_colon(zh)}{points}")
    if "fen_per_point" not in reason:
        return _end(f"{_name(reason, language, names)}{points}")
    lines = _lines(reason["lines"], zh=zh)
    basis = f"{lines}实付{yuan(reason['basis_fen'])}元" if zh else f"¥{yuan(reason['basis_fen'])} paid for {lines}"
    told = f"{_how(reason, language, names, None, basis)}{_colon(zh)}{points}"
    if _capped(reason):
        before = (
            f"，本应得{reason['before_cap']}分，{_cap(reason, language)}"
            if zh
            else f"; {reason['before_cap']} before {_cap(reason, language)}"
        )
        told += before
    return _end(told)


def _policy(reason: Mapping[str, Any], language: Language) -> str:
    """Return which of the shop's own settings gave the points: of birthdays, of tiers, of invitations."""
    told = _POLICIES[reason["policy"]][language]
    if reason.get("on"):
        told += f"（{reason['on']}）" if language == "zh" else f" ({reason['on']})"
    if reason.get("tier"):
        told += f"，{reason['tier']}" if language == "zh" else f", {reason['tier']}"
    if reason.get("version"):
        told += f"，规则第{reason['version']}版" if language == "zh" else f", version {reason['version']} of the rule"
    return told


def _refunded(reason: Mapping[str, Any], language: Language) -> str:
    line, points, earned = reason["refund_line"], reason["points"], reason["earned"]
    refunded, paid = yuan(reason["refunded_fen"]), yuan(reason["paid_fen"])
    if language == "zh":
        return f"第{line}行实付{paid}元得{earned}分，至今退款{refunded}元，收回{points}分"
    return f"line {line}: ¥{paid} paid earned {earned}; ¥{refunded} of it is refunded by now, which takes {points} back"


def _how(reason: Mapping[str, Any], language: Language, names: Mapping[str, str], line_no: int | None, basis: str = "") -> str:
    """Return how a per-amount rule worked: the rate, what multiplied, how it was rounded."""
    zh = language == "zh"
    parts = [basis] if basis else []
    parts.append(f"每{yuan(reason['fen_per_point'])}元1分" if zh else f"1 point for every ¥{yuan(reason['fen_per_point'])}")
    if reason.get("multiplier_percent", 100) != 100:  # noqa: PLR2004 - a hundred percent
        factor = times(reason["multiplier_percent"])
        parts.append(f"等级{factor}倍" if zh else f"{factor} times by tier")
    for campaign in reason.get("campaigns", ()):
        if line_no is not None and line_no not in campaign["lines"]:
            continue
        name, factor = names.get(campaign["rule"], campaign["rule"]), times(campaign["percent"])
        lines = "" if line_no is not None or set(campaign["lines"]) == set(reason["lines"]) else _lines(campaign["lines"], zh=zh)
        words = f"{lines}「{name}」{factor}倍" if zh else f"{factor} times by “{name}”{f' on {lines}' if lines else ''}"
        parts.append(words)
    if "rounding" in reason:
        each = ("按行" if reason["by_line"] else "按单") if zh else f" for each {'line' if reason['by_line'] else 'order'}"
        words = ROUNDINGS[reason["rounding"]][language]
        parts.append(f"{each}{words}" if zh else f"{words}{each}")
    return _name(reason, language, names) + ("，" if zh else ", ").join(parts)


def _why_none(reason: Mapping[str, Any], language: Language, names: Mapping[str, str]) -> str:
    zh, why = language == "zh", reason.get("why")
    name = names.get(reason.get("rule", ""), reason.get("rule", ""))
    if why == EXCLUDED:
        return f"不在「{name}」范围内" if zh else f"left out by “{name}”"
    if why == BELOW_MINIMUM:
        fen = yuan(reason["min_order_fen"])
        return f"订单未满「{name}」要求的{fen}元" if zh else f"the order is below the ¥{fen} that “{name}” asks for"
    return _NONE.get(str(why), _NONE[NO_RULE_FITS])[language]


def _capped(reason: Mapping[str, Any]) -> bool:
    return reason.get("why") in {CAP_REACHED, "daily_cap"}


def _cap(reason: Mapping[str, Any], language: Language) -> str:
    which = _CAPS[reason.get("cap_of", "day")][language]
    return f"已达{which}{reason['cap']}分" if language == "zh" else f"{which} {reason['cap']} points was reached"


def _name(reason: Mapping[str, Any], language: Language, names: Mapping[str, str]) -> str:
    code = reason.get("rule")
    if not code:
        return ""
    name = names.get(code, code)
    return f"「{name}」" if language == "zh" else f"“{name}”: "


def _lines(numbers: Sequence[int], *, zh: bool) -> str:
    listed = ("、" if zh else ", ").join(str(number) for number in numbers)
    if zh:
        return f"第{listed}行"
    return f"line {listed}" if len(numbers) == 1 else f"lines {listed}"


def _colon(zh: bool) -> str:
    return "：" if zh else ": "


def _end(told: str) -> str:
    return told[:1].upper() + told[1:]
