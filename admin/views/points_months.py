"""Console pages of the months of points: what was issued, redeemed and expired, what is owed, and each month as it was closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from flask import abort

from admin import charts
from admin.base import ConsoleView, action, console_url, core, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import export_button, export_list
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.points import ACCOUNTS
from server.flows import month_close
from server.kernel.clock import business_date
from server.kernel.text import N_
from server.points import month_queries, overview
from server.points.control_rules import MOVES, AccountMonth, breakage, liability_fen
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from admin.charts import Chart
    from server.kernel.pagination import PageRequest
    from server.points.month_queries import CohortMoves, MonthView

_MONTHS = 24
_WITHIN = (30, 60, 90)


@dataclass(frozen=True, slots=True)
class _Row:
    """One account's month, with its month."""

    month: date
    row: AccountMonth


_MOVES = [
    Column(N_("Opening"), "row.opening", "points", tip=N_("The closing of the month before.")),
    Column(N_("Issued"), "row.issued", "points", tip=N_("By accruals: orders, check-ins, gifts, opening balances.")),
    Column(N_("Redeemed"), "row.redeemed", "points", tip=N_("By redemptions, without what was returned.")),
    Column(N_("Expired"), "row.expired", "points", tip=N_("Taken by the end of their time.")),
    Column(N_("Reversed"), "row.reversed", "points", tip=N_("Taken back from accruals, as by refunds.")),
    Column(N_("Adjusted"), "row.adjusted", "points", tip=N_("Given and taken by hand.")),
    Column(N_("Forgiven"), "row.forgiven", "points", tip=N_("Could not be taken back and was let go.")),
    Column(N_("Moved"), "row.moved", "points", tip=N_("Between accounts of members: unlocked, set aside, released, merged.")),
    Column(N_("Closing"), "row.closing", "points", tip=N_("Opening and all moves together.")),
]


class PointsMonthsView(ConsoleView):
    """Months of points."""

    slug = "points-months"
    title = N_("Months of points")
    group = "data"
    icon = "chart-column"
    order = 20
    permission = Permission.REPORTS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show liability, breakage and the closed months."""
        today = business_date(now(), core().settings.zone)
        with self.reading() as session:
            months = month_queries.closed_months(session, _MONTHS)
            rows = [_Row(*pair) for pair in month_queries.history(session, _MONTHS)]
            so_far = month_queries.open_month(session)
            cohorts = month_queries.cohorts(session, _MONTHS)
            totals = overview.totals(session)
            expiring = {one.within_days: one.points for one in overview.expiring(session, today, _WITHIN)}
            per_yuan = month_close.points_per_yuan(session)
        held = totals.pending + totals.available + totals.reserved
        table = Table(
            [
                Column(N_("Month"), lambda row: f"{row.month:%Y-%m}", "link", href=lambda row: self._address(row.month)),
                Column(
                    N_("Points owed at its end"), "liability_points", "points", tip=N_("Pending, available and reserved of all members.")
                ),
                Column(N_("Worth"), "liability_fen", "money", tip=N_("At what a point was worth when the month was closed.")),
                Column(N_("Entries"), "entries", "number", tip=N_("Entries the month covers; later ones belong to later months.")),
                Column(N_("Closed on"), "closed_at", "minute"),
            ],
            months,
            empty=N_("No month is closed yet"),
            empty_hint=N_("A month is closed in the night to the second of the next one."),
        )
        shares = breakage(sum(one.issued for one in cohorts), sum(one.expired for one in cohorts))
        return DetailPage(
            title=N_("Months of points"),
            buttons=[
                RowAction(N_("Controls"), console_url("points-controls.index"), Permission.POINTS_RULES, icon="shield-check"),
                *([export_button(self)] if months else []),
            ],
            figures=[
                Figure(
                    N_("Liability"),
                    liability_fen(held, per_yuan),
                    "money",
                    tip=N_("What members hold now, pending and set aside included, at today's worth of a point."),
                ),
                Figure(N_("Points held"), held, "points", tip=N_("Available, pending and reserved together; worth the liability.")),
                Figure(N_("Available"), totals.available, "points", tip=N_("What all members could spend now.")),
                Figure(N_("Pending"), totals.pending, "points", tip=N_("Earned, not yet unlocked.")),
                Figure(N_("Reserved"), totals.reserved, "points", tip=N_("Set aside for open orders.")),
                Figure(N_("Expire within 30 days"), expiring[30], "points", tip=_EXPIRING),
                Figure(N_("Expire within 60 days"), expiring[60], "points", tip=_EXPIRING),
                Figure(N_("Expire within 90 days"), expiring[90], "points", tip=_EXPIRING),
                Figure(
                    N_("Breakage"),
                    _percent(shares),
                    "text",
                    tip=N_("Expired of all that was issued, by closed months. Young points, not expired yet, pull it down."),
                ),
            ],
            panels=[
                *(Panel(chart.title, chart=chart) for chart in _charts(months, rows)),
                Panel(N_("Closed months"), table=table, name="months"),
                Panel(N_("The open month so far"), table=_accounts([_Row(today, row) for row in so_far]), name="open"),
                Panel(N_("Breakage by month of issue"), table=_cohorts(cohorts), name="cohorts"),
            ],
        ).render(self)

    @page("/<month>")
    def detail(self, month: str) -> ResponseReturnValue:
        """Show one closed month, account by account, and what seals it."""
        with self.reading() as session:
            found = month_queries.closed_month(session, _month(month))
            rows = month_queries.account_rows(session, found.month) if found else []
        if found is None:
            abort(404)
        seal = [
            Field(N_("Entries"), found.entries, "number"),
            Field(N_("Closed on"), found.closed_at, "instant"),
            Field(N_("Points for one yuan"), found.points_per_yuan, "number"),
            Field(N_("Recorded before"), str(found.cutoff), "code"),
            Field(N_("Hash of the entries"), found.digest, "code", wide=True),
        ]
        return DetailPage(
            title=f"{found.month:%Y-%m}",
            back=(N_("Months of points"), self.url_to("index")),
            figures=[
                Figure(
                    N_("Points owed at its end"),
                    found.liability_points,
                    "points",
                    tip=N_("What members held: pending, available and set aside."),
                ),
                Figure(N_("Worth"), found.liability_fen, "money", tip=N_("At what a point was worth when the month was closed.")),
            ],
            sections=[Section(N_("What seals it"), seal)],
            panels=[Panel(N_("What each account did"), table=_accounts([_Row(found.month, row) for row in rows]))],
        ).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download every account's closed months."""
        return export_list("points-months", self._list)

    def _list(self, place: PageRequest) -> ListPage:  # noqa: ARG002 - two years are one page
        with self.reading() as session:
            rows = [_Row(*pair) for pair in month_queries.history(session, _MONTHS)]
        columns = [Column(N_("Month"), lambda row: f"{row.month:%Y-%m}"), _ACCOUNT, *_MOVES]
        return ListPage(N_("Months of points"), Table(columns, rows))

    def _address(self, month: date) -> str:
        return self.url_to("detail", month=f"{month:%Y-%m}")


