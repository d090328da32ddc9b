"""What a coupon template's page shows beside its tables: figures, terms and limits, the funnel, alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import gettext

from admin import charts
from admin.base import core
from admin.detail import Field, Figure, Section
from admin.formats import reader_language
from server.coupons.rules.alarms import GONE
from server.coupons.rules.sentence import sentence
from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.coupons.alarm_queries import AlarmView
    from server.coupons.funnel_queries import Funnel
    from server.coupons.queries import TemplateView

COST_TIP = N_("What redeemed coupons took off goods and shipping, and what gifts were worth, as far as the orders told it.")
SALES_TIP = N_(
    "What was paid for the orders on which coupons were redeemed, each order once: coupons that share an order share its sales "
    "by what each took off, in equal parts when none took anything off."
)
ALARM_WORDS = {
    ("stock", False): N_("80 % of the stock is issued"),
    ("stock", True): N_("The stock is all issued"),
    ("budget", False): N_("80 % of the budget is committed"),
    ("budget", True): N_("The budget pays for no further coupon"),
}


def alarm_words(alarm: AlarmView) -> str:
    """Return what an alarm says, an English msgid."""
    return ALARM_WORDS[alarm.what, alarm.percent == GONE]


def alarm_notice(alarms: Sequence[AlarmView]) -> str:
    """Return what the alarms of a template say, in the reader's language; empty for none."""
    return " · ".join(gettext(alarm_words(each)) for each in alarms)


def figures_of(view: TemplateView, funnel: Funnel) -> list[Figure]:
    """Return the numbers at the head of a template's page."""
    rate = funnel.redeemed * 100 // funnel.issued if funnel.issued else 0
    figures = [
        Figure(N_("Issued"), view.issued, tip=N_("All coupons ever given out, voided ones included.")),
        Figure(N_("Left"), view.left, tip=N_("Stock not yet issued.")),
        Figure(N_("Redeemed"), funnel.redeemed),
        Figure(N_("Redemption rate"), f"{rate}%", "text", tip=N_("Redeemed of issued.")),
        Figure(N_("Discount given"), funnel.discount_fen, "money", tip=COST_TIP),
        Figure(N_("Driven sales"), funnel.sales_fen, "money", tip=SALES_TIP),
    ]
    return figures if view.left is not None else [figure for figure in figures if figure.label != "Left"]


def sections_of(view: TemplateView) -> list[Section]:
    """Return a template's terms and limits."""
    draft, zone = view.draft, core().settings.zone
    limits = draft.limits
    return [
        Section(
            N_("Terms"),
            [
                Field(N_("What the member reads"), sentence(draft.terms, reader_language(), validity=draft.validity, zone=zone), wide=True),
                Field(N_("Small print"), draft.terms.description, wide=True),
                Field(N_("Exclusion group"), draft.terms.exclusion_group, "code"),
                Field(N_("Order of application"), draft.terms.priority, "number"),
            ],
        ),
        Section(
            N_("Limits"),
            [
                Field(N_("Stock"), limits.stock, "number"),
                Field(N_("Stock for a day"), limits.daily_stock, "number"),
                Field(N_("Budget"), limits.budget_fen, "money"),
                Field(N_("Committed"), view.budget_committed_fen, "money"),
                Field(N_("For each member"), limits.per_member, "number"),
                Field(N_("For each member a day"), limits.per_member_daily, "number"),
                Field(N_("Claiming from"), limits.claim_from, "minute"),
                Field(N_("Claiming until"), limits.claim_until, "minute"),
            ],
        ),
    ]


def funnel_chart(funnel: Funnel) -> charts.Chart:
    """Return how many of a template's coupons came how far, as a chart."""
    steps = [
        (N_("Issued"), funnel.issued),
        (N_("Valid or redeemed"), funnel.available + funnel.offered + funnel.locked + funnel.redeemed),
        (N_("On an order"), funnel.locked + funnel.redeemed),
        (N_("Redeemed"), funnel.redeemed),
    ]
    return charts.funnel(N_("Funnel"), steps, tip=N_("How many of the issued coupons came how far."))
