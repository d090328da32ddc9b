"""The messages there are: one class each, with typed fields, checked when this module is imported.

A message is made from facts and says them twice: in the inbox in the reader's language (``title`` and ``body`` are gettext
msgids), and over WeChat in Chinese within the limits of its field types. Which of WeChat's templates and fields carry it
is a row that staff set, since every brand applies for templates of its own; ``default_key`` is the demonstration's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import ClassVar
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.rules import Channel

# Orders of channels, of which a message declares one; the brand may choose another in the console. Text messages cost money, and are for
# what somebody waits for.
NEWS = (Channel.SUBSCRIBE, Channel.OFFICIAL_ACCOUNT, Channel.SMS)
OFFERS = (Channel.SUBSCRIBE, Channel.OFFICIAL_ACCOUNT, Channel.EMAIL)
FREE = (Channel.SUBSCRIBE, Channel.OFFICIAL_ACCOUNT)


class Topic(StrEnum):
    """What a message is about; members choose by topic."""

    ORDERS = "orders"
    POINTS = "points"
    COUPONS = "coupons"
    SERVICE = "service"
    OFFERS = "offers"


TOPIC_NAMES: dict[Topic, str] = {
    Topic.ORDERS: N_("Orders and parcels"),
    Topic.POINTS: N_("Points"),
    Topic.COUPONS: N_("Coupons"),
    Topic.SERVICE: N_("Customer service"),
    Topic.OFFERS: N_("Benefits and greetings"),
}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a message.

    Arguments:
        name: ours, also the parameter of the inbox's text.
        kind: the type of the text.
        label: what staff see, a gettext msgid.
        default_key: the field of the demonstration's WeChat template.
        ours: the text may be a gettext msgid of ours and is said in the reader's language.
        otherwise: stands in WeChat's field when nothing of the text can be said there, such as a tracking number without a digit;
            the inbox has it in full. A message is worth more than one of its fields.
    """

    name: str
    kind: str
    label: str
    default_key: str
    ours: bool = False
    otherwise: str = ""

    def fitted(self, key: str, text: str) -> str:
        """Return the text as it may stand in a field of WeChat's.

        Raises:
            ValueError: neither it nor what stands in for it can be made to fit.
        """
        try:
            return fields.fitted(key, text)
        except ValueError:
            if not self.otherwise:
                raise
            return fields.fitted(key, self.otherwise)


REGISTRY: dict[str, type[MessageTemplate]] = {}


@dataclass(frozen=True)
class MessageTemplate(ABC):
    """The base of every message.

    Class attributes:
        code: stable name.
        topic: what it is about.
        to_leavers: goes also to a member who asked to be deleted.
        own_moments_only: means nothing to most members, so its allowance is asked for at its own moments only.
        exempt: a service message that answers the member's own act: quiet hours and the contact cap leave it alone.
        title, body: gettext msgids of the inbox, the body with ``%(field)s`` places.
        label: what staff call it, a gettext msgid.
        specs: its fields.
        page: path in the mini-program with ``{field}`` places.
        channels: in which order it is tried over which channels, until one takes it.
        demo_template_id: of the emulator.
        moments: where in the mini-program it makes sense to ask for the allowance.
    """

    code: ClassVar[str]
    topic: ClassVar[Topic]
    exempt: ClassVar[bool] = False
    to_leavers: ClassVar[bool] = False
    own_moments_only: ClassVar[bool] = False
    title: ClassVar[str]
    body: ClassVar[str]
    label: ClassVar[str]
    specs: ClassVar[tuple[FieldSpec, ...]]
    page: ClassVar[str]
    channels: ClassVar[tuple[Channel, ...]] = FREE
    demo_template_id: ClassVar[str]
    moments: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        problems = [spec.name for spec in cls.specs if spec.kind not in fields.CARRIERS or not carries(spec, spec.default_key)]
        if problems or cls.code in REGISTRY or len({spec.default_key for spec in cls.specs}) != len(cls.specs):
            raise TypeError(f"message template {cls.code} is malformed: {problems}")
        REGISTRY[cls.code] = cls

    @abstractmethod
    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text, in full; WeChat's limits are applied when it is sent."""

    @classmethod
    @abstractmethod
    def sample(cls) -> MessageTemplate:
        """Return an example for previews."""

    def checked(self, zone: ZoneInfo) -> dict[str, str]:
        """Return the texts after making sure that they can be sent.

        Raises:
            ValueError: a text cannot be made to fit its field, which is the caller's mistake.
        """
        texts = self.texts(zone)
        for spec in self.specs:
            spec.fitted(f"{spec.kind}1", texts[spec.name])
        return texts


