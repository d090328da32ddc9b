"""Console pages of members: search, the whole member on one page, changes that wait for a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from flask import abort, flash, redirect, request
from flask_babel import gettext, ngettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs

from admin.base import ConsoleView, action, console_url, core, current_actor, form_page, message_of, now, page
from admin.detail import DetailPage, Field, Figure, Section
from admin.export import export_list
from admin.forms import FormPage, FormSection
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.member_forms import AdjustForm, IssueForm, ProfileForm
from admin.views.member_panels import panels_of
from admin.views.member_search import MemberRow, phone_of, search_members
from admin.views.member_words import CHANGE_STATES, GENDERS, STATUSES, WAYS, birthday_text, phone_asked, tier_tag, tier_tags
from admin.views.points import said_of
from server.cards import queries as cards
from server.coupons import queries as coupon_queries
from server.coupons import service as coupons
from server.flows import home
from server.flows.adjustments import adjust as adjust_points
from server.kernel.amounts import Points
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from server.kernel.text import N_
from server.members import emails, queries, service
from server.members.rules import Birthday
from server.points import queries as points_queries
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.flows.adjustments import Adjusted


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change request in the list."""

    view: queries.ChangeRequestView
    name: str


def _birthday_of(document: dict[str, object]) -> str:
    return birthday_text(Birthday(**document))  # type: ignore[arg-type]  # written by Birthday.as_dict


