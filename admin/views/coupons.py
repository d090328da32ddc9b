"""Console pages of coupon templates: list, funnel, writing them, publishing and pausing, issuing to a list of members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url, core, current_actor, form_page, now, page, put_errors
from admin.detail import DetailPage, Moment, Panel
from admin.formats import Tag, reader_language, share_of_stock, stock_words
from admin.forms import FormPage
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.coupon_figures import alarm_notice, figures_of, funnel_chart, sections_of
from admin.views.coupon_forms import KINDS, MAX_LIST, SECTIONS, IssueForm, TemplateForm, codes_in, draft_of, offer_segments, values_of
from admin.words import action_words, actor_words, order_words
from server.audit import queries as audit
from server.cards import queries as cards
from server.coupons import alarm_queries, queries, service
from server.coupons.errors import TemplateInvalidError
from server.coupons.funnel_queries import funnel
from server.coupons.rules.sentence import offer, sentence
from server.coupons.rules.terms import problems
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.segments import queries as segments
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.coupons.queries import TemplateView
    from server.coupons.service import IssueOutcome

TEMPLATE_STATES = {
    "draft": Tag(N_("Draft"), "grey"),
    "published": Tag(N_("Published"), "green"),
    "paused": Tag(N_("Paused"), "orange"),
}
COUPON_STATES = {
    "issued": Tag(N_("Available"), "green"),
    "locked": Tag(N_("Kept for an order"), "orange"),
    "redeemed": Tag(N_("Redeemed"), "blue"),
    "expired": Tag(N_("Expired"), "grey"),
    "voided": Tag(N_("Voided"), "red"),
    "offered": Tag(N_("Offered to a friend"), "purple"),
    "given": Tag(N_("Given to a friend"), "grey"),
}
_KIND_TAGS = {
    code: Tag(label, tone) for (code, label), tone in zip(KINDS.items(), ("red", "purple", "cyan", "gold", "orange", "green"), strict=True)
}
_OUTCOMES = {
    "": Tag(N_("Issued"), "green"),
    "unknown_card": Tag(N_("No such card"), "red"),
    "sold_out": Tag(N_("All gone"), "orange"),
    "claim_limit_reached": Tag(N_("Has as many as allowed"), "orange"),
    "not_in_window": Tag(N_("Not open"), "grey"),
    "coupon_template_state": Tag(N_("Not published"), "grey"),
}


class CouponTemplatesView(ConsoleView):
    """Templates: list, page with funnel, builder with preview, publish and pause, issue to members."""

    slug = "coupon_templates"
    title = N_("Coupon templates")
    group = "benefits"
    icon = "ticket"
    order = 30
    permission = Permission.COUPONS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List templates, newest first."""
        filters = [
            Filter("text", N_("Name or code"), placeholder=N_("Part of it")),
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in TEMPLATE_STATES.items()}),
            Filter("left", N_("What is left"), "choice", {"little": N_("Running out")}),
        ]
        asked = read_filters(filters)
        with self.reading() as session:
            found = queries.list_templates(
                session,
                PageRequest.of(20, self.cursor),
                state=asked.choice("state"),
                search=asked.text("text"),
                running_out_at=now() if asked.choice("left") else None,
            )
        table = Table(
            [
                Column(N_("Coupon"), "name", "link", href=lambda row: self.url_to("detail", template_id=row.id), second="draft.code"),
                Column(N_("Kind"), lambda row: row.draft.terms.kind.value, "tag", tags=_KIND_TAGS),
                Column(N_("Offer"), lambda row: offer(row.draft.terms, reader_language())),
                Column(N_("State"), "state", "tag", tags=TEMPLATE_STATES),
                Column(
                    N_("Issued of stock"),
                    lambda row: share_of_stock(row.issued, row.draft.limits.stock),
                    "bar",
                    second=lambda row: stock_words(row.issued, row.draft.limits.stock),
                ),
                Column(N_("Claiming until"), "draft.limits.claim_until", "minute"),
                Column(N_("Made on"), "created_at", "date"),
            ],
            found.items,
            lambda row: [RowAction(N_("Details"), self.url_to("detail", template_id=row.id)), *self._actions(row)],
            empty=N_("No coupon template matches"),
        )
        buttons = [
            RowAction(N_("Redeem in store"), console_url("coupons.redeem"), Permission.COUPONS_REDEEM, icon="scan-line"),
            RowAction(N_("New coupon template"), self.url_to("create"), Permission.COUPONS_EDIT, tone="primary", icon="plus"),
        ]
        return ListPage(N_("Coupon templates"), table, filters, asked, found.next_cursor, buttons).render(self)

    @page("/<template_id>")
    def detail(self, template_id: str) -> ResponseReturnValue:
        """Show one template: its terms, what became of its coupons, its history."""
        wanted = self.uuid(template_id)
        with self.reading() as session:
            view = queries.find_template(session, wanted)
            found = funnel(session, wanted, now=now())
            low = alarm_queries.standing(session, template_id=wanted)
            coupons = queries.list_coupons(session, PageRequest(10), now=now(), template_id=wanted)
            about = audit.list_entries(session, PageRequest(20), audit.EntryFilter(subject_type="coupon_template", subject_id=str(wanted)))
        return DetailPage(
            title=view.name,
            subtitle=view.draft.code,
            tags=[TEMPLATE_STATES[view.state], _KIND_TAGS[view.draft.terms.kind.value]],
            buttons=self._actions(view),
            back=(N_("Coupon templates"), self.url_to("index")),
            notice=alarm_notice(low),
            figures=figures_of(view, found),
            sections=sections_of(view),
            panels=[
                Panel(N_("Funnel"), chart=funnel_chart(found)),
                Panel(
                    N_("Issued coupons"),
                    table=coupon_table(coupons.items),
                    more=(N_("All"), console_url("coupons.index", template=wanted)),
                ),
                Panel(
                    N_("History"),
                    timeline=[
                        Moment(
                            entry.occurred_at,
                            action_words(entry.action),
                            entry.reason or "",
                            by=actor_words(entry.actor_kind, entry.actor_name),
                        )
                        for entry in about.items
                    ],
                    side=True,
                ),
            ],
        ).render(self)

    @form_page("/new", Permission.COUPONS_EDIT)
    def create(self) -> ResponseReturnValue:
        """Write a template."""
        form, actor = TemplateForm(), current_actor()
        with self.reading() as session:
            offer_segments(form, segments.names(session))
        if request.form.get("preview"):
            return self._preview(form, N_("New coupon template"), self.url_to("index"))
        done, template_id = self.submit(form, lambda session: service.create_template(session, draft_of(form), actor=actor, now=now()))
        if done:
            flash(gettext("The template is kept as a draft. Publish it when it is ready."), "success")
            return redirect(self.url_to("detail", template_id=template_id))
        return self._form(form, N_("New coupon template"), self.url_to("index"))

    @form_page("/<template_id>/edit", Permission.COUPONS_EDIT)
    def edit(self, template_id: str) -> ResponseReturnValue:
        """Change a template; coupons already issued keep their terms."""
        wanted, actor = self.uuid(template_id), current_actor()
        with self.reading() as session:
            view = queries.find_template(session, wanted)
            offered = segments.names(session)
        form, back = TemplateForm(data=values_of(view)), self.url_to("detail", template_id=wanted)
        offer_segments(form, offered)
        if request.form.get("preview"):
            return self._preview(form, N_("Edit coupon template"), back)
        done, _ = self.submit(form, lambda session: service.update(session, wanted, draft_of(form), actor=actor, now=now()))
        if done:
            flash(gettext("Saved. Coupons already issued keep the terms they were issued with."), "success")
            return redirect(back)
        preview = None if form.is_submitted() else _sentences(form)
        return self._form(form, N_("Edit coupon template"), back, preview=preview)

    @form_page("/<template_id>/issue", Permission.COUPONS_ISSUE)
    def issue(self, template_id: str) -> ResponseReturnValue:
        """Issue a coupon to each member of a list of card numbers."""
        wanted, actor = self.uuid(template_id), current_actor()
        with self.reading() as session:
            view = queries.find_template(session, wanted)
        form, back = IssueForm(batch=uuid7().hex), self.url_to("detail", template_id=wanted)
        done, outcome = self.submit(form, lambda session: _issue(session, form, wanted, actor))
        if done and outcome is not None:
            return self._issued(view, outcome)
        return FormPage(N_("Issue to members"), form, submit=N_("Issue"), back=back, intro=view.name).render(self)

    @action("/<template_id>/publish", Permission.COUPONS_EDIT)
    def publish(self, template_id: str) -> ResponseReturnValue:
        """Open a template."""
        wanted, actor = self.uuid(template_id), current_actor()
        return self.change(
            lambda session: service.publish_template(session, wanted, actor=actor, now=now()), done=N_("The coupon is published.")
        )

    @action("/<template_id>/pause", Permission.COUPONS_EDIT)
    def pause(self, template_id: str) -> ResponseReturnValue:
        """Stop claiming and issuing."""
        wanted, actor = self.uuid(template_id), current_actor()
        return self.change(lambda session: service.pause(session, wanted, actor=actor, now=now()), done=N_("The coupon is paused."))

    def _actions(self, row: TemplateView) -> list[RowAction]:
        to: dict[str, UUID] = {"template_id": row.id}
        edit = Permission.COUPONS_EDIT
        if row.state == "published":
            state = RowAction(
                N_("Pause"), self.url_to("pause", **to), edit, post=True, confirm=N_("Nobody can claim it until it is published again.")
            )
        else:
            state = RowAction(
                N_("Publish"),
                self.url_to("publish", **to),
                edit,
                post=True,
                tone="primary",
                confirm=N_("Members can claim it from now on."),
            )
        found = [RowAction(N_("Edit"), self.url_to("edit", **to), edit), state]
        if row.state == "published":
            found.append(RowAction(N_("Issue to members"), self.url_to("issue", **to), Permission.COUPONS_ISSUE))
            found.append(RowAction(N_("Issue to a file"), console_url("coupon-issues.create", **to), Permission.COUPONS_ISSUE))
            found.append(RowAction(N_("Make codes"), console_url("coupon-codes.create", **to), Permission.COUPONS_ISSUE))
        return found

    def _form(self, form: TemplateForm, title: str, back: str, *, preview: dict[str, str] | None = None) -> ResponseReturnValue:
        answer: ResponseReturnValue = FormPage(title, form, SECTIONS, back=back).render(self, "console/coupon_form.html", preview=preview)
        return answer

    def _preview(self, form: TemplateForm, title: str, back: str) -> ResponseReturnValue:
        """Show the sentence of what was typed; nothing is kept."""
        preview = None
        if form.validate_on_submit():
            try:
                wrong = problems(draft_of(form))
                if wrong:
                    raise TemplateInvalidError(fields=wrong)
                preview = _sentences(form)
            except DomainError as error:
                put_errors(form, error)
        answer = FormPage(title, form, SECTIONS, back=back).render(self, "console/coupon_form.html", preview=preview)
        return answer if preview is None else answer[0]

    def _issued(self, view: TemplateView, outcome: list[dict[str, Any]]) -> ResponseReturnValue:
        given = sum(not row["code"] for row in outcome)
        flash(gettext("Coupons issued: %(count)d", count=given), "success" if given else "danger")
        table = Table([Column(N_("Card number"), "card_no", "code"), Column(N_("Result"), "code", "tag", tags=_OUTCOMES)], outcome)
        back = (N_("Coupon templates"), self.url_to("index"))
        buttons = [RowAction(N_("To the template"), self.url_to("detail", template_id=view.id), tone="primary")]
        return DetailPage(
            title=view.name, subtitle=view.draft.code, back=back, buttons=buttons, panels=[Panel(N_("Result"), table=table)]
        ).render(self)


