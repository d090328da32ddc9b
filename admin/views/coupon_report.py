"""The coupon report: what was issued and redeemed in a range of days, what it cost and sold, cut up in four ways."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from flask import request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url, core, now, page
from admin.export import export_button, export_list
from admin.listing import Asked, Column, Filter, ListPage, Table, read_filters
from admin.views.coupon_report_parts import alarm_table, cards, columns, report_charts
from admin.words import CHANNELS, channel_words
from server.catalogue import queries as catalogue
from server.coupons import alarm_queries, funnel_queries
from server.coupons.rules import ways_in
from server.kernel.clock import business_date
from server.kernel.pagination import MAX_LIMIT, PageRequest
from server.kernel.text import N_
from server.reporting.coupon_scope import MAX_DAYS, NO_STORE, UNKNOWN_STORE, Scope
from server.reporting.coupons import coupon_report
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.reporting.coupon_scope import CouponReport, Row

_DAYS = 30
_CUTS = {"template": N_("By template"), "store": N_("By store"), "channel": N_("By channel"), "way": N_("By way in")}
_HEADINGS = {"template": N_("Template"), "store": N_("Store"), "channel": N_("Channel"), "way": N_("Way in")}
_ORDERS = {
    "cost_fen": N_("Coupon cost"),
    "sales_fen": N_("Driven sales"),
    "sales_per_yuan": N_("Sales per yuan"),
    "redeemed": N_("All redeemed"),
    "issued": N_("New coupons"),
    "rate": N_("Redemption rate"),
}
_STORES = {UNKNOWN_STORE: N_("Unknown store"), NO_STORE: N_("No store (online)")}
_BY_REDEMPTION = N_(
    "Where a coupon will be redeemed is not known before it is: a store or channel narrows down what was redeemed, "
    "and figures of issuing are left out."
)
_CUT_SHORT = N_("A report covers at most 366 days: these are the last of the range.")


class CouponReportView(ConsoleView):
    """Coupon report."""

    slug = "coupon-report"
    title = N_("Coupon reports")
    group = "data"
    icon = "chart-column"
    order = 30
    permission = Permission.COUPONS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show figures, charts and the cut that is asked for."""
        reader = _Reader()
        with self.reading() as session:
            report = reader.read(session)
            alarms = alarm_queries.standing(session)
        listed = self._listed(reader, report)
        notices = [_CUT_SHORT] if reader.cut_short else []
        notices += [_BY_REDEMPTION] if reader.scope.by_redemption else []
        return listed.render(
            self,
            "console/coupon_report.html",
            search=reader.filters,
            notice=" ".join(gettext(one) for one in notices),
            cards=cards(report),
            charts=report_charts(report, reader.names["template"]),
            alarms=alarm_table(alarms),
        )

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download the cut that is shown."""
        return export_list(f"coupons-by-{_cut()}", self._list)

    def _list(self, place: PageRequest) -> ListPage:  # noqa: ARG002 - a cut is one page
        reader = _Reader()
        with self.reading() as session:
            report = reader.read(session)
        return self._listed(reader, report)

    def _listed(self, reader: _Reader, report: CouponReport) -> ListPage:
        cut = _cut()
        rows = {"template": report.templates, "store": report.stores, "channel": report.channels, "way": report.ways}[cut]
        order = reader.asked.choice("sort") or "cost_fen"
        heading = Column(
            _HEADINGS[cut],
            reader.names[cut],
            "link",
            href=lambda row: self._narrower(cut, row),
        )
        table = Table(
            columns(report, heading, cut),
            # Sorting keeps the order of what is equal: what cost most first.
            sorted(rows, key=lambda row: -(getattr(row.figures, order) or 0)),
            empty=N_("No coupons in this range"),
            empty_hint=N_("Choose other days, or fewer filters."),
        )
        tabs = [(label, self._with(by=code), code == cut, None) for code, label in _CUTS.items()]
        scope = reader.scope
        words = N_("%(first)s to %(last)s, beside the %(days)d days before")
        intro = gettext(words, first=scope.first, last=scope.last, days=scope.days)
        return ListPage(N_("Coupon reports"), table, asked=reader.asked, tabs=tabs, buttons=[export_button(self)], intro=intro)

    def _narrower(self, cut: str, row: Row) -> str:
        return console_url("coupon_templates.detail", template_id=row.key) if cut == "template" else self._with(**{cut: row.key})

    def _with(self, **changes: str) -> str:
        kept = {name: value for name, value in request.args.items() if value}
        return f"{self.url_to('index')}?{urlencode({**kept, **changes})}"


class _Reader:
    """Reads what is asked for, the report of it, and the names its rows go by."""

    def __init__(self) -> None:
        self.names: dict[str, Callable[[Row], str]] = {
            "channel": lambda row: channel_words(row.key),
            "way": lambda row: " · ".join(filter(None, (gettext(ways_in.words(row.key)), ways_in.rule_of(row.key)))),
        }

    def read(self, session: Session) -> CouponReport:
        """Return the report, and have filters, scope and names ready."""
        templates = {str(template_id): name for template_id, name in funnel_queries.template_names(session).items()}
        stores = {place.code: place.name for place in catalogue.stores(session, PageRequest(MAX_LIMIT)).items}
        self.filters = _filters(templates, {**stores, **_STORES})
        asked = read_filters(self.filters)
        self.scope, self.cut_short = _scope(asked)
        days = {"days_from": self.scope.first.isoformat(), "days_to": self.scope.last.isoformat()}
        self.asked = Asked(asked.values | days, frozenset(name for name in days if not asked.text(name)))
        report = coupon_report(session, self.scope, now=now())
        older = [UUID(row.key) for row in report.templates if row.key not in templates]
        if older:
            templates |= {str(key): name for key, name in funnel_queries.template_names(session, limit=0, also=older).items()}
        stores |= catalogue.store_names(session, [row.key for row in report.stores if row.key not in stores])
        self.names["template"] = lambda row: templates.get(row.key, row.key)
        self.names["store"] = lambda row: gettext(_STORES[row.key]) if row.key in _STORES else stores.get(row.key, row.key)
        return report


def _filters(templates: dict[str, str], stores: dict[str, str]) -> list[Filter]:
    def and_asked(name: str, choices: dict[str, str]) -> dict[str, str]:
        # Rows lead to codes that no list of ours knows.
        asked = request.args.get(name, "").strip()
        return {**choices, asked: asked} if 0 < len(asked) <= 64 and asked not in choices else choices  # noqa: PLR2004 - the columns' own length

    return [
        Filter("days", N_("Business days"), "date_range"),
        Filter("template", N_("Template"), "choice", templates),
        Filter("store", N_("Store"), "choice", and_asked("store", stores)),
        Filter("channel", N_("Channel"), "choice", and_asked("channel", CHANNELS)),
        Filter("way", N_("Way in"), "choice", and_asked("way", ways_in.WAYS)),
        Filter("sort", N_("Sort by"), "choice", _ORDERS),
    ]


def _scope(asked: Asked) -> tuple[Scope, bool]:
    """Return the scope that is asked for, the last days unless others are, and whether its days had to be cut short."""
    last = _day(asked, "days_to") or business_date(now(), core().settings.zone)
    first = _day(asked, "days_from") or last - timedelta(days=_DAYS - 1)
    first, last = min(first, last), max(first, last)
    earliest = last - timedelta(days=MAX_DAYS - 1)
    template = asked.choice("template")
    scope = Scope(
        first=max(first, earliest),
        last=last,
        template_id=UUID(template) if template else None,
        store=asked.choice("store"),
        channel=asked.choice("channel"),
        way=asked.choice("way"),
    )
    return scope, first < earliest


def _day(asked: Asked, name: str) -> date | None:
    with suppress(ValueError, TypeError):
        day = date.fromisoformat(asked.text(name) or "")
        # Far from any shop's days there is nothing to count, and no day before.
        return day if date(2000, 1, 1) <= day <= date(2100, 1, 1) else None
    return None


def _cut() -> str:
    asked = request.args.get("by", "")
    return asked if asked in _CUTS else "template"


VIEWS = [CouponReportView]
