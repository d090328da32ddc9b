"""The messages about coupons that were given by mistake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import FieldSpec, MessageTemplate, Topic


@dataclass(frozen=True)
class CouponRecalled(MessageTemplate):
    """A coupon was given by mistake, and taken back."""

    coupon: str
    recalled_at: datetime
    hint: str = "该券为误发，已收回"

    code = "coupon_recalled"
    topic = Topic.COUPONS
    label = N_("Coupon recalled")
    title = N_("A coupon was taken back")
    body = N_("%(coupon)s was given to you by mistake and was taken back on %(recalled_at)s. We are sorry for the trouble.")
    specs = (
        FieldSpec("coupon", "thing", N_("Coupon"), "thing1", otherwise="-"),
        FieldSpec("recalled_at", "time", N_("Time"), "time2"),
        FieldSpec("hint", "thing", N_("Hint"), "thing3", otherwise="-"),
    )
    page = "pages/coupons/index"
    demo_template_id = "demo-tmpl-coupon-recalled"
    moments = ()

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"coupon": self.coupon, "recalled_at": fields.moment(self.recalled_at, zone), "hint": self.hint}

    @classmethod
    def sample(cls) -> CouponRecalled:
        """Return an example."""
        return cls("满200减30元券", datetime(2026, 6, 18, 4, 0, tzinfo=UTC))