def coupon_table(rows: Any) -> Table:
    """Return a table of issued coupons."""
    return Table(
        [
            Column(N_("Code"), "code", "link", href=lambda row: console_url("coupons.detail", coupon_id=row.id), second="name"),
            Column(N_("State"), "state", "tag", tags=COUPON_STATES),
            Column(N_("Issued at"), "issued_at", "minute"),
            Column(N_("Valid until"), "valid_until", "minute"),
            Column(N_("Order"), lambda row: order_words(row.channel, row.external_no)),
            Column(N_("Discount"), "discount_fen", "money"),
        ],
        rows,
        lambda row: [
            RowAction(N_("Details"), console_url("coupons.detail", coupon_id=row.id)),
            *([void_action(row.id)] if row.state in {"issued", "offered"} else []),
        ],
        empty=N_("No coupon matches"),
    )


def void_action(coupon_id: UUID) -> RowAction:
    """Return the button that voids a coupon with a reason."""
    return RowAction(
        N_("Void"),
        console_url("coupons.void", coupon_id=coupon_id),
        Permission.COUPONS_ISSUE,
        post=True,
        reason=True,
        tone="danger",
        confirm=N_("The coupon leaves the member's wallet for good."),
    )


def _issue(session: Session, form: IssueForm, template_id: UUID, actor: Any) -> list[dict[str, Any]]:
    numbers = codes_in(form.card_nos.data)[:MAX_LIST]
    found = {number: cards.by_card_no(session, number) for number in numbers}
    members = list(dict.fromkeys(member for member in found.values() if member is not None))
    outcomes: dict[UUID, IssueOutcome] = {
        each.member_id: each
        for each in service.issue_many(
            session,
            members,
            template_id,
            batch=(form.batch.data or "")[:40] or uuid7().hex,
            actor=actor,
            now=now(),
            reason=form.reason.data,
        )
    }
    return [
        {"card_no": number, "code": "unknown_card" if member is None else outcomes[member].code or ""} for number, member in found.items()
    ]


def _sentences(form: TemplateForm) -> dict[str, str]:
    draft, zone = draft_of(form), core().settings.zone
    return {
        "name": draft.terms.name,
        "zh": sentence(draft.terms, "zh", validity=draft.validity, zone=zone),
        "en": sentence(draft.terms, "en", validity=draft.validity, zone=zone),
    }


VIEWS = [CouponTemplatesView]
