"""Whom each message could reach now, and why not the others: read before a campaign is planned."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import abort
from flask_babel import gettext

from admin import charts, formats
from admin.base import ConsoleView, action, console_url, core, now, page
from admin.detail import DetailPage, Figure, Panel
from admin.export import export_list
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.message_words import message_label
from server.kernel.clock import business_date
from server.kernel.text import N_
from server.notifications import rules
from server.notifications.templates import REGISTRY, TOPIC_NAMES
from server.reporting import reach
from server.staff.permissions import Permission
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from server.kernel.pagination import PageRequest
    from server.reporting.reach import Forecast

_DAYS = 30
_TIPS = {
    "reachable": N_("Members with WeChat and at least one allowance who keep the topic on and are below the contact cap."),
    "no_grant": N_("Could be reached, and hold no acceptance of this message."),
    "no_wechat": N_("Never logged in through the mini-program."),
    "muted": N_("Switched this topic off for the push."),
    "capped": N_("Had three offers within seven days; service messages know no cap."),
    "after": N_("Reachable members who would still be reachable after one message, after two, and after four."),
}


class MessageReachView(ConsoleView):
    """Forecast of reach: for each message whom it would reach, by tier, and how allowances come and go."""

    slug = "message-reach"
    title = N_("Forecast of reach")
    group = "reach"
    icon = "target"
    order = 15
    permission = Permission.MESSAGES_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List every message with whom it would reach."""
        return self._list(None).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download the forecast."""
        return export_list("message-reach", self._list)

    def _list(self, place: PageRequest | None) -> ListPage:  # noqa: ARG002 - one row for each message is one page
        with self.reading() as session:
            rows = reach.forecasts(session)
            counted = reach.counted_at(session)
        table = Table(
            [
                Column(
                    N_("Message"), lambda row: message_label(row.template), "link",
                    href=lambda row: self.url_to("detail", code=row.template),
                    second=lambda row: gettext(TOPIC_NAMES[REGISTRY[row.template].topic]), second_label=N_("Topic"),
                ),
                *_columns(),
            ],
            rows,
            empty=N_("Nothing has been counted yet"),
            empty_hint=N_("The forecast is counted once an hour while the periodic jobs run."),
        )  # fmt: skip
        return ListPage(self.title, table, intro=_intro(counted), export=True)

    @page("/<code>")
    def detail(self, code: str) -> ResponseReturnValue:
        """Show one message: whom it would reach if it were sent to everybody now, and why not the others."""
        if code not in REGISTRY:
            abort(404)
        today = business_date(now(), core().settings.zone)
        with self.reading() as session:
            rows = reach.by_tier(session, code)
            whole = next((one for one in reach.forecasts(session) if one.template == code), None)
            days = reach.allowances(session, first=today - timedelta(days=_DAYS - 1), last=today, template=code)
            counted = reach.counted_at(session)
            levels = {tier.code: (tier.rank, gettext(tier.name)) for tier in tiers.definitions(session)}
        rows.sort(key=lambda row: levels.get(row.tier or "", (0, "")))
        members = whole.members if whole else 0
        share = _share(whole) if whole else "–"
        return DetailPage(
            title=message_label(code),
            subtitle=_intro(counted),
            notice=_quiet_notice(code),
            back=(self.title, self.url_to("index")),
            buttons=[RowAction(N_("Message templates"), console_url("message-templates.detail", code=code), icon="smartphone")],
            figures=[
                Figure(N_("Members"), members, tip=N_("Active and frozen ones; nobody else is sent anything.")),
                Figure(N_("Would be reached now"), whole.reachable if whole else 0, tip=_TIPS["reachable"], tone="green"),
                Figure(N_("Share"), share, "text", tip=N_("Would be reached, of all members.")),
            ],
            panels=[
                Panel(N_("Why not the others"), chart=_why(whole)),
                Panel(
                    N_("By tier"),
                    table=Table(
                        [Column(N_("Tier"), lambda row: levels.get(row.tier, (0, row.tier))[1]), *_columns()],
                        rows,
                        empty=N_("Nothing has been counted yet"),
                    ),
                ),
                Panel(
                    N_("Allowances by day"),
                    chart=charts.trend(
                        N_("Allowances by day"),
                        [f"{one.day:%m-%d}" for one in days],
                        [
                            charts.Series(N_("Accepted by members"), [one.credited for one in days], "area"),
                            charts.Series(N_("Used by messages"), [one.spent for one in days], "bar"),
                            charts.Series(N_("Lost"), [one.lost for one in days], "bar"),
                        ],
                        tip=N_("Lost: times a member switched off, or WeChat knew of no allowance. Moves by a merge are left out."),
                    ),
                ),
                Panel(N_("After several messages"), chart=_following(whole)),
            ],
        ).render(self)


def _columns() -> list[Column]:
    return [
        Column(N_("Members"), "members", "number"),
        Column(N_("Reachable"), "reachable", "number", second=_share, second_label=N_("Share"), tip=_TIPS["reachable"]),
        Column(N_("No allowance"), "no_grant", "number", tip=_TIPS["no_grant"]),
        Column(N_("No mini-program"), "no_wechat", "number", tip=_TIPS["no_wechat"]),
        Column(N_("Muted"), "muted", "number", tip=_TIPS["muted"]),
        Column(N_("Contact cap"), "capped", "number", tip=_TIPS["capped"]),
        Column(N_("After 1 · 2 · 4"), lambda row: " · ".join(f"{row.after[least]:,}" for least in (2, 3, 5)), tip=_TIPS["after"]),
    ]


def _share(row: Forecast) -> str:
    return f"{row.reachable / row.members:.1%}" if row.members else "–"


def _intro(counted: object) -> str:
    if counted is None:
        return str(gettext("The forecast is counted once an hour while the periodic jobs run."))
    return str(gettext("If it were sent to all members now. Counted once an hour, last at %(at)s.", at=formats.shown(counted, "minute")))


def _quiet_notice(code: str) -> str:
    if REGISTRY[code].exempt or rules.quiet_until(now(), rules.DEFAULT_QUIET, core().settings.zone) is None:
        return ""
    return N_("It is quiet now: what is sent waits until 08:00, or for the end of a member's own quiet hours.")


def _why(whole: Forecast | None) -> charts.Chart:
    parts = []
    if whole is not None:
        parts = [
            (N_("Would be reached now"), whole.reachable),
            (N_("No allowance"), whole.no_grant),
            (N_("No mini-program"), whole.no_wechat),
            (N_("Switched off by the member"), whole.muted),
            (N_("Contact cap"), whole.capped),
        ]
    tip = N_("Every member is in one of them: the first that holds, in the order in which sending asks.")
    return charts.bars(N_("Why not the others"), parts, tip=tip, height=230)


def _following(whole: Forecast | None) -> charts.Chart:
    parts = [(gettext("Before any"), whole.reachable)] if whole else []
    parts += [(gettext("After %(number)s", number=least - 1), count) for least, count in whole.after.items()] if whole else []
    return charts.bars(N_("After several messages"), parts, tip=N_("How many could still be reached if nobody accepted again."), height=230)


VIEWS = [MessageReachView]