class MembersView(ConsoleView):
    """Members."""

    slug = "members"
    title = N_("Members")
    group = "members"
    icon = "users"
    order = 10
    permission = Permission.MEMBERS_READ

    # Lists ------------------------------------------------------------------------------------------------------------

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Search members by card, phone or nickname."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("members", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("card", N_("Card number"), placeholder=N_("Whole number")),
            Filter("phone", N_("Phone number"), placeholder=N_("Whole number or last four digits")),
            Filter("nickname", N_("Nickname"), placeholder=N_("How it begins")),
            Filter("status", N_("Status"), "choice", {code: tag.label for code, tag in STATUSES.items()}),
            Filter("joined", N_("Joined on"), "date_range"),
        ]
        asked = read_filters(filters)
        phone = phone_asked(asked.text("phone"))
        with self.reading() as session:
            found = search_members(
                session, asked.text("card"), phone, asked.text("nickname"), asked.choice("status"), asked.dates("joined"), place
            )
            summaries = home.summaries(session, [view.id for view in found.items])
            tiers = tier_tags(session)
        rows = [MemberRow(view, summaries.get(view.id)) for view in found.items]
        table = Table(
            columns=[
                Column(
                    N_("Member"),
                    "name",
                    "link",
                    href=lambda row: self.url_to("detail", member_id=row.id),
                    second=phone_of,
                    second_label=N_("Phone number"),
                ),
                Column(N_("Card number"), lambda row: row.summary.card_no if row.summary else None, "code"),
                Column(N_("Tier"), lambda row: row.summary.tier_name if row.summary else None, "tag", tags=tiers),
                Column(N_("Points"), lambda row: row.summary.points_available if row.summary else 0, "points"),
                Column(N_("Status"), lambda row: row.view.status, "tag", tags=STATUSES),
                Column(N_("Joined through"), lambda row: row.view.joined_via, "tag", tags=WAYS),
                Column(N_("Joined on"), lambda row: row.view.joined_at, "minute"),
            ],
            rows=rows,
            actions=lambda row: [
                RowAction(N_("Details"), self.url_to("detail", member_id=row.id)),
                RowAction(N_("Adjust points"), self.url_to("adjust", member_id=row.id), Permission.POINTS_ADJUST),
                RowAction(N_("Issue a coupon"), self.url_to("issue_coupon", member_id=row.id), Permission.COUPONS_ISSUE),
            ],
            empty=N_("No members match"),
            empty_hint=N_("Card and phone numbers are found by the whole number, phones also by their last four digits."),
        )
        return ListPage(N_("Members"), table, filters, asked, found.next_cursor, tabs=self._tabs("index"), export=True)

    @page("/changes")
    def changes(self) -> ResponseReturnValue:
        """List the changes members asked for."""
        filters = [Filter("state", N_("State"), "choice", {code: tag.label for code, tag in CHANGE_STATES.items()})]
        asked = read_filters(filters)
        with self.reading() as session:
            found = queries.change_requests(session, asked.choice("state"), PageRequest.of(20, self.cursor))
            names = queries.names_of(session, [view.member_id for view in found.items])
        rows = [ChangeRow(view, names.get(view.member_id) or gettext("No nickname")) for view in found.items]
        table = Table(
            columns=[
                Column(N_("Member"), "name", "link", href=lambda row: self.url_to("detail", member_id=row.view.member_id)),
                Column(N_("Birthday now"), lambda row: _birthday_of(row.view.before)),
                Column(N_("Birthday wanted"), lambda row: _birthday_of(row.view.after)),
                Column(N_("State"), lambda row: row.view.state, "tag", tags=CHANGE_STATES),
                Column(N_("Asked on"), lambda row: row.view.requested_at, "minute"),
                Column(N_("Reason"), lambda row: row.view.reason),
            ],
            rows=rows,
            actions=self._change_actions,
            empty=N_("No changes wait for a decision"),
        )
        return ListPage(N_("Change requests"), table, filters, asked, found.next_cursor, tabs=self._tabs("changes")).render(self)

    def _tabs(self, current: str) -> list[tuple[str, str, bool, int | None]]:
        return [
            (N_("Members"), self.url_to("index"), current == "index", None),
            (N_("Change requests"), self.url_to("changes"), current == "changes", None),
            (N_("Deletions"), console_url("member_deletions.index"), False, None),
            (N_("Old cards"), console_url("legacy-cards.index"), False, None),
        ]

    def _change_actions(self, row: ChangeRow) -> list[RowAction]:
        if row.view.state != "pending":
            return []
        approve, refuse = (self.url_to(name, request_id=row.view.id) for name in ("approve", "refuse"))
        return [
            RowAction(N_("Approve"), approve, Permission.MEMBERS_EDIT, post=True, confirm=N_("The birthday changes at once.")),
            RowAction(N_("Refuse"), refuse, Permission.MEMBERS_EDIT, post=True, reason=True, tone="danger"),
        ]

    @action("/changes/<request_id>/approve", Permission.MEMBERS_EDIT)
    def approve(self, request_id: str) -> ResponseReturnValue:
        """Approve a change."""
        actor, wanted, reason = current_actor(), self.uuid(request_id), request.form.get("reason") or None
        return self.change(
            lambda session: service.decide_change(session, wanted, approve=True, reason=reason, actor=actor, now=now()),
            done=N_("The change is approved."),
        )

    @action("/changes/<request_id>/refuse", Permission.MEMBERS_EDIT)
    def refuse(self, request_id: str) -> ResponseReturnValue:
        """Refuse a change; the member sees the reason."""
        actor, wanted, reason = current_actor(), self.uuid(request_id), request.form.get("reason", "")
        return self.change(
            lambda session: service.decide_change(session, wanted, approve=False, reason=reason, actor=actor, now=now()),
            done=N_("The change is refused."),
        )

    # One member -------------------------------------------------------------------------------------------------------

    @page("/<member_id>")
    def detail(self, member_id: str) -> ResponseReturnValue:
        """Show the whole member."""
        return self._detail(self.uuid(member_id))

    def _detail(self, member_id: UUID, phone: str | None = None) -> str:
        with self.reading() as session:
            member = queries.find(session, member_id)
            if member is None:
                abort(404)
            page_of_home = home.of_member(session, member_id, now=now())
            balance = points_queries.balance(session, member_id, now=now())
            panels = panels_of(session, member, now())
            changes = queries.change_requests_of(session, member_id)
            email = emails.view(session, member_id, now=now())
            aliases = cards.aliases_of(session, member_id)
            tiers = tier_tags(session)
        profile = Section(
            N_("Profile"),
            [
                Field(N_("Nickname"), member.nickname),
                Field(N_("Phone number"), phone or member.phone_masked, "code"),
                Field(N_("E-mail"), email.masked, "code"),
                Field(N_("Gender"), member.gender, "tag", GENDERS),
                Field(N_("Birthday"), birthday_text(member.birthday)),
                Field(N_("City"), member.city),
                Field(N_("Interests"), "、".join(member.interests)),
                Field(N_("Joined on"), member.joined_at, "minute"),
                Field(N_("Joined through"), member.joined_via, "tag", WAYS),
            ],
        )
        card = Section(
            N_("Card and tier"),
            [
                Field(N_("Card number"), page_of_home.card_no, "code"),
                Field(N_("Tier"), page_of_home.tier_name, "tag", tiers),
                Field(N_("Former card numbers"), "、".join(aliases)),
                Field(N_("Reason of the status"), member.status_reason),
            ],
        )
        waiting = [view for view in changes if view.state == "pending"]
        notice = N_("A change of the birthday waits for a decision.") if waiting else ""
        if member.status == "deleting":
            notice = N_("This membership is to be deleted at the member's wish. Deletions shows until when that can be taken back.")
        if member.merged_into is not None:
            notice = N_("This record was merged into another one.")
        return DetailPage(
            title=member.nickname or gettext("No nickname"),
            subtitle=page_of_home.card_no or "",
            tags=[STATUSES[member.status], tier_tag(page_of_home.tier_code, page_of_home.tier_name)],
            buttons=self._buttons(member),
            figures=[
                Figure(N_("Points available"), balance.available, "points", tip=N_("What the member can redeem now.")),
                Figure(N_("Points pending"), balance.pending, "points", tip=N_("Available once the return window closes.")),
                Figure(
                    N_("Points owed"), balance.debt, "points", tip=N_("Repaid by the next earnings."), tone="red" if balance.debt else ""
                ),
                Figure(N_("Expiring within 30 days"), balance.expiring_soon, "points", tone="orange" if balance.expiring_soon else ""),
                Figure(N_("Coupons available"), page_of_home.coupons_available),
                Figure(N_("Profile complete"), f"{member.completeness}%", "text", tip=N_("Complete from 90%.")),
            ],
            sections=[profile, card],
            panels=panels,
            back=(N_("Members"), self.url_to("index")),
            notice=notice,
        ).render(self)

    def _buttons(self, member: queries.MemberView) -> list[RowAction]:
        def to(name: str) -> str:
            return self.url_to(name, member_id=member.id)

        if member.status not in {"active", "frozen"}:
            if member.status == "deleting":
                back = console_url("member_deletions.take_back", member_id=member.id)
                return [RowAction(N_("Take the deletion back"), back, Permission.MEMBERS_EDIT, post=True, reason=True)]
            if member.merged_into is None:
                return []
            return [RowAction(N_("Open the other record"), self.url_to("detail", member_id=member.merged_into), tone="primary")]
        freeze = (
            RowAction(N_("Unfreeze"), to("unfreeze"), Permission.MEMBERS_EDIT, post=True, reason=True)
            if member.status == "frozen"
            else RowAction(
                N_("Freeze"),
                to("freeze"),
                Permission.MEMBERS_EDIT,
                post=True,
                reason=True,
                tone="danger",
                confirm=N_("The member can look but not redeem, claim or order until unfrozen."),
            )
        )
        reveal = RowAction(
            N_("Show phone number"),
            to("reveal"),
            Permission.MEMBERS_REVEAL,
            post=True,
            reason=True,
            confirm=N_("Who saw it and why is kept in the audit trail."),
        )
        return [
            RowAction(N_("Adjust points"), to("adjust"), Permission.POINTS_ADJUST, tone="primary", icon="coins"),
            RowAction(N_("Issue a coupon"), to("issue_coupon"), Permission.COUPONS_ISSUE, icon="ticket"),
            RowAction(N_("Edit"), to("edit"), Permission.MEMBERS_EDIT),
            *([reveal] if member.phone_bound else []),
            RowAction(N_("Add an old card"), console_url("legacy-cards.add", member_id=member.id), Permission.MEMBERS_EDIT),
            RowAction(N_("Merge"), console_url("member_merges.choose", member_id=member.id), Permission.MEMBERS_MERGE),
            freeze,
            RowAction(
                N_("Delete the membership"),
                console_url("member_deletions.ask", member_id=member.id),
                Permission.MEMBERS_EDIT,
                post=True,
                reason=True,
                tone="danger",
                confirm=N_("On the member's own wish only. It can be taken back for a week; then all personal data is erased for good."),
            ),
        ]

    @action("/<member_id>/reveal", Permission.MEMBERS_REVEAL)
    def reveal(self, member_id: str) -> ResponseReturnValue:
        """Show the phone number once, on this very answer."""
        wanted, actor, reason = self.uuid(member_id), current_actor(), request.form.get("reason", "")
        try:
            phone = core().db.run(lambda session: service.reveal_phone(session, wanted, reason=reason, actor=actor, now=now()))
        except DomainError as error:
            flash(message_of(error), "danger")
            return redirect(self.url_to("detail", member_id=wanted))
        return self._detail(wanted, phone)

    @action("/<member_id>/freeze", Permission.MEMBERS_EDIT)
    def freeze(self, member_id: str) -> ResponseReturnValue:
        """Freeze a membership."""
        return self._status(member_id, "frozen", N_("The membership is frozen."))

    @action("/<member_id>/unfreeze", Permission.MEMBERS_EDIT)
    def unfreeze(self, member_id: str) -> ResponseReturnValue:
        """Unfreeze a membership."""
        return self._status(member_id, "active", N_("The membership is active again."))

    def _status(self, member_id: str, status: str, done: str) -> ResponseReturnValue:
        wanted, actor, reason = self.uuid(member_id), current_actor(), request.form.get("reason", "")
        return self.change(lambda session: service.set_status(session, wanted, status, reason=reason, actor=actor, now=now()), done=done)

    # Forms ------------------------------------------------------------------------------------------------------------

    @form_page("/<member_id>/points", Permission.POINTS_ADJUST)
    def adjust(self, member_id: str) -> ResponseReturnValue:
        """Give or take points by hand."""
        member, form, actor = self._member(member_id), AdjustForm(), current_actor()
        form.once.data = form.once.data or str(uuid7())
        once = str(form.once.data)[:64]  # the form's own number, so that a button pressed twice adjusts once

        def work(session: Session) -> Adjusted:
            return adjust_points(session, member.id, Points(form.points.data), once=once, reason=form.reason.data, actor=actor, now=now())

        done, adjusted = self.submit(form, work)
        said, tone = said_of(adjusted) if adjusted else ("", "")
        form_page = FormPage(N_("Adjust points"), form, submit=N_("Adjust"), intro=self._about(member))
        return self._after(done, member, said, form_page, tone)

    @form_page("/<member_id>/coupon", Permission.COUPONS_ISSUE)
    def issue_coupon(self, member_id: str) -> ResponseReturnValue:
        """Issue a coupon."""
        member, form, actor = self._member(member_id), IssueForm(), current_actor()
        with self.reading() as session:
            templates = coupon_queries.list_templates(session, PageRequest(100), state="published").items
        form.template.choices = [SelectChoice(str(view.id), view.name) for view in templates]
        form.once.data = form.once.data or str(uuid7())
        source = Source("staff", f"issue:{form.once.data}"[:120])

        def work(session: Session) -> object:
            template_id = UUID(form.template.data)
            return coupons.issue(session, member.id, template_id, source=source, actor=actor, now=now(), reason=form.reason.data)

        done, _ = self.submit(form, work)
        return self._after(
            done, member, N_("The coupon is issued."), FormPage(N_("Issue a coupon"), form, submit=N_("Issue"), intro=self._about(member))
        )

    @form_page("/<member_id>/edit", Permission.MEMBERS_EDIT)
    def edit(self, member_id: str) -> ResponseReturnValue:
        """Correct a profile."""
        member, actor = self._member(member_id), current_actor()
        form = ProfileForm(
            data={"nickname": member.nickname, "gender": member.gender, "city": member.city, "interests": ", ".join(member.interests)}
        )

        def work(session: Session) -> object:
            interests = [word.strip()[:20] for word in (form.interests.data or "").replace("，", ",").split(",") if word.strip()]
            change = service.ProfileChange(
                nickname=form.nickname.data or None, gender=form.gender.data, city=form.city.data or None, interests=interests[:20]
            )
            return service.update_profile(session, member.id, change, actor=actor, now=now())

        done, _ = self.submit(form, work)
        sections = [FormSection(N_("Profile"), ["nickname", "gender", "city", "interests"])]
        return self._after(
            done, member, N_("The profile is saved."), FormPage(N_("Edit the profile"), form, sections, intro=self._about(member))
        )

    def _about(self, member: queries.MemberView) -> str:
        """Return whom a form is about, so that nobody changes the wrong person."""
        with self.reading() as session:
            card_no = home.of_member(session, member.id, now=now()).card_no or ""
            available = points_queries.balance(session, member.id, now=now()).available
        name = member.nickname or gettext("No nickname")
        return " · ".join(
            filter(None, (name, card_no, ngettext("%(num)s point available", "%(num)s points available", int(str(available)))))
        )

    def _member(self, member_id: str) -> queries.MemberView:
        with self.reading() as session:
            member = queries.find(session, self.uuid(member_id))
        if member is None or member.status not in {"active", "frozen"}:
            abort(404)
        return member

    def _after(self, done: bool, member: queries.MemberView, said: str, form_page: FormPage, tone: str = "success") -> ResponseReturnValue:
        back = self.url_to("detail", member_id=member.id)
        if done:
            flash(gettext(said), tone)
            return redirect(back)
        form_page.back = back
        return form_page.render(self)


VIEWS = [MembersView]
