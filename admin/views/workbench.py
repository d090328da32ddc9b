"""The workbench: what happened today against yesterday, and what waits for somebody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import abort

from admin import charts
from admin.base import ConsoleView, any_page, console_url_or_none, core, may, now, page
from admin.formats import local, money, short_number
from server.coupons import queries as coupons
from server.kernel.text import N_
from server.reporting import queries
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from admin.charts import Chart
    from server.reporting.queries import DayFigures, Waiting

_DAYS = 14


@dataclass(frozen=True, slots=True)
class Card:
    """One figure of today beside yesterday's."""

    label: str
    tip: str
    value: str
    yesterday: str
    delta: float | None
    url: str

    @property
    def direction(self) -> str:
        """Return ``up``, ``down`` or ``flat``."""
        return "flat" if not self.delta else "up" if self.delta > 0 else "down"


@dataclass(frozen=True, slots=True)
class ToDo:
    """One counter that leads to the rows it counts."""

    label: str
    tip: str
    count: int
    url: str
    icon: str
    tone: str


class WorkbenchView(ConsoleView):
    """The first page, at ``/admin/``."""

    slug = "workbench"
    title = N_("Workbench")
    group = "workbench"
    icon = "layout-dashboard"
    permission = Permission.WORKBENCH_READ

    def __init__(self) -> None:
        super().__init__()
        self.url = "/admin"
        self.static_folder = "static"

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show today."""
        at = now()
        with self.reading() as session:
            days = queries.last_days(session, at, days=_DAYS)
            waiting = queries.waiting(session, at)
            coupons_running_out = coupons.count_running_out(session, at)
            states = queries.order_states(session, at) if may(Permission.ORDERS_READ) else []
        html: str = self.render(
            "console/workbench.html",
            greeting=_greeting(local(at).hour),
            today=local(at),
            cards=_cards(days, local(at).date().isoformat()),
            todos=_todos(waiting, coupons_running_out),
            charts=_charts(days, dict(states)),
            shortcuts=_shortcuts(),
            zone=core().settings.timezone,
        )
        return html

    @any_page("/<path:rest>")
    def nothing(self, rest: str) -> ResponseReturnValue:  # noqa: ARG002 - whatever it was
        """Answer every other address below ``/admin/``."""
        abort(404)


def _greeting(hour: int) -> str:
    if hour < 5 or hour >= 22:  # noqa: PLR2004 - hours of the day
        return N_("It is late, %(name)s")
    if hour < 11:  # noqa: PLR2004 - as above
        return N_("Good morning, %(name)s")
    if hour < 14:  # noqa: PLR2004 - as above
        return N_("Good day, %(name)s")
    return N_("Good afternoon, %(name)s") if hour < 18 else N_("Good evening, %(name)s")  # noqa: PLR2004 - as above


def _cards(days: list[DayFigures], day: str) -> list[Card]:
    today, yesterday = days[-1], days[-2]
    orders = ("orders.index", {"placed_from": day, "placed_to": day, "state": "not_cancelled"})
    wanted = [
        (
            Permission.MEMBERS_READ,
            N_("New members today"),
            N_("Memberships that began today and go on; merged and deleted records left out."),
            "members_joined",
            ("members.index", {"joined_from": day, "joined_to": day}),
        ),
        (Permission.ORDERS_READ, N_("Orders today"), N_("Orders placed today, cancelled ones left out."), "orders", orders),
        (Permission.ORDERS_READ, N_("Sales today"), N_("Payable amount of today's orders, before refunds."), "sales_fen", orders),
        (
            Permission.POINTS_READ,
            N_("Points issued today"),
            N_("Sum of today's accruals, those still pending included."),
            "points_issued",
            ("points.index", {"kind": "accrue", "at_from": day, "at_to": day}),
        ),
        (
            Permission.POINTS_READ,
            N_("Points redeemed today"),
            N_("Sum of today's redemptions, before returns."),
            "points_redeemed",
            ("points.index", {"kind": "redeem", "at_from": day, "at_to": day}),
        ),
        (
            Permission.COUPONS_READ,
            N_("Coupons redeemed today"),
            N_("Coupons redeemed today and not returned since."),
            "coupons_redeemed",
            ("coupons.index", {"state": "redeemed", "redeemed_from": day, "redeemed_to": day}),
        ),
    ]
    cards = []
    for permission, label, tip, name, (endpoint, values) in wanted:
        if not may(permission):
            continue
        new, old = int(getattr(today, name)), int(getattr(yesterday, name))
        write = money if name.endswith("_fen") else short_number
        delta = None if old == 0 else (new - old) / old * 100
        cards.append(Card(label, tip, write(new), write(old), delta, console_url_or_none(endpoint, **values) or "/admin/"))
    return cards


def _todos(waiting: Waiting, coupons_running_out: int) -> list[ToDo]:
    wanted = [
        (
            Permission.TICKETS_READ,
            N_("Overdue tickets"),
            N_("Tickets not closed whose next deadline has passed."),
            waiting.tickets_overdue,
            ("tickets.index", {"tab": "overdue"}),
            "hourglass",
            "red",
        ),
        (
            Permission.TICKETS_READ,
            N_("Unanswered tickets"),
            N_("Tickets that wait for an answer of ours: new, assigned, at work or reopened."),
            waiting.tickets_unanswered,
            ("tickets.index", {"tab": "unanswered"}),
            "message-square-text",
            "orange",
        ),
        (
            Permission.ORDERS_READ,
            N_("Orders to ship"),
            N_("Orders that are paid and not shipped."),
            waiting.orders_to_ship,
            ("orders.index", {"state": "paid"}),
            "truck",
            "blue",
        ),
        (
            Permission.ORDERS_READ,
            N_("Order exceptions"),
            N_("Exceptions that nobody has closed."),
            waiting.order_exceptions,
            ("order-exceptions.index", {}),
            "triangle-alert",
            "red",
        ),
        (
            Permission.MEMBERS_READ,
            N_("Changes to approve"),
            N_("Changes members asked for that nobody has decided."),
            waiting.change_requests,
            ("members.changes", {"state": "pending"}),
            "clipboard-check",
            "purple",
        ),
        (
            Permission.POINTS_APPROVE,
            N_("Approvals"),
            N_("Requests beyond a limit that a second person has to decide."),
            waiting.approvals,
            ("approvals.index", {"state": "pending"}),
            "user-check",
            "purple",
        ),
        (
            Permission.MESSAGES_READ,
            N_("Uncertain messages"),
            N_("Messages of which nobody knows whether they arrived."),
            waiting.messages_uncertain,
            ("messages.list_all", {"state": "uncertain"}),
            "send",
            "orange",
        ),
        (
            Permission.COUPONS_READ,
            N_("Coupons running out"),
            N_("Published coupons that can still be had, and of whose stock or budget 90 % or more is gone."),
            coupons_running_out,
            ("coupon_templates.index", {"left": "little"}),
            "ticket",
            "orange",
        ),
    ]
    return [
        ToDo(label, tip, count, console_url_or_none(endpoint, **values) or "/admin/", icon, tone)
        for permission, label, tip, count, (endpoint, values), icon, tone in wanted
        if may(permission)
    ]


_ORDER_STATES = {
    "placed": N_("Awaiting payment"),
    "paid": N_("Awaiting shipment"),
    "shipped": N_("Shipped"),
    "delivered": N_("Delivered"),
    "completed": N_("Completed"),
    "cancelled": N_("Cancelled"),
    "refunded": N_("Refunded"),
}


def _charts(days: list[DayFigures], states: dict[str, int]) -> list[Chart]:
    labels = [f"{one.day:%m-%d}" for one in days]
    found = []
    if may(Permission.ORDERS_READ):
        found.append(
            charts.trend(
                N_("Orders and sales"),
                labels,
                [
                    charts.Series(N_("Orders"), [one.orders for one in days], "bar"),
                    charts.Series(N_("Sales"), [one.sales_fen for one in days], "line", right=True, unit="fen"),
                ],
                tip=N_("By the shop's calendar days; cancelled orders left out."),
            )
        )
        found.append(
            charts.ring(
                N_("Orders by state"),
                [(name, states[code]) for code, name in _ORDER_STATES.items() if states.get(code)],
                tip=N_("Orders placed within the last 30 days."),
            )
        )
    if may(Permission.POINTS_READ):
        found.append(
            charts.trend(
                N_("Points issued and redeemed"),
                labels,
                [
                    charts.Series(N_("Points issued"), [one.points_issued for one in days], "area"),
                    charts.Series(N_("Points redeemed"), [one.points_redeemed for one in days], "area"),
                ],
            )
        )
    if may(Permission.MEMBERS_READ):
        found.append(
            charts.trend(N_("New members"), labels, [charts.Series(N_("New members"), [one.members_joined for one in days], "bar")])
        )
    return found


def _shortcuts() -> list[tuple[str, str, str]]:
    wanted = [
        (N_("Find a member"), "members.index", "search", Permission.MEMBERS_READ),
        (N_("Redeem a coupon"), "coupons.redeem", "scan-line", Permission.COUPONS_REDEEM),
        (N_("New account"), "staff.create", "user-plus", Permission.STAFF_EDIT),
        (N_("Audit trail"), "audit.index", "scroll-text", Permission.AUDIT_READ),
        (N_("Queues"), "queues.index", "activity", Permission.QUEUES_READ),
    ]
    found = [(label, console_url_or_none(endpoint), icon) for label, endpoint, icon, permission in wanted if may(permission)]
    return [(label, url, icon) for label, url, icon in found if url]


VIEWS = [WorkbenchView]