def carries(spec: FieldSpec, key: str) -> bool:
    """Tell whether a field of WeChat's may carry a field of ours."""
    kind = fields.kind_of(key)
    return kind is not None and kind.name in fields.CARRIERS[spec.kind]


def spoken(template: type[MessageTemplate], texts: dict[str, str], say: Callable[[str], str]) -> dict[str, str]:
    """Return the texts with our own words said by ``say`` (gettext, or its like)."""
    return texts | {spec.name: say(texts[spec.name]) for spec in template.specs if spec.ours}


def wechat_data(template: type[MessageTemplate], keys: dict[str, str], texts: dict[str, str]) -> dict[str, str]:
    """Return what is sent: WeChat's field → text within its limits.

    Arguments:
        template: the message's class.
        keys: our field → WeChat's field.
        texts: our field → full text.

    Raises:
        ValueError: a text cannot be made to fit.
    """
    return {keys[spec.name]: spec.fitted(keys[spec.name], texts[spec.name]) for spec in template.specs}


def page_for(template: type[MessageTemplate], texts: dict[str, str]) -> str:
    """Return the path in the mini-program that a message opens."""
    return template.page.format_map(texts)


@dataclass(frozen=True)
class OrderShipped(MessageTemplate):
    """An order, or a part of it, is on its way."""

    order_no: str
    carrier: str
    tracking_no: str
    shipped_at: datetime

    code = "order_shipped"
    topic = Topic.ORDERS
    channels = NEWS
    exempt = True
    label = N_("Order shipped")
    title = N_("Your order is on its way")
    body = N_("Order %(order_no)s was handed to %(carrier)s, tracking number %(tracking_no)s.")
    specs = (
        FieldSpec("order_no", "character_string", N_("Order number"), "character_string1"),
        FieldSpec("carrier", "thing", N_("Carrier"), "thing2", otherwise="-"),
        FieldSpec("tracking_no", "character_string", N_("Tracking number"), "character_string3", otherwise="-"),
        FieldSpec("shipped_at", "time", N_("Shipped at"), "time4"),
    )
    page = "pages/orders/detail?order_no={order_no}"
    demo_template_id = "demo-tmpl-order-shipped"
    moments = ("order_paid", "order_viewed")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {
            "order_no": self.order_no,
            "carrier": self.carrier,
            "tracking_no": self.tracking_no,
            "shipped_at": fields.moment(self.shipped_at, zone),
        }

    @classmethod
    def sample(cls) -> OrderShipped:
        """Return an example."""
        return cls("2606151234567897", "顺丰速运", "SF1234567890123", datetime(2026, 6, 15, 4, 0, tzinfo=UTC))


@dataclass(frozen=True)
class PointsAccrued(MessageTemplate):
    """Points were credited."""

    reason: str
    points: int
    available: int
    accrued_at: datetime

    code = "points_accrued"
    topic = Topic.POINTS
    label = N_("Points credited")
    title = N_("Points credited")
    body = N_("You earned %(points)s points: %(reason)s. Available now: %(available)s.")
    specs = (
        FieldSpec("reason", "thing", N_("Reason"), "thing1", ours=True, otherwise="-"),
        FieldSpec("points", "number", N_("Points"), "number2"),
        FieldSpec("available", "number", N_("Available points"), "number3"),
        FieldSpec("accrued_at", "time", N_("Time"), "time4"),
    )
    page = "pages/points/index"
    demo_template_id = "demo-tmpl-points-accrued"
    moments = ("check_in", "order_paid", "points_viewed")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {
            "reason": self.reason,
            "points": str(self.points),
            "available": str(self.available),
            "accrued_at": fields.moment(self.accrued_at, zone),
        }

    @classmethod
    def sample(cls) -> PointsAccrued:
        """Return an example."""
        return cls("消费积分", 128, 1640, datetime(2026, 6, 15, 4, 0, tzinfo=UTC))


