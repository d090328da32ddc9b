"""Accounts of staff and what their roles allow."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from flask import abort, flash, redirect, request
from flask_babel import gettext
from wtforms.validators import Email, InputRequired, Length

from admin.base import ConsoleView, action, current_actor, form_page, fresh_required, may, now, page
from admin.detail import DetailPage, Field, Moment, Panel, Section
from admin.formats import Tag, translated
from admin.forms import L_, ConsoleForm, FormPage, FormSection, ManyField, StringField, TextAreaField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.permission_words import AREAS
from admin.staff_sessions import session_table
from admin.words import action_words, actor_words
from server.audit import queries as audit
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff import queries, service, sessions
from server.staff.permissions import ROLES, ROLES_BY_CODE, Permission
from server.staff.rules import normal_email

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from server.staff.queries import StaffView

_STATES = {"active": Tag(N_("Active"), "green"), "locked": Tag(N_("Locked"), "orange"), "disabled": Tag(N_("Disabled"), "grey")}
_FACTOR = {True: Tag(N_("Set up"), "green"), False: Tag(N_("Not set up"), "orange")}


class StaffForm(ConsoleForm):
    """A new account."""

    name = StringField(L_("Full name"), [InputRequired(), Length(max=60)])
    email = StringField(L_("E-mail"), [InputRequired(), Email(), Length(max=191)], description=L_("The log-in name."))
    roles = ManyField(L_("Roles"), [InputRequired()])
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail."))


class RolesForm(ConsoleForm):
    """Other roles for an account."""

    roles = ManyField(L_("Roles"), [InputRequired()])
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail."))


class StaffAccountsView(ConsoleView):
    """Staff: list, account, new account, roles, on and off, second factor."""

    slug = "staff"
    title = N_("Staff accounts")
    group = "system"
    icon = "user-cog"
    order = 10
    permission = Permission.STAFF_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List accounts."""
        filters = [
            Filter("text", N_("Name or e-mail"), placeholder=N_("How it begins")),
            Filter("role", N_("Role"), "choice", {role.code: role.name for role in ROLES}),
            Filter("state", N_("State"), "choice", {"active": N_("Active"), "disabled": N_("Disabled")}),
        ]
        asked = read_filters(filters)
        state = asked.choice("state")
        with self.reading() as session:
            found = queries.list_accounts(
                session,
                PageRequest.of(20, self.cursor),
                text=asked.text("text"),
                role=asked.choice("role"),
                active=None if state is None else state == "active",
            )
        table = Table(
            [
                Column(N_("Full name"), "name", "link", href=lambda row: self.url_to("detail", staff_id=row.id), second="email"),
                Column(N_("Roles"), _role_names),
                Column(N_("State"), _state_of, "tag", tags=_STATES),
                Column(N_("Second step"), "second_factor", "tag", tags=_FACTOR),
                Column(N_("Last sign-in"), "last_login_at", "minute"),
                Column(N_("Created on"), "created_at", "date"),
            ],
            found.items,
            lambda row: [RowAction(N_("Details"), self.url_to("detail", staff_id=row.id)), *self._actions(row)],
            empty=N_("No account matches"),
        )
        buttons = [
            RowAction(N_("Roles and permissions"), self.url_to("roles"), icon="shield-check"),
            RowAction(N_("New account"), self.url_to("create"), Permission.STAFF_EDIT, tone="primary", icon="user-plus"),
        ]
        return ListPage(N_("Staff accounts"), table, filters, asked, found.next_cursor, buttons).render(self)

    @page("/<staff_id>")
    def detail(self, staff_id: str) -> ResponseReturnValue:
        """Show one account."""
        wanted = self.uuid(staff_id)
        with self.reading() as session:
            account = queries.find(session, wanted)
            live = queries.sessions_of(session, wanted, now())
            about = audit.list_entries(session, PageRequest(30), audit.EntryFilter(subject_type="staff", subject_id=str(wanted)))
        if account is None:
            abort(404)
        roles = [ROLES_BY_CODE[role] for role in account.roles if role in ROLES_BY_CODE]
        return DetailPage(
            title=account.name,
            subtitle=account.email,
            tags=[_STATES[_state_of(account)]],
            buttons=self._actions(account),
            back=(N_("Staff accounts"), self.url_to("index")),
            sections=[
                Section(
                    N_("Account"),
                    [
                        Field(N_("Second step"), account.second_factor, "tag", _FACTOR),
                        Field(N_("Last sign-in"), account.last_login_at, "instant"),
                        Field(N_("From"), account.last_login_address),
                        Field(N_("Locked until"), account.locked_until, "instant"),
                        Field(N_("Created on"), account.created_at, "instant"),
                    ],
                ),
                Section(N_("Roles"), [Field(role.name, translated(role.purpose), wide=True) for role in roles]),
            ],
            panels=[
                Panel(N_("Signed in on"), table=session_table(live, lambda row: self._session_actions(wanted, row))),
                Panel(
                    N_("History"),
                    timeline=[
                        Moment(
                            entry.occurred_at,
                            action_words(entry.action),
                            entry.reason or "",
                            "red" if entry.action == "staff.locked" else "blue",
                            actor_words(entry.actor_kind, entry.actor_name),
                        )
                        for entry in about.items
                    ],
                    side=True,
                ),
            ],
        ).render(self)

    @page("/roles")
    def roles(self) -> ResponseReturnValue:
        """Show what each role allows."""
        html: str = self.render("console/roles.html", roles=ROLES, areas=AREAS, crumb=N_("Roles and permissions"))
        return html

    @form_page("/new", Permission.STAFF_EDIT)
    @fresh_required
    def create(self) -> ResponseReturnValue:
        """Open an account; its first password is shown once."""
        form, actor = StaffForm(), current_actor()
        form.roles.choices = _role_choices()
        first = _first_password()
        done, staff_id = self.submit(
            form,
            lambda session: service.create(
                session,
                email=form.email.data,
                name=form.name.data,
                password=first,
                roles=form.roles.data or [],
                actor=actor,
                reason=form.reason.data,
                now=now(),
            ),
        )
        if done:
            html: str = self.render(
                "console/first_password.html",
                password=first,
                email=normal_email(form.email.data),
                back=self.url_to("detail", staff_id=staff_id),
                crumb=N_("New account"),
            )
            return html
        sections = [
            FormSection(N_("Person"), ["name", "email"]),
            FormSection(N_("Rights"), ["roles", "reason"], N_("System administration, security and audit are held by different people.")),
        ]
        return FormPage(N_("New account"), form, sections, submit=N_("Open account"), back=self.url_to("index")).render(self)

    @form_page("/<staff_id>/roles", Permission.STAFF_EDIT)
    @fresh_required
    def assign(self, staff_id: str) -> ResponseReturnValue:
        """Give an account other roles."""
        wanted, actor = self.uuid(staff_id), current_actor()
        with self.reading() as session:
            account = queries.find(session, wanted)
        if account is None:
            abort(404)
        form = RolesForm(roles=list(account.roles))
        form.roles.choices = _role_choices()
        done, _ = self.submit(
            form,
            lambda session: service.assign_roles(session, wanted, form.roles.data or [], actor=actor, reason=form.reason.data, now=now()),
        )
        if done:
            flash(gettext("The roles are changed; they count from the next click."), "success")
            return redirect(self.url_to("detail", staff_id=wanted))
        return FormPage(N_("Change roles"), form, back=self.url_to("detail", staff_id=wanted), intro=account.name).render(self)

    @action("/<staff_id>/sessions/<session_id>/end", Permission.STAFF_EDIT)
    def end_session(self, staff_id: str, session_id: str) -> ResponseReturnValue:
        """End one session of somebody."""
        whose, wanted, actor, reason = self.uuid(staff_id), self.uuid(session_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: sessions.end(session, whose, wanted, actor=actor, reason=reason, now=now()), done=N_("That session has ended.")
        )

    def _session_actions(self, staff_id: UUID, row: queries.SessionView) -> list[RowAction]:
        return [
            RowAction(
                N_("Sign out this one"),
                self.url_to("end_session", staff_id=staff_id, session_id=row.id),
                Permission.STAFF_EDIT,
                post=True,
                reason=True,
                tone="danger",
                confirm=N_("That browser has to sign in again."),
            )
        ]

    @action("/<staff_id>/disable", Permission.STAFF_EDIT)
    def disable(self, staff_id: str) -> ResponseReturnValue:
        """Switch an account off."""
        wanted, actor, reason = self.uuid(staff_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: service.disable(session, wanted, actor=actor, reason=reason, now=now()), done=N_("The account is switched off.")
        )

    @action("/<staff_id>/enable", Permission.STAFF_EDIT)
    def enable(self, staff_id: str) -> ResponseReturnValue:
        """Switch an account on, or unlock it."""
        wanted, actor, reason = self.uuid(staff_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: service.enable(session, wanted, actor=actor, reason=reason, now=now()), done=N_("The account is switched on.")
        )

    @action("/<staff_id>/second-factor", Permission.STAFF_EDIT)
    def reset_second_factor(self, staff_id: str) -> ResponseReturnValue:
        """Forget an account's second factor."""
        wanted, actor, reason = self.uuid(staff_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: service.reset_second_factor(session, wanted, actor=actor, reason=reason, now=now()),
            done=N_("The second step is forgotten; it is set up again at the next sign-in."),
        )

    @action("/<staff_id>/password", Permission.STAFF_EDIT)
    @fresh_required
    def reset_password(self, staff_id: str) -> ResponseReturnValue:
        """Give an account a new first password, shown once."""
        wanted, actor, reason, first = self.uuid(staff_id), current_actor(), request.form.get("reason", ""), _first_password()
        with self.reading() as session:
            account = queries.find(session, wanted)
        if account is None:
            abort(404)
        answer = self.change(
            lambda session: service.set_password(session, wanted, first, actor=actor, reason=reason, now=now()),
            done=N_("The password is replaced and all sessions have ended."),
        )
        if not reason.strip():
            return answer
        html: str = self.render(
            "console/first_password.html",
            password=first,
            email=account.email,
            back=self.url_to("detail", staff_id=wanted),
            crumb=account.name,
        )
        return html

    def _actions(self, row: StaffView) -> list[RowAction]:
        if not may(Permission.STAFF_EDIT) or row.id == current_actor().staff_id:
            return []
        to: dict[str, UUID] = {"staff_id": row.id}
        edit = Permission.STAFF_EDIT
        found = [RowAction(N_("Change roles"), self.url_to("assign", **to), edit)]
        if not row.active or _state_of(row) == "locked":
            found.append(RowAction(N_("Switch on"), self.url_to("enable", **to), edit, post=True, reason=True))
        found.append(
            RowAction(
                N_("Reset second step"),
                self.url_to("reset_second_factor", **to),
                edit,
                post=True,
                reason=True,
                confirm=N_("All sessions of this person end, and they set it up again at the next sign-in."),
            )
        )
        found.append(
            RowAction(
                N_("Reset password"),
                self.url_to("reset_password", **to),
                edit,
                post=True,
                reason=True,
                confirm=N_("All sessions of this person end. The new password is shown once."),
            )
        )
        if row.active:
            found.append(
                RowAction(
                    N_("Switch off"),
                    self.url_to("disable", **to),
                    edit,
                    post=True,
                    reason=True,
                    tone="danger",
                    confirm=N_("The person is signed out at once and cannot come back in."),
                )
            )
        return found


def _role_choices() -> list[tuple[str, str]]:
    return [(role.code, translated(role.name)) for role in ROLES]


def _role_names(row: StaffView) -> str:
    return "、".join(translated(ROLES_BY_CODE[role].name) for role in row.roles if role in ROLES_BY_CODE) or "–"


def _state_of(row: StaffView) -> str:
    if not row.active:
        return "disabled"
    return "locked" if row.locked_until is not None and row.locked_until > now() else "active"


def _first_password() -> str:
    return f"{secrets.token_urlsafe(9)}-{secrets.token_urlsafe(6)}"


VIEWS = [StaffAccountsView]
