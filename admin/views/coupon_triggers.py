"""Console pages of coupons that are issued by themselves: the rules by version, what they gave, what was not to be had and what stayed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url, console_url_or_none, current_actor, form_page, now, page, put_errors
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.formats import Tag, reader_language
from admin.forms import FormPage
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.coupon_trigger_forms import FORMS, KINDS, draft_of, offer, sections_of, terms_of, values_of
from admin.words import CHANNELS, maker_names, member_names
from server.cards import queries as cards
from server.catalogue import queries as catalogue
from server.coupons import queries as coupons
from server.coupons.source_queries import SourceFigures, figures_of
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.orders import purchases
from server.segments import queries as segments
from server.staff.permissions import Permission
from server.tiers import queries as tiers
from server.triggers import queries, service
from server.triggers.errors import TriggerInvalidError
from server.triggers.queries import GiftTotals
from server.triggers.rules import TriggerKind
from server.triggers.sentence import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.triggers.queries import GiftView, RuleView
    from server.triggers.rules import Terms

_DAYS = 30
_TEMPLATES = 100
_SHOWN = 10
STATES: dict[object, Tag] = {True: Tag(N_("Published"), "green"), False: Tag(N_("Paused"), "orange")}
GIFT_STATES: dict[object, Tag] = {
    "given": Tag(N_("Given"), "green"),
    "refused": Tag(N_("Not to be had"), "orange"),
    "revoked": Tag(N_("Taken out of the wallet"), "grey"),
    "kept": Tag(N_("In use, stays"), "red"),
    "over": Tag(N_("Ended before"), "grey"),
}
PROBLEMS: dict[str, str] = {
    "claim_limit_reached": N_("Has as many as allowed"),
    "coupon_template_state": N_("The template is paused"),
    "given_twice": N_("Given once for each person"),
    "member_not_active": N_("The membership is not active"),
    "not_in_window": N_("The template's validity is over"),
    "order_below_minimum": N_("Refunded below the rule's amount"),
    "order_gone": N_("The order was called off or refunded"),
    "order_of_another": N_("The order belongs to another member"),
    "segment_not_eligible": N_("Is not one of the selected members"),
    "sold_out": N_("Stock or budget is used up"),
    "used_before": N_("The order's coupon was used by another record"),
}


class CouponTriggersView(ConsoleView):
    """Rules by which coupons are issued by themselves."""

    slug = "coupon-triggers"
    title = N_("Automatic coupons")
    group = "benefits"
    icon = "zap"
    order = 34
    permission = Permission.CAMPAIGNS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the newest version of every rule, with what it did lately."""
        with self.reading() as session:
            rules = queries.newest(session)
            lately = queries.totals(session, since=now() - timedelta(days=_DAYS))
            words = _Words(session, rules)
        table = Table(
            [
                Column(N_("Name"), "name", "link", href=lambda row: self.url_to("detail", code=row.code), second="code"),
                Column(N_("Kind"), "kind", "tag", tags=KINDS),
                Column(N_("Rule"), words.of),
                Column(N_("State"), "enabled", "tag", tags=STATES),
                Column(N_("Given in 30 days"), lambda row: lately.get(row.code, GiftTotals()).given, "number"),
                Column(N_("Not to be had"), lambda row: lately.get(row.code, GiftTotals()).refused, "number"),
                Column(N_("Changed"), "created_at", "minute"),
            ],
            rules,
            lambda row: [
                RowAction(N_("Details"), self.url_to("detail", code=row.code)),
                RowAction(N_("New version"), self.url_to("edit", code=row.code), Permission.CAMPAIGNS_EDIT),
                self._switch(row),
            ],
            empty=N_("No rules yet"),
            empty_hint=N_("A rule gives coupons for joining, for a tier, for an order, or to members who stayed away."),
        )
        labels = {
            TriggerKind.WELCOME: N_("New welcome pack"),
            TriggerKind.TIER_UP: N_("New tier rule"),
            TriggerKind.WIN_BACK: N_("New win-back rule"),
            TriggerKind.ORDER: N_("New order rule"),
        }
        buttons = [
            RowAction(
                label,
                self.url_to("create", kind=kind.value),
                Permission.CAMPAIGNS_EDIT,
                icon="plus",
                tone="primary" if kind is TriggerKind.ORDER else "",
            )
            for kind, label in labels.items()
        ]
        return ListPage(N_("Automatic coupons"), table, buttons=buttons, tabs=self._tabs("index")).render(self)

    @page("/gifts")
    def gifts(self) -> ResponseReturnValue:
        """List what was given, what was not to be had, and what stayed although it should have been taken back."""
        filters = [
            Filter("state", N_("State"), "choice", {str(code): tag.label for code, tag in GIFT_STATES.items()}),
            Filter("card", N_("Card number"), placeholder=N_("Whole number")),
        ]
        asked = read_filters(filters)
        card, code = asked.text("card"), request.args.get("rule") or None
        with self.reading() as session:
            # A number nobody has finds nothing, rather than everything.
            member_id = (cards.by_card_no(session, card) or uuid7()) if card else None
            page_asked = PageRequest.of(20, self.cursor)
            found = queries.gifts(session, page_asked, code=code, member_id=member_id, state=asked.choice("state"))
            table = self._gifts(session, found.items)
        return ListPage(N_("Coupons given by rules"), table, filters, asked, found.next_cursor, tabs=self._tabs("gifts")).render(self)

    @page("/<code>")
    def detail(self, code: str) -> ResponseReturnValue:
        """Show a rule: what it does, what became of its coupons, and its versions."""
        with self.reading() as session:
            versions = queries.versions(session, code=code)
            if not versions:
                abort(404)
            rule = versions[0]
            totals = queries.totals(session, code=code).get(code, GiftTotals())
            namespace = queries.namespace_of(code)
            used = figures_of(session, [namespace]).get(namespace, SourceFigures())
            makers = maker_names(session, [row.created_by for row in versions])
            words = _Words(session, versions)
            recent = queries.gifts(session, PageRequest(_SHOWN), code=code)
            kept = queries.gifts(session, PageRequest(_SHOWN), code=code, state="kept")
            given, stayed = self._gifts(session, recent.items), self._gifts(session, kept.items)
            until = queries.done_until(session, code)
        fields = [
            Field(N_("Rule"), words.of(rule), wide=True),
            Field(N_("Kind"), rule.kind, "tag", KINDS),
            Field(N_("Code"), rule.code, "code"),
            Field(N_("Valid from"), rule.valid_from, "instant"),
            Field(N_("Valid until"), rule.valid_until, "instant"),
            Field(N_("Discount"), used.discount_fen, "money"),
            *([Field(N_("Last purchases looked at up to"), until, "date")] if rule.kind is TriggerKind.WIN_BACK else []),
        ]
        panels = [Panel(N_("Given lately"), table=given, more=(N_("All"), self.url_to("gifts", rule=code)))]
        if totals.kept:
            panels.insert(0, Panel(N_("In use, stays"), table=stayed, more=(N_("All"), self.url_to("gifts", rule=code, state="kept"))))
        return DetailPage(
            title=rule.name,
            subtitle=rule.code,
            tags=[STATES[rule.enabled]],
            back=(N_("Automatic coupons"), self.url_to("index")),
            buttons=[
                RowAction(N_("New version"), self.url_to("edit", code=code), Permission.CAMPAIGNS_EDIT, tone="primary", icon="pencil"),
                self._switch(rule),
            ],
            figures=_figures(totals, used),
            sections=[Section(N_("Rule"), fields)],
            panels=[*panels, Panel(N_("Versions"), table=_versions(versions, words, makers))],
        ).render(self)

    @form_page("/new/<kind>", Permission.CAMPAIGNS_EDIT)
    def create(self, kind: str) -> ResponseReturnValue:
        """Write a rule's first version."""
        if kind not in set(TriggerKind):
            abort(404)
        return self._form(TriggerKind(kind), None)

    @form_page("/<code>/edit", Permission.CAMPAIGNS_EDIT)
    def edit(self, code: str) -> ResponseReturnValue:
        """Write a rule's next version."""
        with self.reading() as session:
            versions = queries.versions(session, code=code)
        if not versions:
            abort(404)
        return self._form(versions[0].kind, versions[0])

    @action("/<code>/switch", Permission.CAMPAIGNS_EDIT)
    def switch(self, code: str) -> ResponseReturnValue:
        """Pause a rule, or publish it again."""
        actor, reason, enabled = current_actor(), request.form.get("reason", ""), request.args.get("to") == "on"
        seen = request.args.get("seen", "")
        expected = int(seen) if seen.isdecimal() and len(seen) < 10 else None  # noqa: PLR2004 - no rule has so many versions
        return self.change(
            lambda session: service.set_enabled(session, code, enabled=enabled, expected=expected, reason=reason, actor=actor, now=now()),
            done=N_("The rule gives again.") if enabled else N_("The rule is paused and gives nothing more."),
            back=self.url_to("detail", code=code),
        )

    def _form(self, kind: TriggerKind, rule: RuleView | None) -> ResponseReturnValue:
        form: Any = FORMS[kind](data=values_of(rule) if rule else None)
        if rule is not None:
            form.code.data = rule.code
        with self.reading() as session:
            templates = coupons.list_templates(session, PageRequest(_TEMPLATES), state="published").items
            levels = {tier.code: gettext(tier.name) for tier in tiers.definitions(session)}
            stores = catalogue.store_names(session, list(rule.terms.stores)) if rule else {}
            groups = segments.names(session)
        offered = {template.draft.code: template.name for template in templates}
        offer(form, offered, levels, groups)
        places = {**groups, **levels, **{code: gettext(text) for code, text in CHANNELS.items()}, **stores}
        title = N_("New rule") if rule is None else N_("New version")
        if "preview" in request.form:
            shown = _preview(kind, form, offered, places)
            html, status = self._page(kind, form, title, shown)
            return html, 200 if shown else status
        actor = current_actor()
        done, _ = self.submit(
            form,
            lambda session: service.save_rule(session, draft_of(kind, form, rule.code if rule else None), actor=actor, now=now()),
        )
        if done:
            flash(gettext("The new version holds from now on."), "success")
            return redirect(self.url_to("detail", code=rule.code if rule else form.code.data))
        shown = None if form.is_submitted() or rule is None else _both(kind, rule.terms, rule.name, offered, places)
        return self._page(kind, form, title, shown)

    def _page(self, kind: TriggerKind, form: Any, title: str, preview: dict[str, str] | None) -> tuple[str, int]:
        made = FormPage(title, form, sections_of(kind), submit="Publish", back=self.url_to("index"), intro=KINDS[kind].label)
        return made.render(self, "console/trigger_form.html", preview=preview)

    def _switch(self, rule: RuleView) -> RowAction:
        return RowAction(
            N_("Pause") if rule.enabled else N_("Publish"),
            self.url_to("switch", code=rule.code, to="off" if rule.enabled else "on", seen=rule.version),
            Permission.CAMPAIGNS_EDIT,
            post=True,
            reason=True,
            tone="danger" if rule.enabled else "",
            confirm=N_("It gives nothing more, at once; coupons that were given stay.")
            if rule.enabled
            else N_("It gives from now on; what happened during the pause is not made up for."),
        )

    def _tabs(self, current: str) -> list[tuple[str, str, bool, int | None]]:
        return [
            (N_("Rules"), self.url_to("index"), current == "index", None),
            (N_("Coupons given by rules"), self.url_to("gifts"), current == "gifts", None),
        ]

    def _gifts(self, session: Session, rows: Sequence[GiftView]) -> Table:
        names = member_names(session, [row.member_id for row in rows])
        numbers = purchases.orders_named(session, [row.order_id for row in rows if row.order_id is not None])
        called = {rule_id: rule.name for rule_id, rule in queries.by_ids(session, [row.rule_id for row in rows]).items()}
        templates = {one: coupons.find_template(session, one).name for one in {row.template_id for row in rows}}
        return Table(
            [
                Column(N_("Given at"), "given_at", "minute"),
                Column(
                    N_("Member"),
                    lambda row: names[row.member_id],
                    "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.member_id),
                ),
                Column(
                    N_("Coupon"), lambda row: templates[row.template_id], "link", href=_coupon_url, second=lambda row: called[row.rule_id]
                ),
                Column(N_("State"), "state", "tag", tags=GIFT_STATES),
                Column(N_("Reason"), lambda row: gettext(PROBLEMS.get(row.problem, row.problem)) if row.problem else ""),
                Column(
                    N_("Order"),
                    lambda row: numbers.get(row.order_id, "") if row.order_id else "",
                    "link",
                    href=lambda row: console_url_or_none("orders.detail", order_id=row.order_id) if row.order_id else None,
                ),
            ],
            rows,
            empty=N_("No rule has given a coupon yet"),
        )