@dataclass(frozen=True)
class TicketAnswered(MessageTemplate):
    """Customer service answered a ticket."""

    ticket_no: str
    excerpt: str
    answered_at: datetime

    code = "ticket_answered"
    topic = Topic.SERVICE
    channels = NEWS
    exempt = True
    label = N_("Ticket answered")
    title = N_("Customer service has answered you")
    body = N_("Ticket %(ticket_no)s: %(excerpt)s")
    specs = (
        FieldSpec("ticket_no", "character_string", N_("Ticket number"), "character_string1"),
        FieldSpec("excerpt", "thing", N_("Answer"), "thing2", otherwise="请查看客服回复"),
        FieldSpec("answered_at", "time", N_("Answered at"), "time3"),
    )
    page = "pages/tickets/detail?ticket_no={ticket_no}"
    demo_template_id = "demo-tmpl-ticket-answered"
    moments = ("ticket_opened", "ticket_viewed")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"ticket_no": self.ticket_no, "excerpt": self.excerpt, "answered_at": fields.moment(self.answered_at, zone)}

    @classmethod
    def sample(cls) -> TicketAnswered:
        """Return an example."""
        return cls("T260615123456", "您好，已为您补发一件，预计明天送达。", datetime(2026, 6, 15, 4, 0, tzinfo=UTC))


@dataclass(frozen=True)
class CouponExpiring(MessageTemplate):
    """A coupon in the wallet ends soon."""

    coupon: str
    expires_at: datetime
    hint: str = "记得在到期前使用哦"

    code = "coupon_expiring"
    topic = Topic.COUPONS
    channels = OFFERS
    label = N_("Coupon expiring")
    title = N_("A coupon expires soon")
    body = N_("%(coupon)s is valid until %(expires_at)s.")
    specs = (
        FieldSpec("coupon", "thing", N_("Coupon"), "thing1", otherwise="-"),
        FieldSpec("expires_at", "time", N_("Valid until"), "time2"),
        FieldSpec("hint", "thing", N_("Hint"), "thing3", otherwise="-"),
    )
    page = "pages/coupons/index"
    demo_template_id = "demo-tmpl-coupon-expiring"
    moments = ("coupon_claimed", "wallet_viewed")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"coupon": self.coupon, "expires_at": fields.moment(self.expires_at, zone), "hint": self.hint}

    @classmethod
    def sample(cls) -> CouponExpiring:
        """Return an example."""
        return cls("满200减30元券", datetime(2026, 6, 18, 15, 59, tzinfo=UTC))


@dataclass(frozen=True)
class BirthdayGreeting(MessageTemplate):
    """A birthday, and what the brand gives for it."""

    nickname: str
    gift: str
    valid_until: date
    wish: str = "祝您生日快乐，万事顺意"

    code = "birthday_greeting"
    topic = Topic.OFFERS
    channels = OFFERS
    label = N_("Birthday greeting")
    title = N_("Happy birthday!")
    body = N_("%(nickname)s, your birthday gift is here: %(gift)s. It is valid until %(valid_until)s.")
    specs = (
        FieldSpec("nickname", "name", N_("Nickname"), "name1", otherwise="会员"),
        FieldSpec("gift", "thing", N_("Gift"), "thing2", otherwise="-"),
        FieldSpec("valid_until", "date", N_("Valid until"), "date3"),
        FieldSpec("wish", "thing", N_("Wish"), "thing4", otherwise="-"),
    )
    page = "pages/benefits/index"
    demo_template_id = "demo-tmpl-birthday-greeting"
    moments = ("profile_completed", "benefits_viewed")

    def texts(self, zone: ZoneInfo) -> dict[str, str]:  # noqa: ARG002 - a birthday is a day, not an instant
        """Return field → text."""
        return {"nickname": self.nickname, "gift": self.gift, "valid_until": fields.day(self.valid_until), "wish": self.wish}

    @classmethod
    def sample(cls) -> BirthdayGreeting:
        """Return an example."""
        return cls("小满", "200积分 + 生日礼券1张", date(2026, 6, 30))


# At the end: those modules build on this one, and the registry is whole for everybody who imports it.
import server.notifications.coupon_templates  # noqa: E402
import server.notifications.festival_templates  # noqa: E402
import server.notifications.points_templates  # noqa: E402
import server.notifications.privacy_templates  # noqa: E402
import server.notifications.reward_templates  # noqa: E402
import server.notifications.screening_templates  # noqa: E402
import server.notifications.tier_templates  # noqa: E402, F401

MOMENTS: tuple[str, ...] = tuple(sorted({moment for template in REGISTRY.values() for moment in template.moments}))
