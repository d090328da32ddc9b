"""Console pages of orders: search and list, the whole order on one page, and exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import abort, flash, redirect, request
from flask_babel import gettext, ngettext

from admin.base import ConsoleView, action, console_url, console_url_or_none, core, current_actor, message_of, now, page
from admin.detail import DetailPage, Field, Figure, Moment, Panel, Section
from admin.export import export_list
from admin.formats import Tag, money, reader_language
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.words import CHANNELS, actor_words, channel_words, fact_words
from server.catalogue import queries as catalogue
from server.flows import order_events as flow
from server.flows import order_points
from server.kernel.errors import DomainError
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.orders import claims, pending, queries, service
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

STATES: dict[Any, Tag] = {
    "placed": Tag(N_("Awaiting payment"), "orange"),
    "paid": Tag(N_("Paid, to be shipped"), "gold"),
    "shipped": Tag(N_("On its way"), "blue"),
    "delivered": Tag(N_("Delivered"), "cyan"),
    "completed": Tag(N_("Completed"), "green"),
    "cancelled": Tag(N_("Cancelled"), "grey"),
    "refunded": Tag(N_("Refunded in full"), "purple"),
}
NOT_CANCELLED = "not_cancelled"
STAGES = {"pending": N_("To be handled"), "processing": N_("In progress"), "done": N_("Completed")}
RULES: dict[Any, Tag] = {
    "amounts_differ": Tag(N_("Amounts do not add up"), "red"),
    "member_unknown": Tag(N_("Buyer is unknown"), "orange"),
    "phone_invalid": Tag(N_("Buyer's phone number cannot be"), "orange"),
    "receiver_phone_invalid": Tag(N_("Receiver's phone number cannot be"), "orange"),
    "store_unknown": Tag(N_("Store is not in the catalogue"), "gold"),
    "gift_not_as_promised": Tag(N_("Gift is not what its coupon promises"), "orange"),
    "coupon_refused": Tag(N_("Coupon could not be redeemed"), "red"),
    "coupon_not_returned": Tag(N_("Coupon could not be returned"), "red"),
    "points_refused": Tag(N_("Points could not be redeemed"), "red"),
    "refund_exceeds_paid": Tag(N_("More refunded than paid"), "red"),
    "cancelled_but_shipped": Tag(N_("Cancelled, yet shipped"), "red"),
    "shipped_unpaid": Tag(N_("Shipped before payment"), "red"),
    "event_refused": Tag(N_("An event that waited could not be recorded"), "red"),
}
EXCEPTION_STATES: dict[Any, Tag] = {"open": Tag(N_("Open"), "red"), "closed": Tag(N_("Closed"), "grey")}
PARCEL_STATES: dict[Any, Tag] = {
    "waiting": Tag(N_("No news yet"), "grey"),
    "collected": Tag(N_("Collected"), "blue"),
    "in_transit": Tag(N_("In transit"), "blue"),
    "redirected": Tag(N_("Redirected"), "gold"),
    "customs": Tag(N_("In customs"), "gold"),
    "delivering": Tag(N_("Out for delivery"), "cyan"),
    "problem": Tag(N_("Problem"), "red"),
    "refused": Tag(N_("Refused by the receiver"), "red"),
    "returning": Tag(N_("On its way back"), "orange"),
    "returned": Tag(N_("Returned to the sender"), "purple"),
    "delivered": Tag(N_("Signed for"), "green"),
}
KINDS = {
    "placed": N_("Order placed"),
    "paid": N_("Paid"),
    "shipped": N_("Shipped"),
    "delivered": N_("Delivered"),
    "cancelled": N_("Cancelled"),
    "refunded": N_("Refunded"),
    "received": N_("Receipt confirmed by the member"),
    "completed": N_("Completed"),
}


class OrdersView(ConsoleView):
    """Orders: search, list, the order's page."""

    slug = "orders"
    title = N_("Orders")
    group = "trade"
    icon = "shopping-cart"
    order = 10
    permission = Permission.ORDERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List orders."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("orders", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("q", N_("Keyword"), placeholder=N_("Order, external or tracking number, receiver or phone")),
            Filter("stage", N_("Stage"), "choice", STAGES),
            Filter(
                "state",
                N_("State"),
                "choice",
                {**{code: tag.label for code, tag in STATES.items()}, NOT_CANCELLED: N_("All but cancelled")},
            ),
            Filter("channel", N_("Channel"), "choice", CHANNELS),
            Filter("placed", N_("Placed"), "date_range"),
        ]
        asked = read_filters(filters)
        state = asked.choice("state")
        since, until = asked.dates("placed")
        with self.reading() as session:
            found = queries.search(
                session,
                place,
                text=asked.text("q"),
                stage=asked.choice("stage"),
                state=None if state == NOT_CANCELLED else state,
                channel=asked.choice("channel"),
                since=since,
                until=until,
                cancelled=state != NOT_CANCELLED,
            )
        table = Table(
            columns=[
                Column(
                    N_("Order"),
                    "order_no",
                    "link",
                    href=lambda row: self.url_to("detail", order_id=row.id),
                    second="external_no",
                    second_label=N_("External number"),
                ),
                Column(N_("Channel"), lambda row: channel_words(row.channel)),
                Column(
                    N_("Goods"),
                    "first_line",
                    second=lambda row: ngettext("%(num)d line", "%(num)d lines", row.lines),
                    second_label=N_("Lines"),
                ),
                Column(N_("Payable"), "payable_fen", "money"),
                Column(N_("Refunded"), "refunded_fen", "money"),
                Column(N_("State"), "state", "tag", tags=STATES),
                Column(N_("Open exceptions"), "exceptions_open", "number"),
                Column(N_("Placed"), "placed_at", "minute"),
            ],
            rows=found.items,
            actions=lambda row: [RowAction(N_("Details"), self.url_to("detail", order_id=row.id))],
            empty=N_("No orders match"),
        )
        return ListPage(N_("Orders"), table, filters, asked, found.next_cursor, export=True)

    @page("/<order_id>")
    def detail(self, order_id: str) -> ResponseReturnValue:
        """Show one order."""
        return self._detail(self.uuid(order_id), None)

    @action("/<order_id>/receiver", Permission.MEMBERS_REVEAL)
    def reveal(self, order_id: str) -> ResponseReturnValue:
        """Show the receiver once, on this very answer."""
        wanted, actor, reason = self.uuid(order_id), current_actor(), request.form.get("reason", "")
        try:
            receiver = core().db.run(lambda session: service.reveal_receiver(session, wanted, reason=reason, actor=actor, now=now()))
        except DomainError as error:
            flash(message_of(error), "danger")
            return redirect(self.url_to("detail", order_id=wanted))
        return self._detail(wanted, receiver)

    @action("/exceptions/<exception_id>/close", Permission.ORDERS_EDIT)
    def close_exception(self, exception_id: str) -> ResponseReturnValue:
        """Close an exception with a reason."""
        wanted, actor, reason = self.uuid(exception_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: flow.close_exception(session, wanted, reason=reason, actor=actor, now=now()),
            done=N_("The exception is closed."),
        )

    def _detail(self, order_id: UUID, revealed: queries.ReceiverView | None) -> ResponseReturnValue:
        with self.reading() as session:
            order = queries.find(session, order_id)
            store = catalogue.find_store(session, order.store) if order is not None and order.store else None
            why = order_points.why_lines(session, order, reader_language(), gettext) if order is not None else {}
            free = order is not None and claims.is_free(session, order_id)
        if order is None:
            abort(404)
        open_ = [found for found in order.exceptions if found.state == "open"]
        return DetailPage(
            title=order.order_no,
            subtitle=f"{channel_words(order.channel)} · {order.external_no}",
            tags=[STATES[order.state], *([Tag(N_("Open exceptions"), "red")] if open_ else [])],
            back=(N_("Orders"), self.url_to("index")),
            buttons=self._buttons(order, revealed, free=free),
            figures=[
                Figure(N_("Payable"), order.payable_fen, "money"),
                Figure(N_("Refunded"), order.refunded_fen, "money"),
                Figure(N_("Points earned"), order.points_earned, "points"),
                Figure(N_("Points taken back"), order.points_taken_back, "points"),
            ],
            sections=_sections(order, revealed, store.name if store else None),
            panels=[
                Panel(N_("Goods"), table=_lines(order), name="lines"),
                Panel(N_("Points"), table=_why(order, why), name="points"),
                *(Panel(_parcel_title(parcel), timeline=_parcel(parcel), name=f"parcel-{parcel.id}") for parcel in order.shipments),
                Panel(N_("Exceptions"), table=self.exception_table(order.exceptions), name="exceptions"),
                Panel(N_("History"), timeline=_history(order), side=True),
            ],
        ).render(self)

    def _buttons(self, order: queries.OrderDetail, revealed: queries.ReceiverView | None, *, free: bool) -> list[RowAction]:
        buttons = []
        member = console_url_or_none("members.detail", member_id=order.member_id) if order.member_id else None
        if member:
            buttons.append(RowAction(N_("Member"), member, Permission.MEMBERS_READ, icon="user"))
        if free:
            attach = console_url("receipt-claims.attach", order_id=order.id)
            buttons.append(RowAction(N_("Give to a member"), attach, Permission.POINTS_ADJUST, icon="receipt"))
        if order.receiver is not None and revealed is None:
            buttons.append(
                RowAction(
                    N_("Show receiver"),
                    self.url_to("reveal", order_id=order.id),
                    Permission.MEMBERS_REVEAL,
                    post=True,
                    reason=True,
                    confirm=N_("Who saw it and why is kept in the audit trail."),
                )
            )
        return buttons

    def exception_table(self, rows: Any, *, with_order: bool = False) -> Table:
        """Return a table of exceptions with the action that closes them."""
        columns = [
            Column(N_("What is wrong"), "rule", "tag", tags=RULES),
            Column(N_("Details"), lambda row: _words(row.detail)),
            Column(N_("State"), "state", "tag", tags=EXCEPTION_STATES),
            Column(N_("Opened"), "opened_at", "minute"),
            Column(N_("Closed by"), lambda row: row.closed_by or "", second=lambda row: row.reason or ""),
        ]
        if with_order:
            columns.insert(0, Column(N_("Order"), "order_no", "link", href=lambda row: self.url_to("detail", order_id=row.order_id)))

        def actions(row: queries.ExceptionView) -> list[RowAction]:
            if row.state != "open":
                return []
            return [
                RowAction(
                    N_("Close"),
                    self.url_to("close_exception", exception_id=row.id),
                    Permission.ORDERS_EDIT,
                    post=True,
                    reason=True,
                    confirm=N_("Write down what you found; points that waited for it go on unlocking."),
                )
            ]

        return Table(columns, rows, actions, empty=N_("Nothing is wrong"))


