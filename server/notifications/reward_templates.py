"""The messages about rewards: redeemed, on their way, cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import FieldSpec, MessageTemplate, OrderShipped, Topic


@dataclass(frozen=True)
class RewardPlaced(MessageTemplate):
    """Points were redeemed for a reward."""

    reward: str
    redemption_no: str
    points: int
    placed_at: datetime

    code = "reward_placed"
    topic = Topic.POINTS
    exempt = True
    label = N_("Reward redeemed")
    title = N_("Your points are redeemed")
    body = N_("%(points)s points were redeemed for %(reward)s, number %(redemption_no)s.")
    specs = (
        FieldSpec("reward", "thing", N_("Reward"), "thing1", otherwise="-"),
        FieldSpec("redemption_no", "character_string", N_("Redemption number"), "character_string2"),
        FieldSpec("points", "number", N_("Points"), "number3"),
        FieldSpec("placed_at", "time", N_("Time"), "time4"),
    )
    page = "pages/rewards/redemptions"
    demo_template_id = "demo-tmpl-reward-placed"
    moments = ("reward_redeemed",)

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        at = fields.moment(self.placed_at, zone)
        return {"reward": self.reward, "redemption_no": self.redemption_no, "points": str(self.points), "placed_at": at}

    @classmethod
    def sample(cls) -> RewardPlaced:
        """Return an example."""
        return cls("保温杯", "R2606151234567897", 1200, datetime(2026, 6, 15, 4, 0, tzinfo=UTC))


@dataclass(frozen=True)
class RewardShipped(OrderShipped):
    """The goods of a redemption are on their way; the order number is that of the redemption."""

    code = "reward_shipped"
    label = N_("Reward shipped")
    title = N_("Your reward is on its way")
    body = N_("Redemption %(order_no)s was handed to %(carrier)s, tracking number %(tracking_no)s.")
    page = "pages/rewards/redemptions"
    demo_template_id = "demo-tmpl-reward-shipped"
    moments = ("reward_redeemed", "redemption_viewed")

    @classmethod
    def sample(cls) -> RewardShipped:
        """Return an example."""
        return cls("R2606151234567897", "顺丰速运", "SF1234567890123", datetime(2026, 6, 15, 4, 0, tzinfo=UTC))


@dataclass(frozen=True)
class RewardCancelled(MessageTemplate):
    """A redemption was cancelled, and the points are back."""

    reward: str
    redemption_no: str
    points: int
    cancelled_at: datetime

    code = "reward_cancelled"
    topic = Topic.POINTS
    exempt = True
    label = N_("Redemption cancelled")
    title = N_("Your redemption is cancelled")
    body = N_("Redemption %(redemption_no)s of %(reward)s is cancelled; %(points)s points are back.")
    specs = (
        FieldSpec("reward", "thing", N_("Reward"), "thing1", otherwise="-"),
        FieldSpec("redemption_no", "character_string", N_("Redemption number"), "character_string2"),
        FieldSpec("points", "number", N_("Points"), "number3"),
        FieldSpec("cancelled_at", "time", N_("Time"), "time4"),
    )
    page = "pages/rewards/redemptions"
    demo_template_id = "demo-tmpl-reward-cancelled"
    moments = ("reward_redeemed",)

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        at = fields.moment(self.cancelled_at, zone)
        return {"reward": self.reward, "redemption_no": self.redemption_no, "points": str(self.points), "cancelled_at": at}

    @classmethod
    def sample(cls) -> RewardCancelled:
        """Return an example."""
        return cls("保温杯", "R2606151234567897", 1200, datetime(2026, 6, 15, 4, 0, tzinfo=UTC))
