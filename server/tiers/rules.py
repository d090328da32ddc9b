"""What tiers are to begin with, and what makes one valid. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from server.kernel.text import N_
from server.tiers.errors import TierInvalidError

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
LOWEST_PERCENT, HIGHEST_PERCENT = 100, 1000
NAME_MAX_CHARS = 40
MOST_GIFT_POINTS, MOST_GIFT_DAYS = 1_000_000, 3650
PRIORITIES = ("normal", "high", "urgent")


@dataclass(frozen=True, slots=True)
class Face:
    """The look of a tier's card: two colours of its gradient and the colour of the text, as ``#rrggbb``, and a picture above them.

    Arguments:
        picture: id of an upload that staff made; None for the colours alone.
    """

    start: str
    end: str
    text: str
    picture: str | None = None

    def colours(self) -> dict[str, str]:
        """Return the colours by name."""
        return {"start": self.start, "end": self.end, "text": self.text}

    def document(self) -> dict[str, Any]:
        """Return it as stored."""
        return {**self.colours(), **({"picture": self.picture} if self.picture else {})}


@dataclass(frozen=True, slots=True)
class Perks:
    """What the product itself gives with a tier; other domains ask for it by ``queries.benefits``.

    Arguments:
        upgrade_points: given once when the tier is reached.
        upgrade_points_days: how long those last; None for ever.
        upgrade_coupon: code of a coupon template given with them.
        service_priority: ``normal``, ``high`` or ``urgent``: how soon customer service answers.
        advisor: name of the adviser a member of this tier has.
    """

    upgrade_points: int = 0
    upgrade_points_days: int | None = None
    upgrade_coupon: str | None = None
    service_priority: str = "normal"
    advisor: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as stored."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TierDraft:
    """A tier's values.

    Arguments:
        code: names the tier for programs.
        name: shown to people.
        rank: higher is better; unique.
        points_multiplier_percent: 100 for single points, at most 1000.
        face: the card's look.
        benefits: msgids or the staff's own words, shown on the benefits page.
        perks: what the product gives with it.
    """

    code: str
    name: str
    rank: int
    points_multiplier_percent: int
    face: Face
    benefits: tuple[str, ...] = field(default=())
    perks: Perks = field(default_factory=Perks)


DEFAULT_TIERS = (
    TierDraft("standard", "普通会员", 0, 100, Face("#8C9AA8", "#5F6B78", "#FFFFFF"), (N_("Points on every purchase"),)),
    TierDraft(
        "silver",
        "银卡会员",
        10,
        110,
        Face("#C9D2DB", "#8A97A6", "#1F2933"),
        (N_("1.1 times points"), N_("Birthday gift")),
        Perks(upgrade_points=50),
    ),
    TierDraft(
        "gold",
        "金卡会员",
        20,
        125,
        Face("#F3D9A4", "#C49A4A", "#4A3410"),
        (N_("1.25 times points"), N_("Birthday gift"), N_("Free shipping coupons")),
        Perks(upgrade_points=200, service_priority="high"),
    ),
    TierDraft(
        "black",
        "黑金会员",
        30,
        150,
        Face("#3A3A3C", "#121213", "#E8C886"),
        (N_("1.5 times points"), N_("Birthday gift"), N_("Free shipping coupons"), N_("Dedicated customer service")),
        Perks(upgrade_points=500, service_priority="urgent"),
    ),
)


def check(draft: TierDraft) -> None:
    """Check a tier's values.

    Raises:
        TierInvalidError: naming the wrong fields.
    """
    fields = {}
    if not _CODE.fullmatch(draft.code):
        fields["code"] = "a-z 0-9 - _"
    if not 1 <= len(draft.name.strip()) <= NAME_MAX_CHARS:
        fields["name"] = f"1–{NAME_MAX_CHARS}"
    if not LOWEST_PERCENT <= draft.points_multiplier_percent <= HIGHEST_PERCENT:
        fields["points_multiplier_percent"] = f"{LOWEST_PERCENT}–{HIGHEST_PERCENT}"
    if draft.rank < 0:
        fields["rank"] = "≥ 0"
    for name, colour in draft.face.colours().items():
        if not _COLOUR.fullmatch(colour):
            fields[f"face.{name}"] = "#rrggbb"
    fields.update(_perk_problems(draft.perks))
    if fields:
        raise TierInvalidError(fields=fields)


def _perk_problems(perks: Perks) -> dict[str, str]:
    problems = {}
    if not 0 <= perks.upgrade_points <= MOST_GIFT_POINTS:
        problems["upgrade_points"] = f"0–{MOST_GIFT_POINTS}"
    if perks.upgrade_points_days is not None and not 1 <= perks.upgrade_points_days <= MOST_GIFT_DAYS:
        problems["upgrade_points_days"] = f"1–{MOST_GIFT_DAYS}"
    if perks.service_priority not in PRIORITIES:
        problems["service_priority"] = " | ".join(PRIORITIES)
    if perks.advisor is not None and not 1 <= len(perks.advisor.strip()) <= NAME_MAX_CHARS:
        problems["advisor"] = f"1–{NAME_MAX_CHARS}"
    return problems
