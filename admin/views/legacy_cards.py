"""Console pages of the cards of an older system: which numbers stand for whom, and one more for a member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect
from flask_babel import gettext
from wtforms.validators import InputRequired, Length

from admin.base import ConsoleView, action, console_url, current_actor, form_page, now, page
from admin.export import export_list
from admin.forms import L_, ConsoleForm, FormPage, StringField, TextAreaField
from admin.listing import Column, Filter, ListPage, Table, read_filters
from admin.words import member_names
from server.cards import queries, service
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import queries as members
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session


class LegacyCardForm(ConsoleForm):
    """A card of an older system."""

    legacy_no = StringField(
        L_("Number of the old card"),
        [InputRequired(), Length(max=64)],
        description=L_("As printed; blanks and small letters make no difference."),
    )
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=200)], description=L_("Kept in the audit trail."))


class LegacyCardsView(ConsoleView):
    """Cards of an older system; reached from the members."""

    slug = "legacy-cards"
    title = N_("Old cards")
    permission = Permission.MEMBERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the numbers, the last added first."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("legacy-cards", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [Filter("number", N_("Number of the old card"), placeholder=N_("Whole number"))]
        asked = read_filters(filters)
        with self.reading() as session:
            found = queries.legacy_numbers(session, place, card_no=asked.text("number"))
            names = member_names(session, [row.member_id for row in found.items])
            present = queries.numbers_of(session, [row.member_id for row in found.items])
        table = Table(
            [
                Column(N_("Number of the old card"), "card_no", "code"),
                Column(
                    N_("Member"),
                    lambda row: names[row.member_id],
                    "link",
                    href=lambda row: console_url("members.detail", member_id=row.member_id),
                ),
                Column(N_("Card number"), lambda row: present.get(row.member_id), "code"),
                Column(N_("Added on"), "issued_at", "minute"),
            ],
            found.items,
            empty=N_("No old cards were taken over"),
            empty_hint=N_("Files are imported from the command line: flask --app wsgi import-legacy-cards cards.csv"),
        )
        tabs = [
            (N_("Members"), console_url("members.index"), False, None),
            (N_("Change requests"), console_url("members.changes"), False, None),
            (N_("Deletions"), console_url("member_deletions.index"), False, None),
            (N_("Old cards"), self.url_to("index"), True, None),
        ]
        return ListPage(N_("Old cards"), table, filters, asked, found.next_cursor, tabs=tabs, export=True)

    @form_page("/add/<member_id>", Permission.MEMBERS_EDIT)
    def add(self, member_id: str) -> ResponseReturnValue:
        """Let one more number stand for a member."""
        wanted, form, actor = self.uuid(member_id), LegacyCardForm(), current_actor()
        with self.reading() as session:
            member = members.find(session, wanted)
            name = member_names(session, [wanted])[wanted]
        if member is None or member.status not in {"active", "frozen"}:
            abort(404)

        def work(session: Session) -> object:
            return service.add_alias(session, wanted, form.legacy_no.data, reason=form.reason.data, actor=actor, now=now())

        done, _ = self.submit(form, work)
        back = console_url("members.detail", member_id=wanted)
        if done:
            flash(gettext("The old card stands for the member now."), "success")
            return redirect(back)
        return FormPage(N_("Add an old card"), form, submit=N_("Add"), back=back, intro=name).render(self)


VIEWS = [LegacyCardsView]
