"""Console pages of redemptions: what waits to be shipped or refunded, one redemption's life, and vouchers shown in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url_or_none, core, current_actor, form_page, message_of, now, page
from admin.detail import DetailPage, Figure, Moment, Panel
from admin.export import MAX_ROWS, csv_response, record_export
from admin.forms import ConsoleForm, FormPage
from admin.listing import Asked, ListPage, RowAction, read_filters
from admin.views.redemption_parts import (
    EVENTS,
    KIND_TAGS,
    REFUNDS,
    STATES,
    PaymentForm,
    RefundForm,
    ShipForm,
    VoucherForm,
    redemption_columns,
    redemption_table,
    row_actions,
    search_filters,
    sections_of,
)
from admin.words import actor_words, member_names
from server.cards import queries as cards
from server.kernel.errors import DomainError
from server.kernel.pagination import Page, PageRequest
from server.kernel.source import Source
from server.kernel.text import N_
from server.rewards import queries, service
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.rewards.queries import Receiver, RedemptionView

# What waits, as tabs: name → (label, filter of the list).
_TABS: dict[str, tuple[str, dict[str, str]]] = {
    "all": (N_("All"), {}),
    "ship": (N_("To be shipped"), {"state": "placed", "kind": "goods"}),
    "hand_over": (N_("To be handed over"), {"state": "placed", "kind": "service"}),
    "issue": (N_("Coupon waits"), {"state": "placed", "kind": "coupon"}),
    "refund": (N_("To be refunded"), {"refund_state": "due"}),
}


class RedemptionsView(ConsoleView):
    """Redemptions: list with what waits, one redemption's life, shipping, handing over, cancelling, paying and refunding."""

    slug = "redemptions"
    title = N_("Redemptions")
    group = "benefits"
    icon = "clipboard-list"
    order = 15
    permission = Permission.REWARDS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List redemptions, newest first; ``?tab=`` says which work, ``?reward=`` narrows to one reward."""
        filters = search_filters()
        asked = read_filters(filters)
        chosen = request.args.get("tab", "all")
        with self.reading() as session:
            found = self._found(session, asked, PageRequest.of(20, self.cursor))
            table = redemption_table(session, found.items)
            waiting = queries.work(session)
        counts = {"ship": waiting.to_ship, "hand_over": waiting.to_hand_over, "issue": waiting.to_issue, "refund": waiting.to_refund}
        tabs = [(label, self.url_to("index", tab=name), name == chosen, counts.get(name)) for name, (label, _) in _TABS.items()]
        buttons = [
            RowAction(N_("Redeem a voucher"), self.url_to("scan"), Permission.REWARDS_HAND_OVER, icon="scan-line"),
            RowAction(
                N_("Download"),
                f"{self.url_to('export')}?{request.query_string.decode('ascii', 'ignore')}",
                Permission.EXPORTS_CREATE,
                post=True,
                reason=True,
                icon="download",
                confirm=N_("The redemptions of this search, at most 5,000, as a CSV file without receivers."),
            ),
        ]
        return ListPage(N_("Redemptions"), table, filters, asked, found.next_cursor, buttons, tabs).render(self)

    @page("/<redemption_id>")
    def detail(self, redemption_id: str) -> ResponseReturnValue:
        """Show one redemption and its life."""
        return self._detail(self.uuid(redemption_id), None)

    @action("/<redemption_id>/receiver", Permission.MEMBERS_REVEAL)
    def reveal(self, redemption_id: str) -> ResponseReturnValue:
        """Show the receiver once, on this very answer."""
        wanted, actor, reason = self.uuid(redemption_id), current_actor(), request.form.get("reason", "")
        try:
            receiver = core().db.run(lambda session: service.reveal_receiver(session, wanted, reason=reason, actor=actor, now=now()))
        except DomainError as error:
            flash(message_of(error), "danger")
            return redirect(self.url_to("detail", redemption_id=wanted))
        return self._detail(wanted, receiver)

    @form_page("/<redemption_id>/ship", Permission.REWARDS_FULFIL)
    def ship(self, redemption_id: str) -> ResponseReturnValue:
        """Note the parcel that goods were sent in."""
        wanted, form, actor = self.uuid(redemption_id), ShipForm(), current_actor()
        return self._fact(
            wanted,
            form,
            lambda session: service.ship(
                session,
                wanted,
                carrier=form.carrier.data,
                tracking_no=form.tracking_no.data,
                reason=form.reason.data or None,
                actor=actor,
                now=now(),
            ),
            (N_("Ship"), N_("The parcel is noted and the member is told.")),
        )

    @form_page("/<redemption_id>/payment", Permission.REWARDS_FULFIL)
    def payment(self, redemption_id: str) -> ResponseReturnValue:
        """Note a payment of the cash part."""
        wanted, form, actor = self.uuid(redemption_id), PaymentForm(), current_actor()
        return self._fact(
            wanted,
            form,
            lambda session: service.pay(
                session, wanted, source=Source("staff", form.payment_ref.data), paid_fen=form.paid_fen.data, actor=actor, now=now()
            ),
            (N_("Note a payment"), N_("The payment is noted.")),
        )

    @form_page("/<redemption_id>/refund", Permission.REWARDS_FULFIL)
    def refund(self, redemption_id: str) -> ResponseReturnValue:
        """Note that the cash part was given back."""
        wanted, form, actor = self.uuid(redemption_id), RefundForm(), current_actor()
        return self._fact(
            wanted,
            form,
            lambda session: service.refund(session, wanted, refund_ref=form.refund_ref.data, actor=actor, now=now()),
            (N_("Note a refund"), N_("The refund is noted.")),
        )

    @form_page("/scan", Permission.REWARDS_HAND_OVER)
    def scan(self) -> ResponseReturnValue:
        """Redeem a voucher shown in a store."""
        form, actor = VoucherForm(), current_actor()

        def work(session: Session) -> RedemptionView:
            found = queries.id_of_voucher(session, form.voucher_code.data)
            return service.hand_over(session, found, store=form.store.data or None, actor=actor, now=now())

        done, view = self.submit(form, work)
        if done and view is not None:
            flash(gettext("The voucher is redeemed: %(name)s", name=view.reward_name), "success")
            return redirect(self.url_to("detail", redemption_id=view.id))
        intro = N_("A voucher is redeemed once; a second time is refused.")
        return FormPage(N_("Redeem a voucher"), form, submit=N_("Redeem"), back=self.url_to("index"), intro=intro).render(self)

    @action("/<redemption_id>/hand-over", Permission.REWARDS_HAND_OVER)
    def hand_over(self, redemption_id: str) -> ResponseReturnValue:
        """Note that goods or a service were given in person."""
        wanted, actor, reason = self.uuid(redemption_id), current_actor(), request.form.get("reason", "").strip()[:300]
        return self.change(
            lambda session: service.hand_over(session, wanted, reason=reason or None, actor=actor, now=now()),
            done=N_("The hand-over is noted."),
        )

    @action("/<redemption_id>/issue", Permission.REWARDS_FULFIL)
    def issue(self, redemption_id: str) -> ResponseReturnValue:
        """Issue the coupon that could not be had when the payment came."""
        wanted, actor = self.uuid(redemption_id), current_actor()
        return self.change(lambda session: service.issue_coupon(session, wanted, actor=actor, now=now()), done=N_("The coupon is issued."))

    @action("/<redemption_id>/cancel", Permission.REWARDS_FULFIL)
    def cancel(self, redemption_id: str) -> ResponseReturnValue:
        """Cancel or take back: the points return."""
        wanted, actor, reason = self.uuid(redemption_id), current_actor(), request.form.get("reason", "").strip()[:300]
        return self.change(
            lambda session: service.cancel(session, wanted, reason=reason, actor=actor, now=now()),
            done=N_("The redemption is cancelled and the points are back."),
        )

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download the redemptions of a search."""
        asked, actor, reason = read_filters(search_filters()), current_actor(), request.form.get("reason", "")
        rows: list[RedemptionView] = []
        with self.reading() as session:
            cursor: str | None = None
            while len(rows) < MAX_ROWS:
                found = self._found(session, asked, PageRequest.of(100, cursor))
                rows.extend(found.items)
                cursor = found.next_cursor
                if cursor is None:
                    break
            columns = redemption_columns(session, rows)
        core().db.run(lambda session: record_export(session, what="redemptions", rows=len(rows), actor=actor, now=now(), reason=reason))
        return csv_response("redemptions", columns, rows)

    def _found(self, session: Session, asked: Asked, wanted: PageRequest) -> Page[RedemptionView]:
        _, narrowed = _TABS.get(request.args.get("tab", "all"), _TABS["all"])
        member = None
        if asked.text("card"):
            member = cards.by_card_no(session, asked.text("card") or "")
            if member is None:
                return Page([], None)
        reward = request.args.get("reward")
        since, until = asked.dates("made")
        narrow: dict[str, Any] = {"state": asked.choice("state"), "kind": asked.choice("kind"), "number": asked.text("number")} | narrowed
        return queries.list_redemptions(
            session, wanted, member_id=member, reward_id=self.uuid(reward) if reward else None, since=since, until=until, **narrow
        )

    def _fact(self, wanted: UUID, form: ConsoleForm, work: Any, words: tuple[str, str]) -> ResponseReturnValue:
        """Take in one fact about a redemption through a form of its own."""
        title, said = words
        with self.reading() as session:
            view = queries.find(session, wanted)
        back = self.url_to("detail", redemption_id=wanted)
        done, _ = self.submit(form, work)
        if done:
            flash(gettext(said), "success")
            return redirect(back)
        return FormPage(title, form, submit=title, back=back, intro=f"{view.redemption_no} · {view.reward_name}").render(self)

    def _detail(self, wanted: UUID, revealed: Receiver | None) -> ResponseReturnValue:
        with self.reading() as session:
            view = queries.find(session, wanted)
            life = queries.transitions(session, wanted)
            member = member_names(session, [view.member_id])[view.member_id]
        member_href = console_url_or_none("members.detail", member_id=view.member_id)
        return DetailPage(
            title=view.redemption_no,
            subtitle=view.reward_name,
            tags=[STATES[view.state], KIND_TAGS[view.kind], *([REFUNDS["due"]] if view.refund_state == "due" else [])],
            buttons=self._buttons(view, revealed),
            back=(N_("Redemptions"), self.url_to("index")),
            figures=[
                Figure(N_("Points"), view.points, "points"),
                Figure(N_("Cash part"), view.cash_fen, "money"),
                *([Figure(N_("To be refunded"), view.refund_due_fen, "money", tone="red")] if view.refund_due_fen else []),
            ],
            sections=sections_of(view, revealed, (member, member_href)),
            panels=[
                Panel(
                    N_("Life of the redemption"),
                    timeline=[
                        Moment(
                            each.occurred_at,
                            EVENTS[each.event].label,
                            " · ".join(filter(None, (each.detail, each.reason))),
                            EVENTS[each.event].tone,
                            actor_words(each.actor_kind, ""),
                        )
                        for each in reversed(life)
                    ],
                )
            ],
        ).render(self)

    def _buttons(self, view: RedemptionView, revealed: Receiver | None) -> list[RowAction]:
        buttons = row_actions(view)
        if view.state == "reserved":
            buttons.insert(
                0, RowAction(N_("Note a payment"), self.url_to("payment", redemption_id=view.id), Permission.REWARDS_FULFIL, tone="primary")
            )
        if view.receiver is not None and revealed is None:
            buttons.append(
                RowAction(
                    N_("Show receiver"),
                    self.url_to("reveal", redemption_id=view.id),
                    Permission.MEMBERS_REVEAL,
                    post=True,
                    reason=True,
                    confirm=N_("Who saw it and why is kept in the audit trail."),
                )
            )
        return buttons


VIEWS = [RedemptionsView]
