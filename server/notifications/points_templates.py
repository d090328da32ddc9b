"""The message about points that are soon gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import OFFERS, FieldSpec, MessageTemplate, Topic


@dataclass(frozen=True)
class PointsExpiring(MessageTemplate):
    """All points of a member that are gone after one day."""

    points: int
    expires_on: date
    available: int
    hint: str = "到期前可用于兑换或抵现"

    code = "points_expiring"
    topic = Topic.POINTS
    channels = OFFERS
    label = N_("Points expiring")
    title = N_("Some of your points expire soon")
    body = N_("%(points)s of your %(available)s points can be redeemed until %(expires_on)s.")
    specs = (
        FieldSpec("points", "number", N_("Points that expire"), "number1"),
        FieldSpec("expires_on", "date", N_("Last day"), "date2"),
        FieldSpec("available", "number", N_("Available points"), "number3"),
        FieldSpec("hint", "thing", N_("Hint"), "thing4", otherwise="-"),
    )
    page = "pages/points/index"
    demo_template_id = "demo-tmpl-points-expiring"
    moments = ("points_viewed", "check_in")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:  # noqa: ARG002 - the last day is a day of the shop's already
        """Return field → text."""
        return {
            "points": str(self.points),
            "expires_on": fields.day(self.expires_on),
            "available": str(self.available),
            "hint": self.hint,
        }

    @classmethod
    def sample(cls) -> PointsExpiring:
        """Return an example."""
        return cls(320, date(2026, 6, 30), 1640)