class _Words:
    """The sentences of some rules in the reader's language, with the names of what they mention."""

    def __init__(self, session: Session, rules: Sequence[RuleView]) -> None:
        codes = {code for rule in rules for code in rule.terms.coupons}
        found = (coupons.template_by_code(session, code) for code in codes)
        self._coupons = {template.draft.code: template.name for template in found if template is not None}
        stores = catalogue.store_names(session, [code for rule in rules for code in rule.terms.stores])
        levels = {tier.code: gettext(tier.name) for tier in tiers.definitions(session)}
        self._places = {**segments.names(session), **levels, **{code: gettext(text) for code, text in CHANNELS.items()}, **stores}

    def of(self, rule: RuleView) -> str:
        """Return the sentence of one of them."""
        return sentence(rule.kind, rule.terms, reader_language(), coupons=self._coupons, places=self._places)


def _preview(kind: TriggerKind, form: Any, offered: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str] | None:
    """Return the sentences of what was typed; nothing is kept."""
    if not form.validate_on_submit():
        return None
    terms = terms_of(kind, form)
    problems = terms.problems(kind)
    if problems:
        put_errors(form, TriggerInvalidError(fields=problems))
        return None
    return _both(kind, terms, form.name.data, offered, places)


def _both(kind: TriggerKind, terms: Terms, name: str, offered: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    zh, en = (sentence(kind, terms, language, coupons=offered, places=places) for language in ("zh", "en"))
    return {"name": name, "zh": zh, "en": en}


def _figures(totals: GiftTotals, used: SourceFigures) -> list[Figure]:
    return [
        Figure(N_("Coupons given"), totals.given, tip=N_("Whatever became of them since.")),
        Figure(N_("Redeemed"), used.redeemed, tip=N_("Of those given.")),
        Figure(N_("Sales with them"), used.sales_fen, "money"),
        Figure(N_("Taken out of the wallet"), totals.revoked, tip=N_("With the order that earned them, or given twice to one person.")),
        Figure(
            N_("In use, stays"),
            totals.kept,
            tip=N_("Redeemed or kept for an order when they were to be taken back."),
            tone="red" if totals.kept else "",
        ),
        Figure(
            N_("Not to be had"),
            totals.refused,
            tip=N_("Sold out, paused, or the member has enough; not tried again."),
            tone="orange" if totals.refused else "",
        ),
    ]


def _versions(versions: Sequence[RuleView], words: _Words, makers: Mapping[str, str]) -> Table:
    return Table(
        [
            Column(N_("Version"), "version", "number"),
            Column(N_("Rule"), words.of),
            Column(N_("State"), "enabled", "tag", tags=STATES),
            Column(N_("Made on"), "created_at", "minute", second=lambda row: makers[row.created_by]),
            Column(N_("Reason"), "reason"),
        ],
        versions,
    )


def _coupon_url(row: GiftView) -> str | None:
    return console_url("coupons.detail", coupon_id=row.coupon_id) if row.coupon_id else None


VIEWS = [CouponTriggersView]
