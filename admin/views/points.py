"""Console pages of points: the ledger, one entry with its books, adjusting a balance, and the health of the books."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import abort, flash, redirect, request
from flask_babel import gettext
from markupsafe import Markup
from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange

from admin import charts
from admin.base import ConsoleView, action, console_url, console_url_or_none, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import export_list
from admin.formats import Tag, reader_language
from admin.forms import L_, ConsoleForm, FormPage, FormSection, IntegerField, SelectField, StringField, TextAreaField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.words import actor_words, maker_names, member_names, source_words
from server.cards import queries as cards
from server.flows.adjustments import adjust as adjust_points
from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.operations import queries as operations
from server.points import overview, queries
from server.points.explain import explain
from server.points.overview import LedgerFilter, LedgerRow
from server.points.rules import MAX_POINTS
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.flows.adjustments import Adjusted
    from server.operations.queries import RunView

KINDS = {
    "accrue": Tag(N_("Accrued"), "green"),
    "unlock": Tag(N_("Unlocked"), "cyan"),
    "reserve": Tag(N_("Reserved"), "gold"),
    "release": Tag(N_("Released"), "grey"),
    "redeem": Tag(N_("Points redeemed"), "blue"),
    "return": Tag(N_("Returned"), "cyan"),
    "expire": Tag(N_("Expired"), "grey"),
    "reverse": Tag(N_("Reversed"), "red"),
    "adjust": Tag(N_("Adjusted"), "purple"),
    "merge": Tag(N_("Merged"), "orange"),
}
LOT_STATES = {"pending": Tag(N_("Pending"), "gold"), "available": Tag(N_("Available"), "green"), "closed": Tag(N_("Empty"), "grey")}
ACCOUNTS = {
    "pending": Tag(N_("Member: pending"), "gold"),
    "available": Tag(N_("Member: available"), "green"),
    "reserved": Tag(N_("Member: reserved"), "orange"),
    "debt": Tag(N_("Member: debt"), "red"),
    "issuer": Tag(N_("Brand: issued"), "blue"),
    "redeemed": Tag(N_("Brand: redeemed"), "purple"),
    "expired": Tag(N_("Brand: expired"), "grey"),
    "forgiven": Tag(N_("Brand: forgiven"), "grey"),
    "all": Tag(N_("All accounts"), "grey"),
}
_DAYS = 30
# What proves the books each night, and the incident that a difference opens.
_PROOFS = {"points.prove": "points.drifted", "points.prove_months": "points.month_drifted"}
_BOOKS = {True: Tag(N_("Books differ"), "red"), False: Tag(N_("Books agree"), "green")}


@dataclass(frozen=True, slots=True)
class _Line:
    """An entry with its member's name."""

    entry: LedgerRow
    member: str


class AdjustForm(ConsoleForm):
    """Give or take points by hand."""

    card_no = StringField(L_("Card number"), [InputRequired(), Length(max=32)])
    direction = SelectField(L_("Direction"), choices=[SelectChoice("give", L_("Give points")), SelectChoice("take", L_("Take points"))])
    points = IntegerField(L_("Points"), [InputRequired(), NumberRange(1, MAX_POINTS)])
    reason = TextAreaField(
        L_("Reason"), [InputRequired(), Length(max=200)], description=L_("The member sees it; the audit trail keeps it.")
    )
    # Made with the page, so that a form sent twice adjusts once.
    once = HiddenField(default=lambda: uuid7().hex)


