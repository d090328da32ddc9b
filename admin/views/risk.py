"""Console pages of risk control: figures, the block list, the velocity rules, what was refused, and letting through."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import abort, flash, redirect, request
from flask_babel import gettext

from admin import charts
from admin.base import ConsoleView, action, console_url_or_none, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import export_list
from admin.forms import FormPage, FormSection
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.risk_forms import EntryForm, ReleaseForm, rules_form, target_of, until_of
from admin.views.risk_words import KINDS, ON_OFF, RULE_NAMES, SCOPES, SENTENCES, STATES, WAYS
from admin.words import member_names
from server.cards import queries as cards
from server.flows import risk as flow
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import queries as members
from server.risk import queries, rules, service
from server.risk.rules import Kind
from server.risk.service import Target
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_DAYS = 30
_MOST_LINES = 200


class RiskView(ConsoleView):
    """Risk control."""

    slug = "risk"
    title = N_("Risk control")
    group = "members"
    icon = "shield"
    order = 60
    permission = Permission.RISK_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show how much was refused, and the rules that hold."""
        with self.reading() as session:
            today = business_date(now(), zone_of(session))
            days = [today - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)]
            refused = queries.refused_by_day(session, now() - timedelta(days=_DAYS))
            listed, held, open_ = queries.counts(session, now())
            version, known = queries.velocity_rules(session)
            newest = queries.refusals(session, PageRequest(8), released=False)
            names = member_names(session, [row.member_id for row in newest.items])
        rows = [(SENTENCES[rule.code], rule) for rule in known]
        sentences = Table(
            [
                Column(N_("Rule"), lambda row: gettext(row[0], most=row[1].most, days=row[1].days)),
                Column(N_("State"), lambda row: row[1].enabled, "tag", tags=ON_OFF),
            ],
            rows,
        )
        trend = charts.trend(
            N_("Refused by day"),
            [f"{day:%m-%d}" for day in days],
            [charts.Series(N_("Refused"), [refused.get(day, 0) for day in days], "bar")],
        )
        return DetailPage(
            title=N_("Risk control"),
            subtitle=N_("Against the farming of coupons and points: who is held, how often one device may, and what was refused."),
            buttons=[
                RowAction(N_("Block list"), self.url_to("entries")),
                RowAction(N_("Refusals"), self.url_to("refusals")),
                RowAction(N_("Change the rules"), self.url_to("rules"), Permission.RISK_EDIT, tone="primary", icon="pencil"),
            ],
            figures=[
                Figure(N_("Refused in 30 days"), sum(refused.values()), tip=N_("Each refusal counts, also when it was released.")),
                Figure(N_("Not released"), open_, tip=N_("All refusals that nobody released.")),
                Figure(N_("Members held"), held, tip=N_("By the block list or by a rule, at this moment.")),
                Figure(N_("On the block list"), listed, tip=N_("Entries that hold at this moment.")),
            ],
            panels=[
                Panel(N_("Refused by day"), chart=trend),
                Panel(N_("Velocity rules"), table=sentences, more=(f"v{version}", self.url_to("index"))),
                Panel(N_("Refused lately"), table=self._refusals_table(newest.items, names), more=(N_("All"), self.url_to("refusals"))),
            ],
        ).render(self)

    @page("/entries")
    def entries(self) -> ResponseReturnValue:
        """List the block list, newest first."""
        return self._entries(PageRequest.of(20, self.cursor)).render(self)

    def _entries(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("kind", N_("Kind"), "choice", {code: tag.label for code, tag in KINDS.items()}),
            Filter("scope", N_("Held from"), "choice", {code: tag.label for code, tag in SCOPES.items()}),
            Filter("live", N_("State"), "choice", {"yes": N_("Holds"), "no": N_("Ended")}),
        ]
        asked = read_filters(filters)
        live = asked.choice("live")
        with self.reading() as session:
            found = queries.entries(
                session,
                place,
                now=now(),
                kind=asked.choice("kind"),
                scope=asked.choice("scope"),
                live=None if live is None else live == "yes",
            )
            names = member_names(session, [row.member_id for row in found.items if row.member_id])
        table = Table(
            [
                Column(
                    N_("Blocked"),
                    lambda row: names[row.member_id] if row.member_id else row.hint,
                    "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.member_id) if row.member_id else None,
                ),
                Column(N_("Kind"), "kind", "tag", tags=KINDS),
                Column(N_("Held from"), "scope", "tag", tags=SCOPES),
                Column(N_("Reason"), "reason"),
                Column(N_("Until"), "until", "minute"),
                Column(N_("Since"), "created_at", "minute", second="created_by"),
                Column(N_("Ended on"), "ended_at", "minute", second="ended_by"),
            ],
            found.items,
            self._entry_actions,
            empty=N_("Nothing is blocked"),
        )
        buttons = [
            RowAction(N_("Overview"), self.url_to("index"), icon="chart-column"),
            RowAction(N_("Block"), self.url_to("block"), Permission.RISK_EDIT, tone="primary", icon="plus"),
        ]
        return ListPage(N_("Block list"), table, filters, asked, found.next_cursor, buttons)

    def _entry_actions(self, row: queries.EntryView) -> list[RowAction]:
        if row.ended_at is not None:
            return []
        return [RowAction(N_("Take off"), self.url_to("unblock", entry_id=row.id), Permission.RISK_EDIT, post=True, reason=True)]

    @action("/entries/<entry_id>/end", Permission.RISK_EDIT)
    def unblock(self, entry_id: str) -> ResponseReturnValue:
        """Take an entry off the list."""
        wanted, actor, reason = self.uuid(entry_id), current_actor(), _reason()
        return self.change(
            lambda session: service.end_entry(session, wanted, reason=reason, actor=actor, now=now()), done=N_("It is off the list.")
        )

    @form_page("/entries/new", Permission.RISK_EDIT)
    def block(self) -> ResponseReturnValue:
        """Put members, numbers, devices or addresses on the list."""
        form, actor = EntryForm(), current_actor()
        form.kind.choices = [(str(code), gettext(tag.label)) for code, tag in KINDS.items()]
        form.scope.choices = [(str(code), gettext(tag.label)) for code, tag in SCOPES.items()]

        def work(session: Session) -> int:
            lines = list(dict.fromkeys(line.strip() for line in form.values.data.splitlines() if line.strip()))
            if len(lines) > _MOST_LINES:
                raise InvalidError(fields={"values": N_("At most 200 lines at once.")})
            for line in lines:
                service.add_entry(
                    session,
                    target_of(session, Kind(form.kind.data), line),
                    scope=form.scope.data,
                    reason=form.reason.data,
                    until=form.until.data,
                    actor=actor,
                    now=now(),
                )
            return len(lines)

        done, made = self.submit(form, work)
        if done:
            flash(gettext("%(count)d put on the block list.", count=made), "success")
            return redirect(self.url_to("entries"))
        return FormPage(N_("Block"), form, submit=N_("Block"), back=self.url_to("entries")).render(self)

    @page("/refusals")
    def refusals(self) -> ResponseReturnValue:
        """List what was refused, newest first."""
        return self._refusals(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("risk-refusals", self._refusals)

    def _refusals(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("card", N_("Card number"), placeholder=N_("Whole number")),
            Filter("way", N_("What was tried"), "choice", {code: tag.label for code, tag in WAYS.items()}),
            Filter("state", N_("State"), "choice", {"open": N_("Refused"), "released": N_("Released")}),
            Filter("on", N_("Refused on"), "date_range"),
        ]
        asked = read_filters(filters)
        since, until = asked.dates("on")
        card, state = asked.text("card"), asked.choice("state")
        with self.reading() as session:
            found = queries.refusals(
                session,
                place,
                # A number nobody has finds nothing, rather than everything.
                member_id=(cards.by_card_no(session, card) or uuid7()) if card else None,
                way=asked.choice("way"),
                released=None if state is None else state == "released",
                since=since,
                until=until,
            )
            names = member_names(session, [row.member_id for row in found.items])
        back = [RowAction(N_("Overview"), self.url_to("index"), icon="chart-column")]
        table = self._refusals_table(found.items, names)
        return ListPage(N_("Refusals"), table, filters, asked, found.next_cursor, back, export=True)

    def _refusals_table(self, rows: Sequence[queries.RefusalView], names: dict[UUID, str]) -> Table:
        return Table(
            [
                Column(N_("Member"), lambda row: names[row.member_id], "link", href=lambda row: self.url_to("refusal", refusal_id=row.id)),
                Column(N_("What was tried"), "way", "tag", tags=WAYS),
                Column(N_("Refused by"), _cause_words),
                Column(N_("Device or address"), lambda row: f"…{row.device}" if row.device else "", "code"),
                Column(N_("State"), lambda row: row.released_at is not None, "tag", tags=STATES),
                Column(N_("Refused on"), "occurred_at", "minute"),
            ],
            rows,
            self._refusal_actions,
            empty=N_("Nothing was refused"),
        )

    def _refusal_actions(self, row: queries.RefusalView) -> list[RowAction]:
        if row.released_at is not None:
            return []
        return [RowAction(N_("Release"), self.url_to("release", refusal_id=row.id), Permission.RISK_RELEASE)]

    @page("/refusals/<refusal_id>")
    def refusal(self, refusal_id: str) -> ResponseReturnValue:
        """Show one refusal."""
        with self.reading() as session:
            found = queries.find_refusal(session, self.uuid(refusal_id))
            if found is None:
                abort(404)
            names = member_names(session, [found.member_id])
            entry = queries.find_entry(session, found.entry_id) if found.entry_id else None
        member = console_url_or_none("members.detail", member_id=found.member_id)
        buttons = self._refusal_actions(found)
        if found.mark:
            target = self.url_to("block_mark", refusal_id=found.id)
            label = N_("Block this device or address")
            buttons.append(RowAction(label, target, Permission.RISK_EDIT, post=True, reason=True, tone="danger"))
        return DetailPage(
            title=names[found.member_id],
            tags=[WAYS[found.way], STATES[found.released_at is not None]],
            back=(N_("Refusals"), self.url_to("refusals")),
            buttons=buttons,
            sections=[
                Section(
                    N_("Refusal"),
                    [
                        Field(N_("Member"), names[found.member_id], "link" if member else "text", href=member),
                        Field(N_("Refused on"), found.occurred_at, "instant"),
                        Field(N_("Refused by"), _cause_words(found)),
                        Field(N_("Reason"), entry.reason if entry else ""),
                        Field(N_("Version of the rules"), found.rule_version),
                        Field(N_("Device or address"), f"…{found.device}" if found.device else ""),
                    ],
                ),
                Section(
                    N_("Release"),
                    [
                        Field(N_("Released by"), found.released_by),
                        Field(N_("Released on"), found.released_at, "instant"),
                        Field(N_("Reason"), found.released_why, wide=True),
                    ],
                ),
            ],
        ).render(self)

    @form_page("/refusals/<refusal_id>/release", Permission.RISK_RELEASE)
    def release(self, refusal_id: str) -> ResponseReturnValue:
        """Let the member of a refusal through."""
        wanted, form, actor = self.uuid(refusal_id), ReleaseForm(), current_actor()
        with self.reading() as session:
            found = queries.find_refusal(session, wanted)
        if found is None:
            abort(404)
        if found.once_key is None:
            del form.give

        def work(session: Session) -> int:
            give = form.give is not None and bool(form.give.data)
            return flow.release(session, wanted, until=until_of(form), give=give, reason=form.reason.data, actor=actor, now=now())

        done, given = self.submit(form, work)
        if done:
            text = gettext("Released, and %(count)d given.", count=given) if given else gettext("Released.")
            flash(text, "success")
            return redirect(self.url_to("refusal", refusal_id=wanted))
        return FormPage(N_("Release"), form, submit=N_("Release"), back=self.url_to("refusal", refusal_id=wanted)).render(self)

    @action("/refusals/<refusal_id>/block", Permission.RISK_EDIT)
    def block_mark(self, refusal_id: str) -> ResponseReturnValue:
        """Put the device or address of a refusal on the list."""
        wanted, actor, reason = self.uuid(refusal_id), current_actor(), _reason()

        def work(session: Session) -> None:
            found = queries.find_refusal(session, wanted)
            if found is None or found.mark is None:
                abort(404)
            target = Target(Kind(found.mark.partition(":")[0]), mark=found.mark)
            service.add_entry(session, target, scope=rules.ALL, reason=reason, until=None, actor=actor, now=now())

        return self.change(work, done=N_("It is on the block list now."))

    @form_page("/members/<member_id>/release/<scope>", Permission.RISK_RELEASE)
    def release_member(self, member_id: str, scope: str) -> ResponseReturnValue:
        """Let a held member through, from their card."""
        wanted, form, actor = self.uuid(member_id), ReleaseForm(), current_actor()
        if scope not in rules.scopes_of(rules.ALL):
            abort(404)
        del form.give
        with self.reading() as session:
            members.require(session, wanted)

        def work(session: Session) -> None:
            service.release_member(session, wanted, scope, until=until_of(form), reason=form.reason.data, actor=actor, now=now())

        done, _ = self.submit(form, work)
        back = console_url_or_none("members.detail", member_id=wanted) or self.url_to("index")
        if done:
            flash(gettext("Released."), "success")
            return redirect(back)
        return FormPage(N_("Release"), form, submit=N_("Release"), back=back).render(self)

    @form_page("/rules", Permission.RISK_EDIT)
    def rules(self) -> ResponseReturnValue:
        """Declare the velocity rules anew; each reads as a sentence."""
        with self.reading() as session:
            _, known = queries.velocity_rules(session)
        form, actor = rules_form(known), current_actor()

        def work(session: Session) -> int:
            wanted = [
                replace(
                    rule,
                    most=getattr(form, f"{rule.code}__most").data,
                    days=getattr(form, f"{rule.code}__days").data,
                    enabled=bool(getattr(form, f"{rule.code}__enabled").data),
                )
                for rule in known
            ]
            return service.change_rules(session, wanted, actor=actor, now=now())

        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The rules hold from now on."), "success")
            return redirect(self.url_to("index"))
        sections = [
            FormSection(
                gettext(SENTENCES[rule.code], most=rule.most, days=rule.days),
                [f"{rule.code}__{part}" for part in ("most", "days", "enabled")],
            )
            for rule in known
        ]
        return FormPage(N_("Velocity rules"), form, sections, back=self.url_to("index")).render(self)


def _reason() -> str:
    return request.form.get("reason", "")


def _cause_words(row: queries.RefusalView) -> str:
    if row.rule_code is None:
        return str(gettext("The block list"))
    return str(gettext(RULE_NAMES.get(row.rule_code, row.rule_code)))


VIEWS = [RiskView]
