"""The messages about coupons that come by themselves, are given to a friend, or are taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import OFFERS, FieldSpec, MessageTemplate, Topic


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


@dataclass(frozen=True)
class CouponGiftEnded(MessageTemplate):
    """What became of a coupon that was offered to a friend."""

    coupon: str
    outcome: str
    ended_at: datetime

    code = "coupon_gift_ended"
    topic = Topic.COUPONS
    label = N_("Coupon gift answered")
    title = N_("About the coupon you gave away")
    body = N_("%(coupon)s: %(outcome)s (%(ended_at)s)")
    specs = (
        FieldSpec("coupon", "thing", N_("Coupon"), "thing1", otherwise="-"),
        FieldSpec("outcome", "thing", N_("Result"), "thing2", otherwise="-", ours=True),
        FieldSpec("ended_at", "time", N_("Time"), "time3"),
    )
    page = "pages/coupons/index"
    demo_template_id = "demo-tmpl-coupon-gift-ended"
    own_moments_only = True
    moments = ("coupon_offered",)

    # By what became of it. One that the giver took back is no news to the giver.
    OUTCOMES = MappingProxyType(
        {
            "accepted": N_("Your friend accepted it"),
            "refused": N_("Turned down, and back in your wallet"),
            "lapsed": N_("Not accepted in time, and back in your wallet"),
        }
    )

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"coupon": self.coupon, "outcome": self.outcome, "ended_at": fields.moment(self.ended_at, zone)}

    @classmethod
    def sample(cls) -> CouponGiftEnded:
        """Return an example."""
        return cls("满200减30元券", cls.OUTCOMES["accepted"], datetime(2026, 6, 18, 4, 0, tzinfo=UTC))


@dataclass(frozen=True)
class CouponReceived(MessageTemplate):
    """Coupons came into the wallet by themselves."""

    coupon: str
    count: int
    why: str
    valid_until: datetime

    code = "coupon_received"
    topic = Topic.COUPONS
    channels = OFFERS
    label = N_("Coupon received")
    title = N_("You have received a coupon")
    body = N_("%(why)s: %(coupon)s is in your wallet, valid until %(valid_until)s.")
    specs = (
        FieldSpec("coupon", "thing", N_("Coupon"), "thing1", otherwise="-"),
        FieldSpec("why", "thing", N_("Given for"), "thing2", otherwise="-"),
        FieldSpec("valid_until", "time", N_("Valid until"), "time3"),
    )
    page = "pages/coupons/index"
    demo_template_id = "demo-tmpl-coupon-received"
    moments = ("coupon_claimed", "wallet_viewed")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text; of several coupons the one that ends first is named."""
        coupon = self.coupon if self.count == 1 else f"{self.coupon}等{self.count}张"
        return {"coupon": coupon, "why": self.why, "valid_until": fields.moment(self.valid_until, zone)}

    @classmethod
    def sample(cls) -> CouponReceived:
        """Return an example."""
        return cls("满100减20元券", 1, "满200元送券", datetime(2026, 6, 30, 15, 59, tzinfo=UTC))


@dataclass(frozen=True)
class CouponRevoked(MessageTemplate):
    """A coupon that an order had earned ended with the order."""

    coupon: str
    revoked_at: datetime
    hint: str = "对应订单已退款或取消"

    code = "coupon_revoked"
    topic = Topic.COUPONS
    label = N_("Coupon taken back with its order")
    title = N_("A coupon was taken back")
    body = N_("%(coupon)s was taken back on %(revoked_at)s, since the order that earned it was called off, refunded or given to its buyer.")
    specs = (
        FieldSpec("coupon", "thing", N_("Coupon"), "thing1", otherwise="-"),
        FieldSpec("revoked_at", "time", N_("Time"), "time2"),
        FieldSpec("hint", "thing", N_("Hint"), "thing3", otherwise="-"),
    )
    page = "pages/coupons/index"
    demo_template_id = "demo-tmpl-coupon-revoked"
    moments = ()

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"coupon": self.coupon, "revoked_at": fields.moment(self.revoked_at, zone), "hint": self.hint}

    @classmethod
    def sample(cls) -> CouponRevoked:
        """Return an example."""
        return cls("满100减20元券", datetime(2026, 6, 18, 4, 0, tzinfo=UTC))
