"""The console page of imports and exports: how far each is, and what it refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_babel import gettext

from admin.base import ConsoleView, page
from admin.formats import Tag
from admin.listing import Column, Filter, ListPage, Table, read_filters
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff.permissions import Permission
from server.transfers import queries as transfers

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

TRANSFER_KINDS = {
    "orders.import": N_("Import of orders"),
    "orders.history": N_("Import of past orders"),
    "points.dry_run": N_("Dry run of points rules"),
    "cards.import": N_("Import of old cards"),
    "coupons.codes": N_("Making of coupon codes"),
    "coupons.issue": N_("Issue of coupons to a file"),
    "coupons.recall": N_("Recall of coupons"),
    "points.opening": N_("Opening balances"),
}
_REFRESH_SECONDS = 5
TRANSFER_STATES: dict[Any, Tag] = {
    "running": Tag(N_("Running"), "blue"),
    "done": Tag(N_("Done"), "green"),
    "failed": Tag(N_("Broken off"), "red"),
}


class TransfersView(ConsoleView):
    """Imports and exports with their progress."""

    slug = "transfers"
    title = N_("Imports and exports")
    group = "trade"
    icon = "boxes"
    order = 60
    permission = Permission.ORDERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List jobs, newest first; the page comes anew while one is running."""
        filters = [
            Filter("kind", N_("Kind"), "choice", TRANSFER_KINDS),
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in TRANSFER_STATES.items()}),
        ]
        asked = read_filters(filters)
        with self.reading() as session:
            found = transfers.list_jobs(session, PageRequest.of(20, self.cursor), kind=asked.choice("kind"), state=asked.choice("state"))
        table = Table(
            [
                Column(N_("File"), "name", second=lambda row: gettext(TRANSFER_KINDS.get(row.kind, row.kind))),
                Column(N_("State"), "state", "tag", tags=TRANSFER_STATES),
                Column(N_("Progress"), "percent", "bar"),
                Column(N_("Done"), "done", "number"),
                Column(N_("Refused rows"), "errors", "number", second=lambda row: row.error_file or ""),
                Column(N_("Started"), "started_at", "instant"),
                Column(N_("Ended"), "finished_at", "instant"),
            ],
            found.items,
            empty=N_("No imports or exports yet"),
            empty_hint=N_("Files of orders are imported from the command line: flask --app wsgi import-orders orders.csv"),
        )
        running = any(row.state == "running" for row in found.items)
        listing = ListPage(N_("Imports and exports"), table, filters, asked, found.next_cursor)
        return listing.render(self, refresh_seconds=_REFRESH_SECONDS if running else None)


VIEWS = [TransfersView]
