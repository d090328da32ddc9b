"""Console pages for joining two records of one person: which other record, the two side by side, and the merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, request
from flask_babel import gettext
from wtforms.validators import InputRequired, Length

from admin.base import ConsoleView, action, console_url, current_actor, form_page, now, page
from admin.detail import DetailPage, Panel
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FormPage, StringField
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.member_words import STATUSES, birthday_text, member_by_number
from server.flows import home
from server.flows import merge as merging
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import merge_queries, queries
from server.members.errors import ReasonRequiredError
from server.points import queries as points_queries
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


ACTORS = {
    "member": Tag(N_("The member"), "green"),
    "staff": Tag(N_("Staff"), "orange"),
    "partner": Tag(N_("Till or shop"), "blue"),
    "system": Tag(N_("The system"), "grey"),
}


class MergeForm(ConsoleForm):
    """Which other record is the same person."""

    other = StringField(
        L_("Card or phone number"), [InputRequired(), Length(max=32)], description=L_("Of the record that ends; this one stays.")
    )


class MemberMergesView(ConsoleView):
    """Joining two records; reached from the page of the member who stays."""

    slug = "member_merges"
    title = N_("Merge two records")
    permission = Permission.MEMBERS_MERGE

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the merges that were made, by staff and by phone numbers."""
        with self.reading() as session:
            found = merge_queries.merges(session, PageRequest.of(20, self.cursor))
            names = queries.names_of(session, [entry.into_id for entry in found.items])
        table = Table(
            columns=[
                Column(N_("Merged on"), "merged_at", "minute"),
                Column(
                    N_("Member"),
                    lambda row: names.get(row.into_id) or gettext("No nickname"),
                    "link",
                    href=lambda row: console_url("members.detail", member_id=row.into_id),
                ),
                Column(N_("By"), "actor_kind", "tag", tags=ACTORS),
                Column(N_("Reason"), lambda row: gettext("Same phone number") if row.reason == "phone" else row.reason),
            ],
            rows=found.items,
            empty=N_("No records were merged yet"),
        )
        return ListPage(N_("Merged records"), table, next_cursor=found.next_cursor).render(self)

    @form_page("/<member_id>", Permission.MEMBERS_MERGE)
    def choose(self, member_id: str) -> ResponseReturnValue:
        """Ask which other record is the same person, and compare the two."""
        member, form = self._member(member_id), MergeForm()
        if form.validate_on_submit():
            with self.reading() as session:
                other = member_by_number(session, form.other.data)
            if other is not None and other != member.id:
                return redirect(self.url_to("compare", member_id=member.id, other_id=other))
            form.other.errors = [gettext("No other member has this number.")]
        return FormPage(
            N_("Merge two records"),
            form,
            submit=N_("Compare"),
            back=console_url("members.detail", member_id=member.id),
            intro=N_("For one person with two records: everything moves to this record, the other one ends."),
        ).render(self)

    @page("/<member_id>/<other_id>", Permission.MEMBERS_MERGE)
    def compare(self, member_id: str, other_id: str) -> ResponseReturnValue:
        """Show two records side by side before they are merged."""
        into, other = self._member(member_id), self._member(other_id)
        with self.reading() as session:
            pages = [home.of_member(session, view.id, now=now()) for view in (into, other)]
            balances = [points_queries.balance(session, view.id, now=now()) for view in (into, other)]
            channels = [", ".join(item.channel for item in queries.identities_of(session, view.id)) for view in (into, other)]
        rows = [
            (N_("Nickname"), into.nickname, other.nickname),
            (N_("Phone number"), into.phone_masked, other.phone_masked),
            (N_("Birthday"), birthday_text(into.birthday), birthday_text(other.birthday)),
            (N_("Card number"), pages[0].card_no, pages[1].card_no),
            (N_("Tier"), pages[0].tier_name, pages[1].tier_name),
            (N_("Points available"), balances[0].available, balances[1].available),
            (N_("Points pending"), balances[0].pending, balances[1].pending),
            (N_("Points owed"), balances[0].debt, balances[1].debt),
            (N_("Coupons available"), pages[0].coupons_available, pages[1].coupons_available),
            (N_("Channel identities"), channels[0], channels[1]),
            (N_("Status"), gettext(STATUSES[into.status].label), gettext(STATUSES[other.status].label)),
        ]
        table = Table(
            [
                Column(N_("What"), lambda row: gettext(row[0])),
                Column(N_("This record, which stays"), lambda row: row[1]),
                Column(N_("The other, which ends"), lambda row: row[2]),
            ],
            rows,
        )
        merge = RowAction(
            N_("Merge"),
            self.url_to("join", member_id=into.id, other_id=other.id),
            Permission.MEMBERS_MERGE,
            post=True,
            reason=True,
            tone="danger",
            confirm=N_("Points, coupons, orders, tickets, log-ins and consents of the other record move to this one."),
        )
        return DetailPage(
            title=N_("Merge two records"),
            buttons=[merge],
            panels=[Panel(N_("The two records"), table=table)],
            back=(N_("Members"), console_url("members.detail", member_id=into.id)),
            notice=N_("Empty fields of this record are filled from the other; what both have stays as it is here."),
        ).render(self)

    @action("/<member_id>/<other_id>/join", Permission.MEMBERS_MERGE)
    def join(self, member_id: str, other_id: str) -> ResponseReturnValue:
        """Merge the other record into this one."""
        into, other, actor, reason = self.uuid(member_id), self.uuid(other_id), current_actor(), request.form.get("reason", "")
        if not reason.strip():
            flash(gettext(ReasonRequiredError.message), "danger")
            return redirect(self.url_to("compare", member_id=into, other_id=other))
        return self.change(
            lambda session: merging.merge(session, other, into, reason=reason, actor=actor, now=now()),
            done=N_("The two records are one now."),
            back=console_url("members.detail", member_id=into),
        )

    def _member(self, member_id: str) -> queries.MemberView:
        with self.reading() as session:
            member = queries.find(session, self.uuid(member_id))
        if member is None or member.status not in {"active", "frozen"}:
            abort(404)
        return member


VIEWS = [MemberMergesView]
