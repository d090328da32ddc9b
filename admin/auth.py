"""Who is signed in. Flask-Security keeps the session; ``server.staff`` decides who may have one.

The mixins are applied here, to what ``server.staff`` returns, so the domain stays free of Flask. The datastore only reads: every change
of an account goes through the staff service, which audits it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyotp
from flask import g, request, session
from flask_security import RoleMixin, Security, UserMixin, current_user
from flask_security.datastore import UserDatastore
from flask_security.utils import check_and_update_authn_fresh, login_user, logout_user

from admin.base import core, now
from server.staff import login, passwords, queries, sessions
from server.staff.demo import demo_account, is_demo_email
from server.staff.rules import SESSION_IDLE, SESSION_LIFE, STEP_SECONDS

if TYPE_CHECKING:
    from flask import Flask

    from server.staff.queries import SignedIn

_PENDING = "staff_pending"
_PENDING_LIFE = timedelta(minutes=10)
_BEGAN, _SEEN, _SESSION = "staff_began", "staff_seen", "staff_session"
_FRESH_FOR = timedelta(minutes=30)
_SEEN_EVERY = timedelta(minutes=1)


class StaffRoleName(RoleMixin):
    """A role as Flask-Security sees it."""

    def __init__(self, name: str) -> None:
        self.name = name


class StaffUser(UserMixin):
    """A signed-in account as Flask-Security sees it."""

    id: UUID  # type: ignore[assignment]  # Flask-Security only ever compares it
    email: str
    password: str | None = None
    active = True
    fs_uniquifier: str = ""
    roles: Any

    def __init__(self, staff: SignedIn) -> None:
        self.id = staff.id
        self.email = staff.email
        self.fs_uniquifier = staff.uniquifier
        self.roles = [StaffRoleName(role) for role in staff.roles]
        self.staff = staff


class StaffDatastore(UserDatastore):
    """Finds accounts for Flask-Security; changes none."""

    def __init__(self) -> None:
        super().__init__(StaffUser, StaffRoleName)

    def find_user(self, case_insensitive: bool = False, **kwargs: Any) -> StaffUser | None:  # noqa: ARG002 - Flask-Security's signature
        """Return the active account that a session's name belongs to."""
        uniquifier = kwargs.get("fs_uniquifier")
        if not uniquifier:
            return None
        with core().db.reading() as db_session:
            staff = queries.by_uniquifier(db_session, str(uniquifier))
        return StaffUser(staff) if staff else None

    def find_role(self, role: str) -> StaffRoleName | None:
        """Return a role by its code."""
        return StaffRoleName(role)


def init_app(app: Flask) -> None:
    """Set Flask-Security up for sessions of staff; its own pages stay out."""
    app.config.update(
        SECURITY_PASSWORD_HASH="argon2",  # noqa: S106 - the name of a scheme
        SECURITY_PASSWORD_SCHEMES=["argon2"],
        SECURITY_PASSWORD_SINGLE_HASH={"argon2"},
        SECURITY_PASSWORD_SALT=app.config["SECRET_KEY"],
        SECURITY_TRACKABLE=False,
        SECURITY_API_ENABLED_METHODS=["session"],
        SECURITY_FRESHNESS=_FRESH_FOR,
    )
    Security(app, StaffDatastore(), register_blueprint=False)
    app.before_request(_load_staff)


def _load_staff() -> None:
    """Put who is signed in into ``g.staff``; a session too old or idle too long has ended."""
    if not request.path.startswith("/admin") or request.path.startswith(("/admin/assets/", "/admin/static/")):
        return
    if "_user_id" not in session:
        return
    if _ended():
        sign_out()
        return
    if not current_user.is_authenticated:
        session.clear()
        return
    if not _counts(current_user.id):
        sign_out()
        return
    g.staff = current_user.staff


def _ended() -> bool:
    began, seen, at = _instant(_BEGAN), _instant(_SEEN), now()
    return began is None or seen is None or at - began > SESSION_LIFE or at - seen > SESSION_IDLE


