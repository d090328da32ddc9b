"""What a reward promises, whom it is open to, and why a member cannot have it now."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from server.kernel.text import N_
from server.rewards.rules.states import RewardState

MAX_POINTS = 10**9
MAX_FEN = 10**9
MAX_DAYS = 3650
MAX_PAY_MINUTES = 1440
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NAME_CHARS, _DESCRIPTION_CHARS = 60, 1000


class Kind(StrEnum):
    """What points are redeemed for."""

    COUPON = "coupon"
    GOODS = "goods"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class RewardDraft:
    """A reward as staff write it; None stands for no limit.

    Arguments:
        code: stable short name, unique (``thermos-2026``).
        kind: what is given.
        name: as the member reads it.
        points: its price.
        cash_fen: what is to be paid besides, in fen.
        description: small print.
        tiers: codes of the tiers it is for; empty for all.
        coupon_template_id: for ``coupon``: what is issued.
        picture_id: an upload that staff made.
        stock: redemptions in all, cancelled ones not counted.
        daily_stock: redemptions made on one business day.
        per_member: redemptions of one member, cancelled ones not counted.
        per_member_daily: redemptions of one member on one business day.
        on_sale_from: when redeeming begins.
        on_sale_until: first instant at which redeeming is over.
        pay_minutes: how long points stay reserved for the cash part.
        voucher_days: for ``service``: business days the voucher holds, the first one included.
    """

    code: str
    kind: Kind
    name: str
    points: int
    cash_fen: int = 0
    description: str = ""
    tiers: tuple[str, ...] = ()
    coupon_template_id: UUID | None = None
    picture_id: UUID | None = None
    stock: int | None = None
    daily_stock: int | None = None
    per_member: int | None = None
    per_member_daily: int | None = None
    on_sale_from: datetime | None = None
    on_sale_until: datetime | None = None
    pay_minutes: int = 30
    voucher_days: int | None = None

    def window_open(self, now: datetime) -> bool:
        """Tell whether it is on sale at an instant."""
        return (self.on_sale_from is None or self.on_sale_from <= now) and (self.on_sale_until is None or now < self.on_sale_until)

    def to_document(self) -> dict[str, Any]:
        """Return the draft as JSON values, for the version that is kept of it."""
        document = asdict(self) | {"kind": self.kind.value, "tiers": list(self.tiers)}
        for name, value in document.items():
            if isinstance(value, datetime):
                document[name] = value.isoformat()
            elif isinstance(value, UUID):
                document[name] = str(value)
        return document

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> RewardDraft:
        """Read a version back; a field that was added later has its default."""
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in document.items() if name in known}
        values["kind"], values["tiers"] = Kind(values["kind"]), tuple(values.get("tiers", ()))
        for name in ("on_sale_from", "on_sale_until"):
            values[name] = datetime.fromisoformat(values[name]) if values.get(name) else None
        for name in ("coupon_template_id", "picture_id"):
            values[name] = UUID(values[name]) if values.get(name) else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a reward and a member stand to one another.

    Arguments:
        available: points the member has.
        tier: code of the member's tier; None when nobody needs to know.
        held: redemptions of this reward by this member, cancelled ones not counted.
        held_today: those of this business day.
        left: of the stock, or None without one.
        left_today: of the day's stock, or None without one.
    """

    available: int
    tier: str | None
    held: int
    held_today: int
    left: int | None
    left_today: int | None


def refusal(draft: RewardDraft, state: str, standing: Standing, now: datetime) -> str | None:
    """Return why a member cannot redeem now, or None. Too few points come last: they can still be earned.

    Returns:
        ``not_in_window``, ``tier_not_eligible``, ``redemption_limit_reached``, ``daily_redemption_limit_reached``, ``sold_out``,
        ``sold_out_today`` or ``insufficient_points``.
    """
    limits = (
        (state != RewardState.PUBLISHED or not draft.window_open(now), "not_in_window"),
        (bool(draft.tiers) and standing.tier not in draft.tiers, "tier_not_eligible"),
        (draft.per_member is not None and standing.held >= draft.per_member, "redemption_limit_reached"),
        (draft.per_member_daily is not None and standing.held_today >= draft.per_member_daily, "daily_redemption_limit_reached"),
        (standing.left is not None and standing.left <= 0, "sold_out"),
        (standing.left_today is not None and standing.left_today <= 0, "sold_out_today"),
        (standing.available < draft.points, "insufficient_points"),
    )
    return next((code for holds, code in limits if holds), None)


def problems(draft: RewardDraft) -> dict[str, str]:
    """Return what is wrong with a draft, ``{field: message}``; empty when points can be redeemed for it."""
    ends = (draft.on_sale_from, draft.on_sale_until)
    checks = (
        (not _CODE.fullmatch(draft.code), "code", N_("Lower-case letters, digits, dashes and underscores, at most 63.")),
        (not 1 <= len(draft.name.strip()) <= _NAME_CHARS, "name", N_("A name of 1 to 60 characters.")),
        (len(draft.description) > _DESCRIPTION_CHARS, "description", N_("At most 1,000 characters.")),
        (not 1 <= draft.points <= MAX_POINTS, "points", N_("A number of points greater than zero.")),
        (not 0 <= draft.cash_fen <= MAX_FEN, "cash_fen", N_("Zero or a positive amount.")),
        (not 1 <= draft.pay_minutes <= MAX_PAY_MINUTES, "pay_minutes", N_("A number of minutes between 1 and 1,440.")),
        ((draft.kind is Kind.COUPON) != (draft.coupon_template_id is not None), "coupon_template", N_("A coupon reward names its coupon.")),
        (
            draft.voucher_days is not None and (draft.kind is not Kind.SERVICE or not 1 <= draft.voucher_days <= MAX_DAYS),
            "voucher_days",
            N_("Only for services: a number of days between 1 and 3650."),
        ),
        (
            ends[0] is not None and ends[1] is not None and ends[0] >= ends[1],
            "on_sale_until",
            N_("The end must come after the beginning."),
        ),
    )
    found = {name: message for wrong, name, message in checks if wrong}
    for name in ("stock", "daily_stock", "per_member", "per_member_daily"):
        value = getattr(draft, name)
        if value is not None and not 1 <= value <= MAX_POINTS:
            found[name] = N_("A whole number greater than zero, or nothing for no limit.")
    return found
