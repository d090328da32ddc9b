"""What the pages of tiers share: the words of entries and causes, and the tables of one member's growth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import gettext

from admin.base import console_url_or_none
from admin.formats import Tag
from admin.listing import Column, Table
from server.kernel.text import N_
from server.tiers.qualifying import CHECK_IN, PROFILE, RATING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.tiers import queries

ENTRY_KINDS = {
    "spend": Tag(N_("Spending"), "green"),
    "frequency": Tag(N_("Order"), "cyan"),
    CHECK_IN: Tag(N_("Daily check-in"), "blue"),
    PROFILE: Tag(N_("Profile completed"), "blue"),
    RATING: Tag(N_("Service rated"), "blue"),
    "reversal": Tag(N_("Reversed"), "red"),
    "merge": Tag(N_("Merged"), "purple"),
}
CAUSES = {
    "upgrade": Tag(N_("Upgrade"), "green"),
    "downgrade": Tag(N_("Downgrade"), "red"),
    "renewal": Tag(N_("Renewal"), "cyan"),
    "lock": Tag(N_("Locked"), "purple"),
    "unlock": Tag(N_("Unlocked"), "cyan"),
    "merge": Tag(N_("Merged"), "purple"),
    "import": Tag(N_("From history"), "grey"),
    "assignment": Tag(N_("Assigned"), "gold"),
}


def statement_table(rows: Sequence[queries.EntryView]) -> Table:
    """Return the growth statement of a member as a table."""
    return Table(
        [
            Column(N_("Time"), "occurred_at", "minute"),
            Column(N_("Kind"), lambda row: row.details.get("activity", row.kind), "tag", tags=ENTRY_KINDS),
            Column(N_("Growth"), lambda row: f"{row.growth:+,}"),
            Column(N_("Counts on"), "counted_on", "date", tip=N_("It leaves the window by this day.")),
            Column(N_("Order"), lambda row: row.details.get("order_no"), "code"),
        ],
        rows,
        empty=N_("No growth yet"),
    )


def changes_table(rows: Sequence[queries.ChangeView]) -> Table:
    """Return every change of a member's tier, period and lock as a table."""
    return Table(
        [
            Column(N_("Time"), "occurred_at", "minute"),
            Column(N_("Cause"), "cause", "tag", tags=CAUSES),
            Column(N_("From"), lambda row: gettext(row.from_name) if row.from_name else ""),
            Column(N_("To"), lambda row: gettext(row.to_name)),
            Column(N_("Reason"), lambda row: gettext(row.reason)),
        ],
        rows,
        empty=N_("No changes yet"),
    )


def gifts_table(rows: Sequence[queries.GiftView]) -> Table:
    """Return what reaching tiers gave a member as a table."""
    return Table(
        [
            Column(N_("Tier"), lambda row: gettext(row.tier_name)),
            Column(N_("Reached on"), "reached_on", "date"),
            Column(N_("Points"), "points", "points"),
            Column(
                N_("Coupon"),
                lambda row: str(row.coupon_id)[-8:] if row.coupon_id else row.coupon_problem,
                "link",
                href=lambda row: console_url_or_none("coupons.detail", coupon_id=row.coupon_id) if row.coupon_id else None,
            ),
            Column(N_("Given on"), "given_at", "minute"),
        ],
        rows,
        empty=N_("No gifts yet"),
    )
