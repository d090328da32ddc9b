"""The messages about tiers: reached, about to end, not kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import OFFERS, FieldSpec, MessageTemplate, Topic

_SAMPLE_AT = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)


@dataclass(frozen=True)
class TierUpgraded(MessageTemplate):
    """Growth reached a tier."""

    tier: str
    before: str
    changed_at: datetime

    code = "tier_upgraded"
    topic = Topic.OFFERS
    channels = OFFERS
    label = N_("Tier reached")
    title = N_("You have reached a new tier")
    body = N_("Welcome to %(tier)s! You held %(before)s until now.")
    specs = (
        FieldSpec("tier", "thing", N_("Tier"), "thing1", ours=True, otherwise="-"),
        FieldSpec("before", "thing", N_("Tier before"), "thing2", ours=True, otherwise="-"),
        FieldSpec("changed_at", "time", N_("Time"), "time3"),
    )
    page = "pages/benefits/index"
    demo_template_id = "demo-tmpl-tier-upgraded"
    moments = ("benefits_viewed", "order_paid")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"tier": self.tier, "before": self.before, "changed_at": fields.moment(self.changed_at, zone)}

    @classmethod
    def sample(cls) -> TierUpgraded:
        """Return an example."""
        return cls("金卡会员", "银卡会员", _SAMPLE_AT)


@dataclass(frozen=True)
class TierDowngraded(MessageTemplate):
    """A period ended and growth did not keep the tier."""

    tier: str
    before: str
    changed_at: datetime

    code = "tier_downgraded"
    topic = Topic.OFFERS
    channels = OFFERS
    label = N_("Tier not kept")
    title = N_("Your tier has changed")
    body = N_("The period of %(before)s has ended; you hold %(tier)s now.")
    specs = (
        FieldSpec("tier", "thing", N_("Tier"), "thing1", ours=True, otherwise="-"),
        FieldSpec("before", "thing", N_("Tier before"), "thing2", ours=True, otherwise="-"),
        FieldSpec("changed_at", "time", N_("Time"), "time3"),
    )
    page = "pages/benefits/index"
    demo_template_id = "demo-tmpl-tier-downgraded"
    moments = ("benefits_viewed",)

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"tier": self.tier, "before": self.before, "changed_at": fields.moment(self.changed_at, zone)}

    @classmethod
    def sample(cls) -> TierDowngraded:
        """Return an example."""
        return cls("银卡会员", "金卡会员", _SAMPLE_AT)


@dataclass(frozen=True)
class TierAtRisk(MessageTemplate):
    """A tier's period ends soon, and growth is missing."""

    tier: str
    missing: int
    ends_on: date

    code = "tier_at_risk"
    topic = Topic.OFFERS
    channels = OFFERS
    label = N_("Tier about to end")
    title = N_("Your tier is about to end")
    body = N_("%(tier)s ends on %(ends_on)s: %(missing)s growth more keeps it.")
    specs = (
        FieldSpec("tier", "thing", N_("Tier"), "thing1", ours=True, otherwise="-"),
        FieldSpec("missing", "number", N_("Growth missing"), "number2"),
        FieldSpec("ends_on", "date", N_("Ends on"), "date3"),
    )
    page = "pages/benefits/index"
    demo_template_id = "demo-tmpl-tier-at-risk"
    moments = ("benefits_viewed", "points_viewed")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:  # noqa: ARG002 - a period ends with a day
        """Return field → text."""
        return {"tier": self.tier, "missing": str(self.missing), "ends_on": fields.day(self.ends_on)}

    @classmethod
    def sample(cls) -> TierAtRisk:
        """Return an example."""
        return cls("金卡会员", 1280, date(2026, 7, 14))
