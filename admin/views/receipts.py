"""Console pages of claimed receipts: who claimed which and what became of it, a sale given to a member by hand, and the policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect
from flask_babel import gettext
from wtforms.validators import InputRequired, Length, NumberRange

from admin.base import ConsoleView, action, console_url, current_actor, form_page, now, page
from admin.export import export_list
from admin.formats import Tag, money
from admin.forms import L_, ConsoleForm, FormPage, FormSection, IntegerField, StringField, TextAreaField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.member_words import member_by_number
from admin.words import actor_words, channel_words, member_names
from server.catalogue import queries as catalogue
from server.flows import receipts as flow
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members.errors import MemberNotFoundError
from server.orders import claims, late, policies, queries
from server.orders.policies import LIMITS, OrderPolicies
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

OUTCOMES: dict[Any, Tag] = {
    late.GRANTED: Tag(N_("Credited"), "green"),
    late.NOT_FOUND: Tag(N_("No such receipt"), "red"),
    late.AMBIGUOUS: Tag(N_("Several fit"), "gold"),
    late.CREDITED: Tag(N_("Credited before"), "orange"),
    late.REFUNDED: Tag(N_("Refunded or cancelled"), "purple"),
    late.TOO_OLD: Tag(N_("Too old"), "grey"),
}


class AttachForm(ConsoleForm):
    """Whose a sale is."""

    member = StringField(L_("Card or phone number"), [InputRequired(), Length(max=32)])
    reason = TextAreaField(
        L_("Reason"), [InputRequired(), Length(max=500)], description=L_("What you saw: the paper, a photo, the till's own record.")
    )


class PoliciesForm(ConsoleForm):
    """What is declared about late news of sales."""

    claim_days = IntegerField(L_("A receipt can be claimed for (days)"), [InputRequired(), NumberRange(1, LIMITS["claim_days"])])
    claim_tries = IntegerField(L_("Wrong receipts a member may enter a day"), [InputRequired(), NumberRange(1, LIMITS["claim_tries"])])
    offline_days = IntegerField(
        L_("A till may have been offline for (days)"),
        [InputRequired(), NumberRange(1, LIMITS["offline_days"])],
        description=L_("What it captured longer ago is refused when it is told."),
    )


class ReceiptClaimsView(ConsoleView):
    """Receipts that were claimed."""

    slug = "receipt-claims"
    title = N_("Claimed receipts")
    group = "trade"
    icon = "receipt"
    order = 27
    permission = Permission.ORDERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List claims, newest first."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("receipt-claims", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("number", N_("Receipt number"), placeholder=N_("Whole number")),
            Filter("outcome", N_("Outcome"), "choice", {code: tag.label for code, tag in OUTCOMES.items()}),
        ]
        asked = read_filters(filters)
        with self.reading() as session:
            found = claims.listed(session, place, outcome=asked.choice("outcome"), number=asked.text("number"))
            names = member_names(session, [row.member_id for row in found.items])
            stores = catalogue.store_names(session, [row.store_code for row in found.items if row.store_code])
        table = Table(
            [
                Column(
                    N_("Receipt number"),
                    "external_no",
                    second=lambda row: " · ".join(filter(None, (channel_words(row.channel) if row.channel else "", _store(row, stores)))),
                    second_label=N_("Channel and store"),
                ),
                Column(
                    N_("Member"),
                    lambda row: names[row.member_id],
                    "link",
                    href=lambda row: console_url("members.detail", member_id=row.member_id),
                ),
                Column(N_("Amount"), "amount_fen", "money"),
                Column(N_("Day of the purchase"), "placed_on", "date"),
                Column(N_("Outcome"), "outcome", "tag", tags=OUTCOMES, second=lambda row: row.reason or ""),
                Column(
                    N_("Order"),
                    lambda row: row.order_no or "",
                    "link",
                    href=lambda row: console_url("orders.detail", order_id=row.order_id) if row.order_id else "",
                ),
                Column(N_("Points"), "points", "points"),
                Column(N_("Claimed"), "claimed_at", "minute", second=lambda row: actor_words(row.actor_kind, row.actor_ref)),
            ],
            found.items,
            empty=N_("No receipts were claimed yet"),
        )
        buttons = [RowAction(N_("Rules of claims"), self.url_to("policies"), Permission.POINTS_RULES, icon="settings")]
        return ListPage(N_("Claimed receipts"), table, filters, asked, found.next_cursor, buttons, export=True)

    @form_page("/policies", Permission.POINTS_RULES)
    def policies(self) -> ResponseReturnValue:
        """Declare until when receipts can be claimed, and how long tills may have been offline."""
        with self.reading() as session:
            held = policies.current(session)
        form, actor = PoliciesForm(obj=held), current_actor()

        def work(session: Session) -> None:
            wanted = OrderPolicies(form.offline_days.data, form.claim_days.data, form.claim_tries.data)
            policies.change(session, wanted, actor=actor, now=now())

        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The policies hold from now on."), "success")
            return redirect(self.url_to("index"))
        sections = [
            FormSection(N_("Receipts"), ["claim_days", "claim_tries"]),
            FormSection(N_("Tills"), ["offline_days"]),
        ]
        return FormPage(N_("Policies of receipts and tills"), form, sections, back=self.url_to("index")).render(self)

    @form_page("/attach/<order_id>", Permission.POINTS_ADJUST)
    def attach(self, order_id: str) -> ResponseReturnValue:
        """Give a sale without a buyer to a member."""
        wanted, form, actor = self.uuid(order_id), AttachForm(), current_actor()
        with self.reading() as session:
            order = queries.find(session, wanted)
        if order is None:
            abort(404)

        def work(session: Session) -> object:
            member_id = member_by_number(session, form.member.data)
            if member_id is None:
                raise MemberNotFoundError(fields={"member": gettext("Nobody has this number.")})
            return flow.attach(session, wanted, member_id, reason=form.reason.data, actor=actor, now=now())

        done, _ = self.submit(form, work)
        back = console_url("orders.detail", order_id=wanted)
        if done:
            flash(gettext("The purchase is the member's now."), "success")
            return redirect(back)
        about = " · ".join((order.order_no, channel_words(order.channel), order.external_no, money(order.payable_fen)))
        return FormPage(N_("Give to a member"), form, submit=N_("Give"), back=back, intro=about).render(self)


def _store(row: claims.ClaimView, names: dict[str, str]) -> str:
    return names.get(row.store_code, row.store_code) if row.store_code else ""


VIEWS = [ReceiptClaimsView]