class PointsView(ConsoleView):
    """The ledger of all members' points."""

    slug = "points"
    title = N_("Points ledger")
    group = "benefits"
    icon = "coins"
    order = 10
    permission = Permission.POINTS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List entries, newest first."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("points", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("card_no", N_("Card number"), placeholder=N_("Whole number")),
            Filter("source", N_("Source"), placeholder=N_("Beginning of the source, or namespace/source")),
            Filter("kind", N_("Kind"), "choice", {code: tag.label for code, tag in KINDS.items()}),
            Filter("at", N_("Business day"), "date_range"),
        ]
        asked = read_filters(filters)
        since, until = asked.dates("at")
        zone = core().settings.zone
        first = business_date(since, zone) if since else None
        last = business_date(until, zone) - timedelta(days=1) if until else None
        with self.reading() as session:
            member_id = self._asked_member(session, asked.text("card_no"))
            wanted = LedgerFilter(member_id, asked.choice("kind"), asked.text("source"), first, last)
            found = overview.search_entries(session, wanted, place)
            names = member_names(session, [row.member_id for row in found.items])
        rows = [_Line(row, names[row.member_id]) for row in found.items]
        table = Table(
            columns=[
                Column(N_("Time"), "entry.occurred_at", "instant", second=_late, second_label=N_("Business day")),
                Column(N_("Member"), "member", "link", href=lambda row: member_url(row.entry.member_id)),
                Column(N_("Kind"), "entry.kind", "tag", tags=KINDS),
                Column(N_("Points"), "entry.points", "points"),
                Column(N_("Available after"), "entry.available_after", "number"),
                Column(N_("Reason"), lambda row: gettext(row.entry.reason)),
                Column(
                    N_("Source"),
                    lambda row: source_words(row.entry.source_namespace, row.entry.source_key),
                    second=lambda row: _source(row.entry.source_key),
                ),
            ],
            rows=rows,
            actions=lambda row: [RowAction(N_("Details"), self.url_to("detail", entry_id=row.entry.id))],
            empty=N_("No entries match"),
        )
        buttons = [
            RowAction(N_("Health of the books"), self.url_to("health"), icon="chart-column"),
            RowAction(N_("Adjust points"), self.url_to("adjust"), Permission.POINTS_ADJUST, tone="primary", icon="plus"),
        ]
        return ListPage(N_("Points ledger"), table, filters, asked, found.next_cursor, buttons, export=True)

    @page("/entries/<entry_id>")
    def detail(self, entry_id: str) -> ResponseReturnValue:
        """Show one entry: postings, lots, why it was made, what took it back."""
        with self.reading() as session:
            found = queries.entry_detail(session, self.uuid(entry_id))
            names = member_names(session, [found.entry.member_id]) if found else {}
            why = explain(session, [found.entry.id], reader_language(), gettext, for_staff=True) if found else {}
            makers = maker_names(session, [found.entry.actor_ref]) if found else {}
        if found is None:
            abort(404)
        entry = found.entry
        fields = [
            Field(N_("Member"), names[entry.member_id], "link", href=member_url(entry.member_id)),
            Field(N_("Kind"), entry.kind, "tag", KINDS),
            Field(N_("Time"), entry.occurred_at, "instant"),
            Field(N_("Business day"), entry.business_day, "date"),
            Field(N_("Reason"), gettext(entry.reason)),
            Field(N_("Rule"), found.rule, "code"),
            Field(N_("Source"), source_words(entry.source_namespace, entry.source_key)),
            Field(N_("Source's number"), f"{entry.source_namespace}/{entry.source_key}", "code", wide=True),
            Field(N_("Made by"), makers[entry.actor_ref] if entry.actor_kind == "staff" else actor_words(entry.actor_kind, "")),
        ]
        if found.reverses_id is not None:
            address = self.url_to("detail", entry_id=found.reverses_id)
            fields.append(Field(N_("Takes back"), str(found.reverses_id), "link", href=address))
        postings = Table(
            [Column(N_("Ledger account"), "account", "tag", tags=ACCOUNTS), Column(N_("Points"), "amount", "points")], found.postings
        )
        lots = Table(
            [
                Column(N_("Lot"), lambda row: str(row.lot_id)[-8:], "code"),
                Column(N_("Change"), "amount", "points"),
                Column(N_("Set aside"), "reserved", "points"),
                Column(N_("Left now"), "lot_left", "number"),
                Column(N_("State"), "state", "tag", tags=LOT_STATES),
                Column(N_("Unlocks"), "unlock_at", "minute"),
                Column(N_("Expires"), "expires_at", "minute"),
            ],
            found.allocations,
            empty=N_("No lot was touched"),
        )
        panels = [Panel(N_("Postings"), table=postings), Panel(N_("Lots"), table=lots)]
        if found.reversed_by:
            panels.append(Panel(N_("Taken back by"), table=self._taken_back(found.reversed_by)))
        panels.insert(0, Panel(N_("Why"), html=_why(why[entry.id], found.details)))
        return DetailPage(
            title=N_("Points entry"),
            subtitle=str(entry.id),
            tags=[KINDS[entry.kind]],
            back=(N_("Points ledger"), self.url_to("index")),
            figures=[
                Figure(N_("Points"), entry.points, "points"),
                Figure(N_("Available after"), entry.available_after, "number"),
                Figure(N_("Pending after"), entry.pending_after, "number"),
            ],
            sections=[Section(N_("Entry"), fields)],
            panels=panels,
        ).render(self)

    @form_page("/adjust", Permission.POINTS_ADJUST)
    def adjust(self) -> ResponseReturnValue:
        """Give a member points or take some, with a reason."""
        form, actor = AdjustForm(data={"card_no": request.args.get("card_no", "")}), current_actor()

        def work(session: Session) -> Adjusted:
            member_id = cards.by_card_no(session, form.card_no.data)
            if member_id is None:
                raise InvalidError(fields={"card_no": gettext("No member has this card number.")})
            points = Points(form.points.data if form.direction.data == "give" else -form.points.data)
            once = str(form.once.data)[:64]
            return adjust_points(session, member_id, points, once=once, reason=form.reason.data, actor=actor, now=now())

        done, adjusted = self.submit(form, work)
        if done and adjusted is not None:
            said, tone = said_of(adjusted)
            flash(gettext(said), tone)
            if adjusted.entry is None:
                return redirect(console_url("approvals.index"))
            return redirect(self.url_to("detail", entry_id=adjusted.entry.id))
        sections = [FormSection(N_("Adjustment"), ["card_no", "direction", "points"]), FormSection(N_("For the record"), ["reason"])]
        return FormPage(N_("Adjust points"), form, sections, submit=N_("Adjust"), back=self.url_to("index")).render(self)

    @page("/health")
    def health(self) -> ResponseReturnValue:
        """Show what is owed to members, how it moves and what expires."""
        today = business_date(now(), core().settings.zone)
        with self.reading() as session:
            totals = overview.totals(session)
            days = overview.daily_totals(session, today, _DAYS)
            expiring = overview.expiring(session, today)
            proved = {job: operations.last_done(session, job) for job in _PROOFS}
            drifted = {incident.kind for incident in operations.incidents(session)}
        moves = charts.trend(
            N_("Points issued, redeemed, expired and reversed"),
            [f"{day.day:%m-%d}" for day in days],
            [
                charts.Series(N_("Points issued"), [day.issued for day in days], "area"),
                charts.Series(N_("Points redeemed"), [day.redeemed for day in days]),
                charts.Series(N_("Points expired"), [day.expired for day in days]),
                charts.Series(N_("Points reversed"), [day.reversed for day in days]),
            ],
            tip=N_("By business day; redeemed points that were returned are left out."),
        )
        soon = Table(
            [
                Column(N_("Expires"), lambda row: gettext("Within %(days)s days", days=row.within_days)),
                Column(N_("Points"), "points", "number"),
                Column(N_("Members"), "members", "number"),
            ],
            expiring,
        )
        return DetailPage(
            title=N_("Health of the books"),
            back=(N_("Points ledger"), self.url_to("index")),
            buttons=[RowAction(N_("Prove the books now"), self.url_to("proof"), tone="primary", icon="shield")],
            figures=[
                Figure(N_("Available"), totals.available, "number", tip=N_("What all members could spend now.")),
                Figure(N_("Pending"), totals.pending, "number", tip=N_("Earned, not yet unlocked.")),
                Figure(N_("Reserved"), totals.reserved, "number", tip=N_("Set aside for open orders.")),
                Figure(N_("Debt"), totals.debt, "number", tip=N_("Owed by members after refunds."), tone="red" if totals.debt else ""),
                Figure(N_("Accounts"), totals.accounts, "number"),
            ],
            sections=[Section(N_("Proof of the books"), _proofs(proved, drifted))],
            panels=[Panel(N_("Movement"), chart=moves), Panel(N_("Expiring soon"), table=soon)],
        ).render(self)

    @page("/proof")
    def proof(self) -> ResponseReturnValue:
        """Prove the books now: compare every cached number with the postings and lots it came from."""
        with self.reading() as session:
            drifts = queries.prove(session)
        table = Table(
            [
                Column(N_("Check"), "check", "code"),
                Column(N_("Subject"), "subject", "code"),
                Column(N_("Number"), "name", "code"),
                Column(N_("Expected"), "expected", "number"),
                Column(N_("Found"), "found", "number"),
            ],
            drifts,
            empty=N_("All books agree"),
            empty_hint=N_("Accounts, postings, lots and allocations were compared for every member."),
        )
        return DetailPage(
            title=N_("Proof of the books"),
            tags=[_BOOKS[bool(drifts)]],
            back=(N_("Health of the books"), self.url_to("health")),
            figures=[Figure(N_("Differences"), len(drifts), "number", tone="red" if drifts else "green")],
            sections=[],
            panels=[Panel(N_("Differences"), table=table)],
        ).render(self)

    def _asked_member(self, session: Session, card_no: str | None) -> UUID | None:
        if not card_no:
            return None
        # A number nobody has finds nothing, rather than everything.
        return cards.by_card_no(session, card_no) or uuid7()

    def _taken_back(self, rows: list[LedgerRow]) -> Table:
        return Table(
            [
                Column(N_("Time"), "occurred_at", "instant"),
                Column(N_("Kind"), "kind", "tag", tags=KINDS),
                Column(N_("Points"), "points", "points"),
                Column(N_("Reason"), lambda row: gettext(row.reason)),
            ],
            rows,
            actions=lambda row: [RowAction(N_("Details"), self.url_to("detail", entry_id=row.id))],
        )


