"""What the coupon report is made of: its figures beside the range before, its charts and the columns of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from admin import charts
from admin.base import console_url
from admin.formats import Tag, shown
from admin.listing import Column, RowAction, Table
from admin.views.coupon_figures import COST_TIP, SALES_TIP, alarm_words
from server.coupons.rules.alarms import GONE
from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.coupons.alarm_queries import AlarmView
    from server.reporting.coupon_scope import CouponReport, Figures, Row

_TOP = 10


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure beside that of the range before."""

    label: str
    tip: str
    value: int | None
    before: int | None
    kind: str = "number"

    @property
    def text(self) -> str:
        """Return what is shown."""
        return written(self.value, self.kind)

    @property
    def before_text(self) -> str:
        """Return what it was."""
        return written(self.before, self.kind)

    @property
    def delta(self) -> float | None:
        """Return the change in percent, None when there is nothing to compare with."""
        return None if self.value is None or not self.before else (self.value - self.before) / self.before * 100

    @property
    def direction(self) -> str:
        """Return ``up``, ``down`` or ``flat``."""
        return "flat" if not self.delta else "up" if self.delta > 0 else "down"


@dataclass(frozen=True, slots=True)
class _Of:
    """A figure: its name in ``Figures``, its words, how it is written, and what must be known for it."""

    name: str
    label: str
    tip: str
    kind: str = "number"
    known: str = ""


FIGURES = (
    _Of("issued", N_("New coupons"), N_("Coupons that came into wallets in the range, those voided since included."), known="issues"),
    _Of("held", N_("In wallets"), N_("Of those issued in the range: can still be redeemed, or are kept for an order."), known="issues"),
    _Of(
        "redeemed_of_these",
        N_("Redeemed of these"),
        N_("Of those issued in the range: redeemed until now, in the range or later."),
        known="issues",
    ),
    _Of("rate", N_("Redemption rate"), N_("Redeemed until now of those issued in the range. A young range still rises."), "rate", "issues"),
    _Of("expired", N_("Expired"), N_("Of those issued in the range: their time ended before they were redeemed."), known="issues"),
    _Of("voided", N_("Voided"), N_("Of those issued in the range: taken back by staff, or given up by members who left."), known="issues"),
    _Of("redeemed", N_("All redeemed"), N_("Coupons redeemed in the range, whenever issued, and not returned since.")),
    _Of("returned", N_("All returned"), N_("How often coupons were given back in the range, by refunds."), known="returns"),
    _Of("cost_fen", N_("Coupon cost"), COST_TIP, "money"),
    _Of("untold", N_("Cost unknown"), N_("Redemptions of which nobody told what they took off; they cost nothing here.")),
    _Of("sales_fen", N_("Driven sales"), SALES_TIP, "money"),
    _Of("sales_per_yuan", N_("Sales per yuan"), N_("Driven sales for each yuan that coupons cost."), "money"),
)
# What the tables show: the rest would make them wider than most screens.
_OF_ISSUED = ("issued", "rate", "expired")
_OF_REDEEMED = ("redeemed", "returned", "cost_fen", "sales_fen", "sales_per_yuan")


def written(value: int | None, kind: str) -> str:
    """Return a figure as text; a rate comes in hundredths of a percent."""
    if kind == "rate":
        return "–" if value is None else f"{value / 100:.1f}%"
    return shown(value, kind)


def cards(report: CouponReport) -> list[Compared]:
    """Return the figures of a report that are known."""
    return [
        Compared(one.label, one.tip, getattr(report.total, one.name), getattr(report.before, one.name), one.kind)
        for one in FIGURES
        if not one.known or getattr(report, one.known)
    ]


def columns(report: CouponReport, heading: Column, cut: str) -> list[Column]:
    """Return the columns of a table.

    Arguments:
        report: says what is known.
        heading: the first column, what its rows are.
        cut: ``template``, ``store``, ``channel`` or ``way``: what is issued belongs to no store and no channel, what is returned to
            no store.
    """
    wanted = {*_OF_REDEEMED} - {"returned"} if cut == "store" else {*_OF_REDEEMED} if cut == "channel" else {*_OF_ISSUED, *_OF_REDEEMED}
    kept = [one for one in FIGURES if one.name in wanted and (not one.known or getattr(report, one.known))]
    return [heading, *(_rate_column(one) if one.kind == "rate" else _column(one) for one in kept)]


def _column(one: _Of) -> Column:
    return Column(one.label, lambda row: getattr(row.figures, one.name), one.kind, tip=one.tip)


def _rate_column(one: _Of) -> Column:
    return Column(
        one.label,
        lambda row: written(row.figures.rate, one.kind),
        tip=one.tip,
        second=lambda row: row.figures.redeemed_of_these,
        second_label=N_("Redeemed of these"),
    )


def report_charts(report: CouponReport, names: Callable[[Row], str]) -> list[charts.Chart]:
    """Return the trend by business day, the funnel of what was issued, and what the dearest templates cost.

    Arguments:
        report: what is drawn.
        names: gives the name of a template's row.
    """
    issued = [charts.Series(N_("New coupons"), [day.issued for day in report.days], "bar")] if report.issues else []
    trend = charts.trend(
        N_("Coupons by day"),
        [f"{day.day:%m-%d}" for day in report.days],
        [
            *issued,
            charts.Series(N_("All redeemed"), [day.redeemed for day in report.days], "bar"),
            charts.Series(N_("Coupon cost"), [day.cost_fen for day in report.days], right=True, unit="fen"),
        ],
        tip=N_("By the shop's calendar days: when coupons were issued, when they were redeemed, and what those redeemed cost."),
    )
    dearest = [(names(row), row.figures.cost_fen) for row in report.templates[:_TOP] if row.figures.cost_fen]
    cost = charts.bars(
        N_("Cost by template"),
        dearest,
        unit="fen",
        tip=N_("The ten templates that cost most in the range."),
        height=max(220, 34 * len(dearest)),
    )
    return [trend, _funnel(report.total), cost] if report.issues else [trend, cost]


def _funnel(total: Figures) -> charts.Chart:
    steps = [
        (N_("New coupons"), total.issued),
        (N_("Valid or redeemed"), total.held + total.redeemed_of_these),
        (N_("Redeemed of these"), total.redeemed_of_these),
    ]
    return charts.funnel(N_("Funnel"), steps, tip=N_("How many of the coupons issued in the range came how far until now."))


def alarm_table(alarms: Sequence[AlarmView]) -> Table:
    """Return the alarms of stocks and budgets that stand."""
    return Table(
        [
            Column(
                N_("Coupon"),
                "name",
                "link",
                href=lambda row: console_url("coupon_templates.detail", template_id=row.template_id),
                second="code",
            ),
            Column(N_("Alarm"), lambda row: (row.what, row.percent), "tag", tags=_alarm_tags(alarms)),
            Column(N_("Issued or committed"), lambda row: shown(row.taken, _kind(row))),
            Column(N_("Stock or budget"), lambda row: shown(row.limit_value, _kind(row))),
            Column(N_("Raised at"), "raised_at", "minute"),
        ],
        alarms,
        lambda row: [RowAction(N_("Details"), _to_template(row))],
    )


def _to_template(alarm: AlarmView) -> str:
    return console_url("coupon_templates.detail", template_id=alarm.template_id)


def _kind(alarm: AlarmView) -> str:
    return "money" if alarm.what == "budget" else "number"


def _alarm_tags(alarms: Sequence[AlarmView]) -> dict[Any, Tag]:
    return {(each.what, each.percent): Tag(alarm_words(each), "red" if each.percent == GONE else "orange") for each in alarms}