def _sections(order: queries.OrderDetail, revealed: queries.ReceiverView | None, store: str | None) -> list[Section]:
    receiver = revealed or order.receiver
    sections = [
        Section(
            N_("Money"),
            [
                Field(N_("Goods"), order.goods_fen, "money"),
                Field(N_("Discount"), order.discount_fen, "money"),
                Field(N_("Shipping"), order.shipping_fen, "money"),
                Field(N_("Paid with points"), order.points_paid_fen, "money"),
                Field(N_("Points redeemed"), order.points_redeemed, "points"),
            ],
        ),
        Section(
            N_("Dates"),
            [
                Field(N_("Placed"), order.placed_at, "instant"),
                Field(N_("Paid"), order.paid_at, "instant"),
                Field(N_("Shipped"), order.shipped_at, "instant"),
                Field(N_("Promised"), _promised(order), "instant"),
                Field(N_("Delivered"), order.delivered_at, "instant"),
                Field(N_("Completed"), order.completed_at, "instant"),
                Field(N_("Captured offline"), order.captured_at, "instant"),
                Field(N_("Given to the member"), order.attached_at, "instant"),
                Field(N_("Store"), store or order.store or ""),
            ],
        ),
    ]
    if receiver is not None:
        fields = [
            Field(N_("Full name"), receiver.name),
            Field(N_("Phone"), receiver.phone),
            Field(N_("Address"), receiver.address, wide=True),
        ]
        sections.append(Section(N_("Receiver"), fields))
    return sections


