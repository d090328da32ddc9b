"""Console pages of segments: the list, the builder with its count, a segment with its list, history and export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url_or_none, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import export_button, export_list
from admin.formats import Tag, reader_language
from admin.forms import FormPage
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.segment_forms import FACTS, JOINS, SECTIONS, TESTS, TURNED, Rows, SegmentForm, draft_of, kinds, values_of
from admin.words import CHANNELS, maker_names, member_names
from server.cards import queries as cards
from server.catalogue import queries as catalogue
from server.coupons import queries as coupons
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.rosters import queries as rosters
from server.segments import queries, service
from server.segments.errors import SegmentInvalidError
from server.segments.rules import Fact
from server.segments.sentence import sentence
from server.staff.permissions import Permission
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.kernel.pagination import Page
    from server.rosters.queries import RosterView
    from server.segments.queries import SegmentView
    from server.segments.rules import Rule

_TEMPLATES = 100
STATES: dict[object, Tag] = {True: Tag(N_("Built regularly"), "green"), False: Tag(N_("Not built any more"), "grey")}


@dataclass(frozen=True, slots=True)
class _Row:
    """A segment with how its list stands."""

    view: SegmentView
    roster: RosterView | None

    @property
    def size(self) -> int | None:
        """Return how many members the last list names; None before the first."""
        return self.roster.size if self.roster is not None and self.roster.version is not None else None


@dataclass(frozen=True, slots=True)
class _Named:
    """A member on a list."""

    member_id: Any
    name: str
    card_no: str


class SegmentsView(ConsoleView):
    """Named groups of members, chosen by a rule."""

    slug = "segments"
    title = N_("Segments")
    group = "members"
    icon = "users"
    order = 30
    permission = Permission.SEGMENTS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the newest version of every segment, with the size and age of its list."""
        with self.reading() as session:
            known = rosters.rosters(session)
            rows = [_Row(view, known.get(view.code)) for view in queries.newest(session)]
            words = _Words(session, [row.view.rule for row in rows])
        table = Table(
            [
                Column(N_("Name"), "view.name", "link", href=lambda row: self.url_to("detail", code=row.view.code), second="view.code"),
                Column(N_("Rule"), lambda row: words.of(row.view.rule)),
                Column(N_("Members"), "size", "number"),
                Column(N_("Built"), lambda row: row.roster.built_at if row.roster else None, "minute"),
                Column(N_("State"), "view.enabled", "tag", tags=STATES),
            ],
            rows,
            lambda row: [
                RowAction(N_("Details"), self.url_to("detail", code=row.view.code)),
                RowAction(N_("New version"), self.url_to("edit", code=row.view.code), Permission.SEGMENTS_EDIT),
            ],
            empty=N_("No segments yet"),
            empty_hint=N_("A segment chooses members by what they bought, hold and told; coupons can be for its members only."),
        )
        buttons = [RowAction(N_("New segment"), self.url_to("create"), Permission.SEGMENTS_EDIT, tone="primary", icon="plus")]
        return ListPage(N_("Segments"), table, buttons=buttons).render(self)

    @page("/<code>")
    def detail(self, code: str) -> ResponseReturnValue:
        """Show a segment: its rule, how its list stands, and its versions."""
        with self.reading() as session:
            versions = queries.versions(session, code)
            if not versions:
                abort(404)
            view = versions[0]
            roster = rosters.rosters(session, [code]).get(code)
            makers = maker_names(session, [row.created_by for row in versions])
            words = _Words(session, [row.rule for row in versions])
        row = _Row(view, roster)
        built = roster if roster is not None and roster.version is not None else None
        fields = [
            Field(N_("Rule"), words.of(view.rule), wide=True),
            Field(N_("Code"), view.code, "code"),
            Field(N_("Built anew every (hours)"), view.refresh_hours, "number"),
            Field(N_("As of"), built.as_of if built else None, "instant"),
            Field(N_("Built"), built.built_at if built else None, "instant"),
            Field(N_("By version"), built.rule_version if built else None, "number"),
        ]
        figures = [
            Figure(N_("Members"), row.size if row.size is not None else "–", tip=N_("As of the last build, which coupons go by.")),
            Figure(N_("Milliseconds to build"), built.worked_ms if built else "–"),
        ]
        return DetailPage(
            title=view.name,
            subtitle=view.code,
            tags=[STATES[view.enabled]],
            back=(N_("Segments"), self.url_to("index")),
            buttons=self._buttons(view),
            notice=_notice(view, roster),
            figures=figures,
            sections=[Section(N_("Segment"), fields)],
            panels=[Panel(N_("Versions"), table=_versions(versions, words, makers))],
        ).render(self)

    @page("/<code>/members", Permission.MEMBERS_READ)
    def members(self, code: str) -> ResponseReturnValue:
        """List who is in a segment as of its last build."""
        return self._members(code, PageRequest.of(20, self.cursor)).render(self)

    @action("/<code>/members/export", Permission.EXPORTS_CREATE)
    def export(self, code: str) -> ResponseReturnValue:
        """Download who is in a segment, masked as on the page, with a reason."""
        return export_list(f"segment-{code}", lambda asked: self._members(code, asked))

    @form_page("/new", Permission.SEGMENTS_EDIT)
    def create(self) -> ResponseReturnValue:
        """Write a segment's first version."""
        return self._form(None)

    @form_page("/<code>/edit", Permission.SEGMENTS_EDIT)
    def edit(self, code: str) -> ResponseReturnValue:
        """Write a segment's next version."""
        with self.reading() as session:
            versions = queries.versions(session, code)
        if not versions:
            abort(404)
        return self._form(versions[0])

    @action("/<code>/build", Permission.SEGMENTS_EDIT)
    def build(self, code: str) -> ResponseReturnValue:
        """Ask for a new list before its time."""
        actor, reason = current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: service.ask_for_build(session, code, reason=reason, actor=actor, now=now()),
            done=N_("A new list is begun within a minute; the present one counts until it is done."),
            back=self.url_to("detail", code=code),
        )

    @action("/<code>/switch", Permission.SEGMENTS_EDIT)
    def switch(self, code: str) -> ResponseReturnValue:
        """Stop building a segment, or begin again."""
        actor, reason, enabled = current_actor(), request.form.get("reason", ""), request.args.get("to") == "on"
        seen = request.args.get("seen", "")
        expected = int(seen) if seen.isdecimal() and len(seen) < 10 else None  # noqa: PLR2004 - no segment has so many versions
        return self.change(
            lambda session: service.set_enabled(session, code, enabled=enabled, expected=expected, reason=reason, actor=actor, now=now()),
            done=N_("The segment is built regularly again.") if enabled else N_("The segment is not built any more; its last list counts."),
            back=self.url_to("detail", code=code),
        )

    def _buttons(self, view: SegmentView) -> list[RowAction]:
        to = "off" if view.enabled else "on"
        return [
            RowAction(N_("New version"), self.url_to("edit", code=view.code), Permission.SEGMENTS_EDIT, tone="primary", icon="pencil"),
            RowAction(N_("Members"), self.url_to("members", code=view.code), Permission.MEMBERS_READ),
            RowAction(N_("Build now"), self.url_to("build", code=view.code), Permission.SEGMENTS_EDIT, post=True, reason=True),
            RowAction(
                N_("Build no more") if view.enabled else N_("Build again"),
                self.url_to("switch", code=view.code, to=to, seen=view.version),
                Permission.SEGMENTS_EDIT,
                post=True,
                reason=True,
                tone="danger" if view.enabled else "",
            ),
        ]

    def _members(self, code: str, asked: PageRequest) -> ListPage:
        with self.reading() as session:
            versions = queries.versions(session, code)
            if not versions:
                abort(404)
            found = rosters.members(session, code, asked)
            names, numbers = member_names(session, found.items), cards.numbers_of(session, found.items)
        rows: Page[_Named] = found.map(lambda member_id: _Named(member_id, names[member_id], numbers.get(member_id, "")))
        table = Table(
            [
                Column(
                    N_("Member"),
                    "name",
                    "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.member_id),
                ),
                Column(N_("Card number"), "card_no", "masked"),
            ],
            rows.items,
            empty=N_("Nobody is in this segment"),
            empty_hint=N_("Either its rule chose nobody, or it was not built yet."),
        )
        back = RowAction(versions[0].name, self.url_to("detail", code=code))
        return ListPage(N_("Members of the segment"), table, next_cursor=rows.next_cursor, buttons=[back, export_button(self, code=code)])

    def _form(self, view: SegmentView | None) -> ResponseReturnValue:
        form: Any = SegmentForm(data=values_of(view) if view else None)
        if view is not None:
            form.code.data = view.code
        sent = form.is_submitted()
        rows = Rows(request.form.to_dict()) if sent or view is None else Rows.of_rule(view.rule)
        shown = None
        if "preview" in request.form or (view is not None and not sent):
            shown = self._preview(rows, form.join.data)
        elif sent:
            code, actor = view.code if view else None, current_actor()
            done, _ = self.submit(
                form, lambda session: service.save(session, draft_of(form, rows.rule(form.join.data), code), actor=actor, now=now())
            )
            if done:
                flash(gettext("The segment is kept; its list is built within a minute."), "success")
                return redirect(self.url_to("detail", code=code or form.code.data))
        title = N_("New segment") if view is None else N_("New version")
        made = FormPage(title, form, SECTIONS, back=self.url_to("detail", code=view.code) if view else self.url_to("index"))
        html, status = made.render(
            self,
            "console/segment_form.html",
            preview=shown,
            rows=rows,
            facts=FACTS,
            tests=TESTS,
            joins=JOINS,
            turned=TURNED,
            kinds=kinds(),
            values=self._values(),
        )
        return html, 200 if shown else status

    def _values(self) -> dict[str, dict[str, str]]:
        """Return fact → the codes that can be offered, each with its name."""
        with self.reading() as session:
            templates = coupons.list_templates(session, PageRequest(_TEMPLATES)).items
            levels = {tier.code: gettext(tier.name) for tier in tiers.definitions(session)}
        return {
            Fact.TIER.value: levels,
            Fact.CHANNEL.value: {code: gettext(text) for code, text in CHANNELS.items()},
            Fact.GENDER.value: {"female": gettext("female"), "male": gettext("male"), "unknown": gettext("not told")},
            Fact.COUPON.value: {template.draft.code: template.name for template in templates},
        }

    def _preview(self, rows: Rows, join: str) -> dict[str, Any] | None:
        """Return who the rows choose at this moment; nothing is kept, and rows that make no sense are marked."""
        try:
            rule = rows.rule(join)
        except SegmentInvalidError:
            return None
        with self.reading() as session:
            found = queries.preview(session, rule, now=now(), zone=core().db.zone)
            names = member_names(session, found.sample)
            words = _Words(session, [rule])
        sample = [{"name": names[each], "href": console_url_or_none("members.detail", member_id=each)} for each in found.sample]
        told = {"zh": words.of(rule, "zh"), "en": words.of(rule, "en")}
        return {"size": found.size, "sample": sample, "took_ms": found.took_ms, **told}