_ACCOUNT = Column(N_("Ledger account"), "row.account", "tag", tags=ACCOUNTS)
_EXPIRING = N_("Left in available lots and not set aside; redeemed earlier, they do not expire.")


def _accounts(rows: list[_Row]) -> Table:
    """Show each account's month, and beneath them their sum: zero in every column, or the books are wrong."""
    if not rows:
        return Table([_ACCOUNT, *_MOVES], rows)
    sums = {name: sum(getattr(row.row, name) for row in rows) for name in ("opening", *MOVES)}
    return Table([_ACCOUNT, *_MOVES], [*rows, _Row(rows[0].month, AccountMonth("all", **sums))])


def _cohorts(cohorts: list[CohortMoves]) -> Table:
    return Table(
        [
            Column(N_("Issued in"), lambda row: f"{row.cohort:%Y-%m}"),
            Column(N_("Issued"), "issued", "points"),
            Column(N_("Redeemed"), "redeemed", "points"),
            Column(N_("Reversed"), "reversed", "points"),
            Column(N_("Expired"), "expired", "points"),
            Column(N_("Breakage"), lambda row: _percent(breakage(row.issued, row.expired)), tip=N_("Expired of what the month issued.")),
        ],
        cohorts,
        empty=N_("No month is closed yet"),
    )


def _charts(months: list[MonthView], rows: list[_Row]) -> list[Chart]:
    by = {(row.month, row.row.account): row.row for row in rows}
    months = [month for month in reversed(months) if (month.month, "issuer") in by]
    labels = [f"{month.month:%Y-%m}" for month in months]

    def values(account: str, name: str, sign: int) -> list[int]:
        return [sign * int(getattr(by[month.month, account], name)) for month in months]

    moves = charts.trend(
        N_("Points issued, redeemed and expired by month"),
        labels,
        [
            charts.Series(N_("Points issued"), values("issuer", "issued", -1), "bar"),
            charts.Series(N_("Points redeemed"), values("redeemed", "redeemed", 1), "bar"),
            charts.Series(N_("Points expired"), values("expired", "expired", 1), "bar"),
            charts.Series(N_("Points reversed"), values("issuer", "reversed", 1), "bar"),
        ],
        tip=N_("By closed months: what each covers stays as it was read; later facts stand in later months."),
    )
    owed = charts.trend(
        N_("Liability by month"),
        labels,
        [
            charts.Series(N_("Worth"), [month.liability_fen for month in months], "area", unit="fen"),
            charts.Series(N_("Points"), [month.liability_points for month in months], right=True),
        ],
        tip=N_("Pending, available and reserved points at the month's end, and their worth in yuan as it was closed."),
    )
    return [moves, owed]


def _percent(hundredths: int | None) -> str:
    return "–" if hundredths is None else f"{hundredths / 100:.2f}%"


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        abort(404)


VIEWS = [PointsMonthsView]