def _promised(order: queries.OrderDetail) -> datetime | None:
    """Return the latest promise of its parcels, or the channel's own while nothing is shipped."""
    return max((parcel.promised_at for parcel in order.shipments if parcel.promised_at), default=order.promised_at)


def _why(order: queries.OrderDetail, why: dict[int, list[str]]) -> Table:
    return Table(
        [
            Column("#", "line_no", "number"),
            Column(N_("Product"), "name", second="sku"),
            Column(N_("Points"), "points", "points"),
            Column(N_("Why"), lambda row: " · ".join(why[row.line_no])),
        ],
        order.lines,
    )


def _lines(order: queries.OrderDetail) -> Table:
    return Table(
        [
            Column("#", "line_no", "number"),
            Column(N_("Product"), "name", second="sku"),
            Column(N_("Category"), lambda row: row.category or ""),
            Column(N_("Quantity"), "quantity", "number"),
            Column(N_("Discount"), "discount_fen", "money"),
            Column(N_("Amount paid"), "amount_fen", "money"),
            Column(N_("Refunded"), "refunded_fen", "money"),
            Column(N_("Points"), "points", "points"),
        ],
        order.lines,
    )


def _parcel_title(parcel: queries.ShipmentView) -> str:
    state = gettext(PARCEL_STATES[parcel.state].label)
    return f"{gettext('Parcel')} {parcel.carrier} {parcel.tracking_no} · {state}"


