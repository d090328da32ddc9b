"""Console pages of issued coupons: the list, one coupon's life, voiding, and redeeming in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url, console_url_or_none, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Moment, Panel, Section
from admin.export import export_list
from admin.formats import Tag, reader_language
from admin.forms import FormPage
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.coupon_forms import ScanForm
from admin.views.coupons import COUPON_STATES, coupon_table, void_action
from admin.words import actor_words, member_names, order_words
from server.cards import queries as cards
from server.coupons import gift_queries, queries, service
from server.coupons.errors import CouponNotFoundError
from server.coupons.rules.quote import CartLine
from server.coupons.rules.sentence import sentence
from server.kernel.errors import InvalidError
from server.kernel.pagination import Page, PageRequest
from server.kernel.text import N_
from server.orders import queries as orders
from server.staff.permissions import Permission
from server.triggers import queries as triggers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.coupons.gift_queries import GiftView
    from server.coupons.queries import CouponView

_STORE_CHANNEL = "store"
_EVENTS = {
    "issue": Tag(N_("Issued"), "green"),
    "lock": Tag(N_("Kept for an order"), "orange"),
    "unlock": Tag(N_("Released"), "grey"),
    "redeem": Tag(N_("Redeemed"), "blue"),
    "return": Tag(N_("Returned"), "purple"),
    "return_late": Tag(N_("Returned after its end"), "grey"),
    "expire": Tag(N_("Expired"), "grey"),
    "void": Tag(N_("Voided"), "red"),
    "offer": Tag(N_("Offered to a friend"), "purple"),
    "take_back": Tag(N_("Back from a friend"), "green"),
    "give": Tag(N_("Given to a friend"), "grey"),
}

_GIFT_STATES = {
    "open": Tag(N_("Waiting for an answer"), "orange"),
    "accepted": Tag(N_("Accepted"), "green"),
    "refused": Tag(N_("Turned down"), "grey"),
    "withdrawn": Tag(N_("Taken back"), "grey"),
    "lapsed": Tag(N_("Not accepted in time"), "grey"),
}


class CouponsView(ConsoleView):
    """Issued coupons: list, life, void, redeem in store."""

    slug = "coupons"
    title = N_("Issued coupons")
    group = "benefits"
    icon = "tickets"
    order = 31
    permission = Permission.COUPONS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List issued coupons, newest first; ``?template=`` narrows to one template."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("coupons", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("code", N_("Coupon code"), placeholder=N_("Whole code")),
            Filter("card", N_("Card number"), placeholder=N_("Whole number")),
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in COUPON_STATES.items()}),
            Filter("redeemed", N_("Redeemed at"), "date_range"),
        ]
        asked = read_filters(filters)
        template = request.args.get("template")
        since, until = asked.dates("redeemed")
        with self.reading() as session:
            member = cards.by_card_no(session, asked.text("card") or "") if asked.text("card") else None
            if asked.text("card") and member is None:
                found: Page[CouponView] = Page([], None)
            else:
                found = queries.list_coupons(
                    session,
                    place,
                    now=now(),
                    template_id=self.uuid(template) if template else None,
                    member_id=member,
                    state=asked.choice("state"),
                    code=asked.text("code"),
                    redeemed_since=since,
                    redeemed_until=until,
                )
        buttons = [RowAction(N_("Redeem in store"), self.url_to("redeem"), Permission.COUPONS_REDEEM, tone="primary", icon="scan-line")]
        return ListPage(N_("Issued coupons"), coupon_table(found.items), filters, asked, found.next_cursor, buttons, export=True)

    @page("/<coupon_id>")
    def detail(self, coupon_id: str) -> ResponseReturnValue:
        """Show one coupon and its life."""
        with self.reading() as session:
            view = queries.find(session, self.uuid(coupon_id), now=now())
            life = queries.transitions(session, view.id)
            gifts = gift_queries.of_coupon(session, view.id, now=now())
            people = [who for gift in gifts for who in (gift.from_member_id, gift.to_member_id) if who]
            names = member_names(session, [view.member_id, *people])
        member_href = console_url_or_none("members.detail", member_id=view.member_id)
        rule = view.source.removeprefix(f"{triggers.NAMESPACE}/") if view.source.startswith(f"{triggers.NAMESPACE}/") else ""
        return DetailPage(
            title=view.name,
            subtitle=view.code,
            tags=[COUPON_STATES[view.state]],
            buttons=[void_action(view.id)] if view.state in {"issued", "offered"} else [],
            back=(N_("Issued coupons"), self.url_to("index")),
            sections=[
                Section(
                    N_("Coupon"),
                    [
                        Field(N_("What the member reads"), sentence(view.terms, reader_language()), wide=True),
                        Field(N_("Template"), view.name, "link", href=console_url("coupon_templates.detail", template_id=view.template_id)),
                        Field(N_("Member"), names[view.member_id], "link" if member_href else "text", href=member_href),
                        *([Field(N_("Given by rule"), rule, "link", href=_rule_url(rule))] if rule else []),
                        Field(N_("Valid from"), view.valid_from, "instant"),
                        Field(N_("Valid until"), view.valid_until, "instant"),
                        Field(N_("Kept until"), view.locked_until, "instant"),
                        Field(N_("Order"), order_words(view.channel, view.external_no)),
                        Field(N_("Redeemed at"), view.redeemed_at, "instant"),
                        Field(N_("Discount"), view.discount_fen, "money"),
                    ],
                )
            ],
            panels=[
                Panel(
                    N_("Life of the coupon"),
                    timeline=[
                        Moment(
                            each.occurred_at,
                            _EVENTS[each.event].label,
                            " · ".join(
                                filter(
                                    None,
                                    (
                                        order_words(each.channel, each.external_no),
                                        each.refund_id,
                                        gettext(each.reason) if each.reason else None,
                                    ),
                                )
                            ),
                            _EVENTS[each.event].tone,
                            actor_words(each.actor_kind, ""),
                        )
                        for each in reversed(life)
                    ],
                ),
                *([Panel(N_("Gifts"), table=_gift_table(gifts, names, view.id))] if gifts else []),
            ],
        ).render(self)

    @form_page("/redeem", Permission.COUPONS_REDEEM)
    def redeem(self) -> ResponseReturnValue:
        """Redeem a coupon shown in a store, for a receipt."""
        form, actor = ScanForm(), current_actor()
        done, view = self.submit(form, lambda session: _redeem(session, form, actor))
        if done and view is not None:
            flash(gettext("The coupon is redeemed."), "success")
            return redirect(self.url_to("detail", coupon_id=view.id))
        return FormPage(
            N_("Redeem in store"),
            form,
            submit=N_("Redeem"),
            back=console_url("coupon_templates.index"),
            intro=N_("A coupon is redeemed once; the same receipt again changes nothing."),
        ).render(self)

    @action("/<coupon_id>/void", Permission.COUPONS_ISSUE)
    def void(self, coupon_id: str) -> ResponseReturnValue:
        """Take a coupon out of a wallet for good."""
        wanted, actor, reason = self.uuid(coupon_id), current_actor(), request.form.get("reason", "").strip()

        def work(session: Session) -> object:
            if not reason:
                raise InvalidError(fields={"reason": "Please give a reason."})
            return service.void(session, wanted, reason=reason[:300], actor=actor, now=now())

        return self.change(work, done=N_("The coupon is voided."))


def _gift_table(gifts: Sequence[GiftView], names: dict[UUID, str], shown: UUID) -> Table:
    """Show who gave the coupon to whom; the coupon at the other end is a click away."""

    def other_end(gift: GiftView) -> str | None:
        other = gift.coupon.id if gift.received_coupon_id == shown else gift.received_coupon_id
        return console_url("coupons.detail", coupon_id=other) if other else None

    return Table(
        [
            Column(N_("Offered at"), "created_at", "minute"),
            Column(N_("Giver"), lambda row: names[row.from_member_id]),
            Column(N_("Friend"), lambda row: names[row.to_member_id] if row.to_member_id else ""),
            Column(N_("State"), "state", "tag", tags=_GIFT_STATES),
            Column(N_("Ended"), "ended_at", "minute"),
            Column(N_("Coupon"), lambda row: gettext("Look") if other_end(row) else "", "link", href=other_end),
        ],
        gifts,
    )


def _redeem(session: Session, form: ScanForm, actor: Any) -> CouponView:
    found = queries.by_code(session, form.coupon_code.data, now=now())
    if found is None:
        raise CouponNotFoundError
    view, _ = service.redeem_for_lines(
        session,
        found.id,
        [_goods_of(found, form.goods_fen.data)],
        channel=_STORE_CHANNEL,
        external_no=form.external_no.data,
        store=form.store.data or None,
        shipping_fen=0,
        actor=actor,
        now=now(),
        first_order=orders.would_be_first(session, found.member_id, channel=_STORE_CHANNEL, external_no=form.external_no.data),
    )
    return view


def _rule_url(code: str) -> str | None:
    return console_url_or_none("coupon-triggers.detail", code=code)


def _goods_of(coupon: CouponView, goods_fen: int) -> CartLine:
    """Return one line for what the cashier says the goods of the coupon's own scope cost."""
    scope = coupon.terms.scope
    return CartLine(next(iter(scope.products), "-"), 1, goods_fen, next(iter(scope.categories), None))


VIEWS = [CouponsView]
