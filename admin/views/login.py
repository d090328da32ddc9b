"""Signing in and out, and one's own account."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pyotp
import qrcode
import qrcode.image.svg
from flask import abort, flash, redirect, request, session
from flask_babel import gettext
from wtforms.validators import InputRequired, Length

from admin import auth
from admin.base import ConsoleView, action, console_url, core, current_actor, form_page, now, open_page, page, safe_next, signed_in
from admin.detail import DetailPage, Field, Panel, Section
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FormPage, PasswordField, StringField
from admin.listing import RowAction, Table
from admin.staff_sessions import session_table
from server.kernel.text import N_
from server.staff import login as staff_login
from server.staff import passwords, queries, service, sessions
from server.staff.demo import DEMO_ACCOUNTS
from server.staff.errors import LoginRefusedError, SecondFactorMissingError
from server.staff.permissions import ROLES_BY_CODE, Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_NEXT = "staff_next"
_ISSUER = "Huiban"


class PasswordForm(ConsoleForm):
    """The first step."""

    email = StringField(L_("E-mail"), [InputRequired(), Length(max=191)])
    password = PasswordField(L_("Password"), [InputRequired(), Length(max=128)])


class CodeForm(ConsoleForm):
    """The second step."""

    code = StringField(L_("One-time code"), [InputRequired(), Length(max=16)])


class ConfirmForm(ConsoleForm):
    """The password once more."""

    password = PasswordField(L_("Password"), [InputRequired(), Length(max=128)])


class OwnPasswordForm(ConsoleForm):
    """Another password for oneself."""

    present = PasswordField(L_("Present password"), [InputRequired(), Length(max=128)])
    password = PasswordField(
        L_("New password"), [InputRequired(), Length(max=128)], description=L_("At least 10 characters, not easy to guess.")
    )


class LoginView(ConsoleView):
    """Password first, then a one-time code; whoever has no second factor yet sets one up."""

    slug = "login"
    title = N_("Sign in")

    @open_page("/", methods=("GET", "POST"))
    def index(self) -> ResponseReturnValue:
        """Take e-mail and password."""
        if signed_in() is not None:
            return redirect("/admin/")
        form, refused = PasswordForm(), None
        if request.method == "GET" and request.args.get("next"):
            session[_NEXT] = safe_next(request.args.get("next"), "/admin/")
        if form.validate_on_submit():
            wanted = session.get(_NEXT)
            if auth.check_password(form.email.data, form.password.data):
                if wanted:
                    session[_NEXT] = wanted
                kept = auth.pending()
                return redirect(self.url_to("enrol" if kept and kept[1] else "code"))
            refused = LoginRefusedError.message
        accounts = [] if core().settings.production else [(account, ROLES_BY_CODE[account.role].name) for account in DEMO_ACCOUNTS]
        html: str = self.render("console/login.html", form=form, refused=refused, demo_accounts=accounts)
        return html, 401 if refused else 200

    @open_page("/code", methods=("GET", "POST"))
    def code(self) -> ResponseReturnValue:
        """Take the second step."""
        kept = auth.pending()
        if kept is None:
            return redirect(self.url_to("index"))
        staff_id, enrol = kept
        if enrol:
            return redirect(self.url_to("enrol"))
        form, refused = CodeForm(), None
        if form.validate_on_submit():
            at, address, code = now(), request.remote_addr, form.code.data
            if core().db.run(lambda db: staff_login.pass_code(db, staff_id, code, address=address, now=at)):
                wanted = session.get(_NEXT)
                auth.complete(staff_id)
                return redirect(safe_next(wanted, "/admin/"))
            refused = LoginRefusedError.message
        html: str = self.render("console/login_code.html", form=form, refused=refused, demo_hint=auth.demo_code())
        return html, 401 if refused else 200

    @open_page("/second-factor", methods=("GET", "POST"))
    def enrol(self) -> ResponseReturnValue:
        """Set up the second factor, once."""
        kept = auth.pending()
        if kept is None or not kept[1]:
            return redirect(self.url_to("index"))
        staff_id = kept[0]
        form, refused = CodeForm(), None
        if form.validate_on_submit():
            at, address, code = now(), request.remote_addr, form.code.data
            try:
                codes = core().db.run(lambda db: staff_login.confirm_enrolment(db, staff_id, code, address=address, now=at))
            except SecondFactorMissingError:
                return redirect(self.url_to("index"))
            if codes is not None:
                auth.complete(staff_id)
                html: str = self.render("console/login_codes.html", codes=codes)
                return html
            refused = LoginRefusedError.message
        secret = core().db.run(lambda db: staff_login.begin_enrolment(db, staff_id))
        email = str(session["staff_pending"]["email"])
        address_text = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=_ISSUER)
        html = self.render("console/login_enrol.html", form=form, refused=refused, secret=_grouped(secret), qr=_qr(address_text))
        return html, 401 if refused else 200

    @open_page("/confirm", methods=("GET", "POST"))
    def confirm(self) -> ResponseReturnValue:
        """Take the password once more before something sensitive."""
        staff = signed_in()
        if staff is None:
            return redirect(self.url_to("index"))
        form, refused = ConfirmForm(), None
        if form.validate_on_submit():
            if _own_password_holds(staff.email, form.password.data):
                target = safe_next(request.args.get("next"), "/admin/")
                auth.complete(staff.id)
                return redirect(target)
            at, address, staff_id = now(), request.remote_addr, staff.id
            core().db.run(lambda db: staff_login.note_failure(db, staff_id, address=address, now=at))
            refused = LoginRefusedError.message
        html: str = self.render("console/login_confirm.html", form=form, refused=refused)
        return html, 401 if refused else 200

    @open_page("/out", methods=("POST",))
    def sign_out(self) -> ResponseReturnValue:
        """End this session."""
        staff = signed_in()
        if staff is not None:
            at, address = now(), request.remote_addr
            this = auth.session_id()

            def work(db: Session) -> None:
                staff_login.note_logout(db, staff.id, everywhere=False, address=address, now=at)
                if this is not None:
                    sessions.end_quietly(db, staff.id, this, now=at)

            core().db.run(work)
        auth.sign_out()
        flash(gettext("You are signed out."), "info")
        return redirect(self.url_to("index"))


class AccountView(ConsoleView):
    """One's own account: open to all staff."""

    slug = "account"
    title = N_("My account")
    everyone = True

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show the account, its roles and what they allow."""
        actor = current_actor()
        with self.reading() as db:
            account = queries.find(db, actor.staff_id)
            codes = queries.recovery_codes_left(db, actor.staff_id)
            live = queries.sessions_of(db, actor.staff_id, now())
        if account is None:
            abort(404)
        roles = [ROLES_BY_CODE[role] for role in account.roles if role in ROLES_BY_CODE]
        detail = DetailPage(
            title=account.name,
            subtitle=account.email,
            tags=[Tag(role.name, "blue") for role in roles],
            buttons=[
                RowAction(N_("Change password"), self.url_to("password"), icon="key-round"),
                RowAction(
                    N_("Sign out everywhere"),
                    self.url_to("everywhere"),
                    post=True,
                    icon="log-out",
                    confirm=N_("All your sessions end, on every device."),
                ),
            ],
            sections=[
                Section(
                    N_("Security"),
                    [
                        Field(N_("Second step"), N_("Authenticator app") and gettext("Authenticator app")),
                        Field(N_("Recovery codes left"), codes),
                        Field(N_("Last sign-in"), account.last_login_at, "instant"),
                        Field(N_("From"), account.last_login_address),
                    ],
                ),
                Section(N_("My roles"), [Field(role.name, gettext(role.purpose), wide=True) for role in roles]),
            ],
            panels=[Panel(N_("Where I am signed in"), table=self._sessions(live, auth.session_id()))],
        )
        return detail.render(self)

    def _sessions(self, live: list[queries.SessionView], this: UUID | None) -> Table:
        def actions(row: queries.SessionView) -> list[RowAction]:
            if row.id == this:
                return []
            confirm = N_("That browser has to sign in again.")
            return [
                RowAction(N_("Sign out this one"), self.url_to("end_session", session_id=row.id), post=True, tone="danger", confirm=confirm)
            ]

        return session_table(live, actions, this)

    @action("/sessions/<session_id>/end", Permission.WORKBENCH_READ)
    def end_session(self, session_id: str) -> ResponseReturnValue:
        """End one of one's own sessions."""
        wanted, actor = self.uuid(session_id), current_actor()
        return self.change(lambda db: sessions.end(db, actor.staff_id, wanted, actor=actor, now=now()), done=N_("That session has ended."))

    @form_page("/password", Permission.WORKBENCH_READ)
    def password(self) -> ResponseReturnValue:
        """Change one's own password."""
        actor, form = current_actor(), OwnPasswordForm()
        staff = signed_in()
        if form.is_submitted() and staff is not None and form.validate() and not _own_password_holds(staff.email, form.present.data):
            form.present.errors = [LoginRefusedError.message]
        else:
            new, reason = form.password.data, gettext("Changed by the person themselves")
            done, _ = self.submit(form, lambda db: service.set_password(db, actor.staff_id, new, actor=actor, reason=reason, now=now()))
            if done:
                auth.complete(actor.staff_id)
                flash(gettext("Your password is changed; your other sessions have ended."), "success")
                return redirect(self.url_to("index"))
        return FormPage(N_("Change password"), form, back=self.url_to("index")).render(self)

    @action("/sign-out-everywhere", Permission.WORKBENCH_READ)
    def everywhere(self) -> ResponseReturnValue:
        """End all of one's own sessions."""
        actor = current_actor()
        core().db.run(lambda db: staff_login.note_logout(db, actor.staff_id, everywhere=True, address=actor.address, now=now()))
        auth.sign_out()
        return redirect(console_url("login.index"))


def _own_password_holds(email: str, password: str) -> bool:
    with core().db.reading() as db:
        account = queries.login_account(db, email)
    return passwords.password_holds(account.password_hash if account else None, password)


def _grouped(secret: str) -> str:
    return " ".join(secret[place : place + 4] for place in range(0, len(secret), 4))


def _qr(text: str) -> str:
    out = io.BytesIO()
    image: Any = qrcode.make(text, image_factory=qrcode.image.svg.SvgPathImage, border=1)
    image.save(out)
    return "data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode()


VIEWS = [LoginView, AccountView]