def _parcel(parcel: queries.ShipmentView) -> list[Moment]:
    return [
        Moment(event.occurred_at, PARCEL_STATES[event.state].label if event.state else N_("In transit"), event.description)
        for event in parcel.events
    ]


def _history(order: queries.OrderDetail) -> list[Moment]:
    return [
        Moment(
            event.occurred_at,
            KINDS[event.kind],
            _words(event.detail),
            "red" if event.kind in {"cancelled", "refunded"} else "blue",
            actor_words(*event.actor.split(":", 1)) if ":" in event.actor else event.actor,
        )
        for event in reversed(order.events)
    ]


def _words(detail: dict[str, Any]) -> str:
    """Return a small document as words: amounts in yuan, the rest as it is."""
    parts = []
    for name, value in detail.items():
        if name == "lines" and isinstance(value, list):
            parts.append(ngettext("%(num)d line", "%(num)d lines", len(value)))
        elif name.endswith("_fen") and isinstance(value, int):
            parts.append(f"{fact_words(name.removesuffix('_fen'))}: {money(value)}")
        else:
            parts.append(f"{fact_words(name)}: {value}")
    return " · ".join(parts)


class ExceptionsView(ConsoleView):
    """What is wrong with orders and waits for a person."""

    slug = "order-exceptions"
    title = N_("Order exceptions")
    group = "trade"
    icon = "clipboard-list"
    order = 20
    permission = Permission.ORDERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List exceptions, the open ones unless asked otherwise."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("order-exceptions", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in EXCEPTION_STATES.items()}, default="open"),
            Filter("rule", N_("What is wrong"), "choice", {code: tag.label for code, tag in RULES.items()}),
        ]
        asked = read_filters(filters)
        with self.reading() as session:
            found = queries.exceptions(session, place, state=asked.choice("state"), rule=asked.choice("rule"))
        table = OrdersView().exception_table(found.items, with_order=True)
        return ListPage(N_("Order exceptions"), table, filters, asked, found.next_cursor, export=True)


class PendingEventsView(ConsoleView):
    """Events that came before their order and wait for it."""

    slug = "order-pending-events"
    title = N_("Events without an order")
    group = "trade"
    icon = "clipboard-list"
    order = 25
    permission = Permission.ORDERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List what waits, newest first."""
        filters = [Filter("channel", N_("Channel"), "choice", CHANNELS)]
        asked = read_filters(filters)
        with self.reading() as session:
            found = pending.waiting(session, PageRequest.of(20, self.cursor), channel=asked.choice("channel"))
        table = Table(
            [
                Column(N_("External number"), "external_no"),
                Column(N_("Channel"), lambda row: channel_words(row.channel)),
                Column(N_("What happened"), lambda row: gettext(KINDS[row.event.kind]), second=lambda row: row.event.event_id),
                Column(N_("When"), lambda row: row.event.occurred_at, "minute"),
                Column(N_("Reported"), "received_at", "minute"),
                Column(N_("Reported by"), lambda row: actor_words(row.actor.kind, row.actor.ref)),
                Column(N_("Kept until"), lambda row: row.received_at + pending.KEEP, "minute"),
            ],
            found.items,
            empty=N_("No event waits for its order"),
        )
        return ListPage(N_("Events without an order"), table, filters, asked, found.next_cursor).render(self)


VIEWS = [OrdersView, ExceptionsView, PendingEventsView]
