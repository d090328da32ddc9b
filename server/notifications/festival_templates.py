"""The greeting of a festival."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import FieldSpec, MessageTemplate, Topic


@dataclass(frozen=True)
class FestivalGreeting(MessageTemplate):
    """A festival, and what the brand says and gives for it; ``valid_until`` is the day itself when nothing is given."""

    festival: str
    greeting: str
    gift: str
    valid_until: date

    code = "festival_greeting"
    topic = Topic.OFFERS
    label = N_("Festival greeting")
    title = N_("A greeting for the festival")
    body = N_("%(festival)s: %(greeting)s %(gift)s")
    specs = (
        FieldSpec("festival", "thing", N_("Festival"), "thing1", ours=True, otherwise="-"),
        FieldSpec("greeting", "thing", N_("Greeting"), "thing2", otherwise="-"),
        FieldSpec("gift", "thing", N_("Gift"), "thing3", otherwise="-"),
        FieldSpec("valid_until", "date", N_("Valid until"), "date4"),
    )
    page = "pages/benefits/index"
    demo_template_id = "demo-tmpl-festival-greeting"
    moments = ("benefits_viewed",)

    def texts(self, zone: ZoneInfo) -> dict[str, str]:  # noqa: ARG002 - a festival is a day, not an instant
        """Return field → text."""
        return {"festival": self.festival, "greeting": self.greeting, "gift": self.gift, "valid_until": fields.day(self.valid_until)}

    @classmethod
    def sample(cls) -> FestivalGreeting:
        """Return an example."""
        return cls(N_("Mid-Autumn Festival"), "中秋快乐，人月两团圆", "88积分 + 中秋礼券", date(2026, 10, 25))
