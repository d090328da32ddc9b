"""What an entry says for itself when no rule gave its points: every kind has a sentence, out of what the books know about it.

Pure. Members and staff read the same words; who asked and who approved is told to staff only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from server.points.rules.sentence import Language


@dataclass(frozen=True, slots=True)
class Background:
    """What the books know about an entry beside itself.

    Arguments:
        kind: of the entry.
        points: that it moved; below zero when it took some.
        reason: of the entry, in the reader's language.
        source: namespace of what caused it.
        details: of the entry.
        other: reason of the entry that it takes back, gives back, or whose lot it is about; in the reader's language.
        other_points: that the other entry moved.
        ends_at: when the lot unlocked or expired, or until when a reservation held.
    """

    kind: str
    points: int
    reason: str
    source: str
    details: Mapping[str, Any] = field(default_factory=dict)
    other: str = ""
    other_points: int = 0
    ends_at: datetime | None = None


_CHINESE = {
    "redeem": "使用{points}分，先用最早到期的",
    "redeem_reserved": "使用此前预占的{points}分",
    "reserve": "预占{points}分，{until}前未完成则退回",
    "release": "预占的{points}分没有用掉，已退回可用积分",
    "unlock": "「{other}」发放的积分已到生效时间{until}",
    "expire": "「{other}」发放的积分于{until}到期，剩余{points}分过期",
    "return": "退回「{other}」使用的{other_points}分中的{points}分，退回原批次",
    "reverse": "收回「{other}」发放的{other_points}分中的{points}分",
    "adjust": "工作人员手工调整{points}分，原因：{reason}",
    "merge": "合并会员档案时一并转入",
    "opening": "期初余额文件第{line}行",
    "partner": "由合作方按其规则发放{points}分",
    "accrue": "{reason}：{points}分",
}
_ENGLISH = {
    "redeem": "{points} points are used, the earliest to expire first",
    "redeem_reserved": "The {points} points that were set aside before are used",
    "reserve": "{points} points are set aside; what is not completed by {until} gets them back",
    "release": "The {points} points that were set aside were not used and are available again",
    "unlock": "The points of “{other}” were due to become available at {until}",
    "expire": "The points of “{other}” were valid until {until}; the {points} that were left have expired",
    "return": "{points} of the {other_points} points used for “{other}” go back into the lots they came from",
    "reverse": "{points} of the {other_points} points given for “{other}” are taken back",
    "adjust": "Adjusted by hand by {points} points, because: {reason}",
    "merge": "Carried over when two memberships were joined",
    "opening": "Line {line} of the file of opening balances",
    "partner": "{points} points given by a partner by its own rules",
    "accrue": "{reason}: {points} points",
}


def why_kind(about: Background, language: Language, zone: ZoneInfo, *, for_staff: bool) -> list[str]:
    """Return what an entry's kind says about it, a sentence or more.

    Arguments:
        about: what the books know.
        language: ``zh`` or ``en``.
        zone: of the shop, for instants.
        for_staff: whether to tell who asked and who approved.
    """
    sentences = _CHINESE if language == "zh" else _ENGLISH
    signed = about.points if about.kind == "adjust" else abs(about.points)
    told = [
        sentences[_which(about)].format(
            points=signed,
            reason=about.reason,
            other=about.other,
            other_points=abs(about.other_points),
            until=f"{about.ends_at.astimezone(zone):%Y-%m-%d %H:%M}" if about.ends_at else "-",
            line=about.details.get("line"),
        )
    ]
    if for_staff and about.details.get("asked_by"):
        asked, approved = about.details["asked_by"], about.details.get("approved_by", "")
        told.append(f"申请人：{asked}，审批人：{approved}" if language == "zh" else f"Asked by {asked}, approved by {approved}")
    return told


def _which(about: Background) -> str:
    if about.kind == "redeem" and about.details.get("reservation"):
        return "redeem_reserved"
    if about.kind != "accrue":
        return about.kind
    if "opening_id" in about.details:
        return "opening"
    return "partner" if about.source.startswith("partner") else "accrue"