class _Words:
    """The sentences of some rules, with the names of what they mention."""

    def __init__(self, session: Session, rules: Sequence[Rule]) -> None:
        asked = [condition for rule in rules for condition in rule.conditions()]
        stores = [value for each in asked if each.fact is Fact.STORE for value in each.values]
        codes = {value for each in asked if each.fact is Fact.COUPON for value in each.values}
        found = (coupons.template_by_code(session, code) for code in codes)
        self._names: dict[str, str] = {template.draft.code: template.name for template in found if template is not None}
        self._names |= {tier.code: gettext(tier.name) for tier in tiers.definitions(session)}
        self._names |= {code: gettext(text) for code, text in CHANNELS.items()} | catalogue.store_names(session, stores)

    def of(self, rule: Rule, language: Any = None) -> str:
        """Return the sentence of one of them, in the reader's language unless told otherwise."""
        return sentence(rule, language or reader_language(), self._names)


def _notice(view: SegmentView, roster: RosterView | None) -> str:
    if roster is not None and roster.filling is not None:
        return N_("A new list is being built; until it is done the one before counts.")
    if roster is None or roster.version is None:
        return N_("It was not built yet: nobody is in it.")
    if roster.rule_version != view.version:
        return N_("The list was built by an earlier version, which counts until the next build.")
    return ""


def _versions(versions: Sequence[SegmentView], words: _Words, makers: Mapping[str, str]) -> Table:
    return Table(
        [
            Column(N_("Version"), "version", "number"),
            Column(N_("Rule"), lambda row: words.of(row.rule)),
            Column(N_("State"), "enabled", "tag", tags=STATES),
            Column(N_("Made on"), "created_at", "minute", second=lambda row: makers[row.created_by]),
            Column(N_("Reason"), "reason"),
        ],
        versions,
    )


VIEWS = [SegmentsView]