def said_of(adjusted: Adjusted) -> tuple[str, str]:
    """Return what is said after an adjustment, an English msgid, and its tone."""
    if adjusted.entry is None:
        return N_("This goes beyond what one person may adjust alone: a second person has to approve it."), "info"
    return N_("The points are adjusted."), "success"


def member_url(member_id: UUID) -> str | None:
    """Return the address of a member's page, when there is one."""
    return console_url_or_none("members.detail", member_id=member_id)


_LONG_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _source(key: str) -> str:
    """Return a source without the long ids in it, which would push the other columns aside; the entry's page has it whole."""
    return _LONG_ID.sub(lambda found: f"…{found.group()[-6:]}", key)


def _proofs(proved: dict[str, RunView | None], drifted: set[str]) -> list[Field]:
    """Return when the books were last proved, and whether they agreed."""
    fields = []
    for (job, run), label in zip(proved.items(), (N_("Accounts, postings, lots"), N_("Closed months")), strict=True):
        fields.append(Field(label, _PROOFS[job] in drifted, "tag", _BOOKS) if run else Field(label, gettext("Not proved yet")))
        fields.append(Field(N_("Last proved"), run.finished_at if run else None, "instant"))
    return fields


def _why(told: list[str], details: dict[str, Any] | None) -> Markup:
    """Return why an entry was made: in words, and the trace beneath them."""
    words = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in told)
    if not details:
        return Markup("<ul>{}</ul>").format(words)
    text = json.dumps(details, ensure_ascii=False, indent=2, sort_keys=True)
    trace = Markup('<details><summary class="text-muted">{}</summary><pre class="mb-0">{}</pre></details>')
    return Markup("<ul>{}</ul>").format(words) + trace.format(gettext("The trace itself"), text)


def _late(row: _Line) -> str:
    """Return the business day of an entry that was told later, and nothing for every other."""
    day = row.entry.business_day
    return "" if day == business_date(row.entry.occurred_at, core().settings.zone) else f"{day:%Y-%m-%d}"


VIEWS = [PointsView]