def session_id() -> UUID | None:
    """Return the id of this browser's session, or None."""
    kept = session.get(_SESSION)
    return UUID(kept) if isinstance(kept, str) else None


def _counts(staff_id: UUID) -> bool:
    """Tell whether nobody has ended this session; once a minute it is noted as in use."""
    wanted, seen, at = session_id(), _instant(_SEEN), now()
    if wanted is None:
        return False
    if seen is None or at - seen > _SEEN_EVERY:
        session[_SEEN] = at.timestamp()
        address = request.remote_addr
        return core().db.run(lambda db_session: sessions.touch(db_session, wanted, address=address, now=at))
    with core().db.reading() as db_session:
        return queries.session_counts(db_session, staff_id, wanted)


def _instant(name: str) -> datetime | None:
    value = session.get(name)
    return datetime.fromtimestamp(float(value), UTC) if isinstance(value, (int, float)) else None


# --- The steps of a log-in --------------------------------------------------------------------------------------------


def check_password(email: str, password: str) -> bool:
    """Take the first step: on success the account waits in the session for its second one.

    Returns:
        False for a wrong password and for any other reason alike.
    """
    at, address = now(), request.remote_addr
    with core().db.reading() as db_session:
        account = queries.login_account(db_session, email)
    held = passwords.password_holds(account.password_hash if account else None, password)
    if account is None:
        return False
    locked = account.locked_until is not None and account.locked_until > at
    refused_here = core().settings.production and is_demo_email(email)
    if not held and not locked:
        core().db.run(lambda db_session: login.note_failure(db_session, account.id, address=address, now=at))
    if not held or locked or not account.active or refused_here:
        return False
    language = session.get("language")
    session.clear()
    if language:
        session["language"] = language
    session[_PENDING] = {"id": str(account.id), "at": at.timestamp(), "enrol": not account.second_factor, "email": email.strip().lower()}
    return True


def pending() -> tuple[UUID, bool] | None:
    """Return the account whose password held and whether it has to set up its second factor, or None."""
    kept = session.get(_PENDING)
    if not kept or now().timestamp() - float(kept["at"]) > _PENDING_LIFE.total_seconds():
        session.pop(_PENDING, None)
        return None
    return UUID(kept["id"]), bool(kept["enrol"])


def complete(staff_id: UUID) -> None:
    """Begin the session of an account that passed both steps."""
    language, former = session.get("language"), session_id()
    session.clear()
    if language:
        session["language"] = language
    with core().db.reading() as db_session:
        uniquifier = queries.uniquifier_of(db_session, staff_id)
        staff = queries.by_uniquifier(db_session, uniquifier) if uniquifier else None
    if staff is None:
        return
    login_user(StaffUser(staff), authn_via=["password", "authenticator"])
    at, device, address = now(), request.user_agent.string, request.remote_addr
    begun = core().db.run(lambda db_session: sessions.begin(db_session, staff_id, device=device, address=address, replaces=former, now=at))
    session[_BEGAN] = session[_SEEN] = at.timestamp()
    session[_SESSION] = str(begun)
    g.staff = staff


def renew(staff_id: UUID) -> None:
    """Go on as the same person after their sessions were ended (own password changed) or their password was confirmed."""
    complete(staff_id)


def sign_out() -> None:
    """End this session."""
    language = session.get("language")
    logout_user()
    session.clear()
    if language:
        session["language"] = language
    g.pop("staff", None)


def is_fresh() -> bool:
    """Tell whether a password was given within the last half hour."""
    return bool(check_and_update_authn_fresh(_FRESH_FOR, timedelta(0), "session"))


def demo_code() -> str | None:
    """Return a code that a demonstration account may type now; in development only, where its secret is public anyway."""
    kept = session.get(_PENDING)
    if core().settings.production or not kept:
        return None
    account = demo_account(str(kept.get("email", "")))
    if account is None:
        return None
    step = int(now().timestamp()) // STEP_SECONDS
    with core().db.reading() as db_session:
        spent = queries.last_code_step(db_session, UUID(kept["id"]))
    return pyotp.TOTP(account.totp_secret).at(max(step, spent + 1) * STEP_SECONDS) if spent <= step else None
