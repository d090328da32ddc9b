"""The base of every page of the console: who is here, what they may do, and how a page is put together.

Invariants:
- Default deny. A view names a ``permission``; a method that changes something names its own with ``@action`` or ``@form_page``.
- Every POST carries a CSRF token, checked here before any method runs.
- A page opens ``self.reading()``; a change goes through ``self.change(...)``, which calls one service in one transaction.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

from flask import abort, current_app, flash, g, redirect, request, url_for
from flask_admin import BaseView
from flask_admin import expose as _expose
from flask_babel import gettext
from flask_wtf.csrf import CSRFError, validate_csrf
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException
from wtforms.validators import ValidationError

from server.kernel.actors import StaffActor
from server.kernel.db import error_of_constraint
from server.kernel.errors import DomainError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from flask_wtf import FlaskForm
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.staff.permissions import Permission
    from server.staff.queries import SignedIn

Result = TypeVar("Result")
Method = TypeVar("Method", bound="Callable[..., Any]")

ENDPOINT_PREFIX = "console_"


# --- What a page may reach --------------------------------------------------------------------------------------------


def core() -> Core:
    """Return the core this application was built on."""
    return cast("Core", current_app.extensions["huiban"])


def now() -> datetime:
    """Return the present instant of the core's clock."""
    return core().clock.now()


def signed_in() -> SignedIn | None:
    """Return who is signed in, or None."""
    return cast("SignedIn | None", g.get("staff"))


def current_actor() -> StaffActor:
    """Return the member of staff who is acting, as the services want it.

    Raises:
        Unauthorized: nobody is signed in (401).
    """
    staff = signed_in()
    if staff is None:
        abort(401)
    return StaffActor(staff.id, staff.name, staff.permissions, request.remote_addr)


def may(permission: Permission | str | None) -> bool:
    """Tell whether who is signed in holds a permission; None asks only that somebody is."""
    staff = signed_in()
    return staff is not None and (permission is None or str(permission) in staff.permissions)


def console_url(endpoint: str, **values: Any) -> str:
    """Return the address of a console page.

    Arguments:
        endpoint: ``<slug>.<method>`` (``members.detail``).
        values: parts of the path, and the query.
    """
    return url_for(f"{ENDPOINT_PREFIX}{endpoint}", **values)


def console_url_or_none(endpoint: str, **values: Any) -> str | None:
    """Return the address of a console page, or None when no such page is installed."""
    known = f"{ENDPOINT_PREFIX}{endpoint}" in current_app.view_functions
    return console_url(endpoint, **values) if known else None


def safe_next(address: str | None, default: str) -> str:
    """Return an address of our own console to go on to; never another site's."""
    if not address:
        return default
    parts = urlsplit(address)
    ours = not parts.scheme and not parts.netloc and parts.path.startswith("/admin") and "\\" not in address
    return address if ours else default


# --- Ways to say what a method needs ----------------------------------------------------------------------------------


def _marked(path: str, methods: tuple[str, ...], permission: Permission | None, *, anyone: bool = False) -> Callable[[Method], Method]:
    def mark(method: Method) -> Method:
        exposed = _expose(path, methods=methods)(method)
        exposed.console_permission = permission
        exposed.console_anyone = anyone
        return cast("Method", exposed)

    return mark


def page(path: str = "/", permission: Permission | None = None) -> Callable[[Method], Method]:
    """Expose a page that only reads; without a permission of its own it needs the view's."""
    return _marked(path, ("GET",), permission)


def action(path: str, permission: Permission) -> Callable[[Method], Method]:
    """Expose a change (POST only) under a permission."""
    return _marked(path, ("POST",), permission)


def form_page(path: str, permission: Permission) -> Callable[[Method], Method]:
    """Expose a form: GET shows it, POST does what it asks, both under one permission."""
    return _marked(path, ("GET", "POST"), permission)


def any_page(path: str) -> Callable[[Method], Method]:
    """Expose what answers any address and method under the view's own permission; it must change nothing."""
    return _marked(path, ("GET", "POST"), None)


def open_page(path: str = "/", methods: tuple[str, ...] = ("GET",)) -> Callable[[Method], Method]:
    """Expose a page that nobody needs to be signed in for: the log-in and its second step."""
    return _marked(path, methods, None, anyone=True)


# --- The view ---------------------------------------------------------------------------------------------------------


class ConsoleView(BaseView):  # type: ignore[misc]  # Flask-Admin ships no types that strict mode takes
    """One area of the console, at ``/admin/<slug>/``.

    Class attributes:
        slug: part of the address and of the endpoint, ``[a-z_]+``.
        title: English msgid, shown in the menu and the breadcrumb.
        group: code of the menu group (see ``admin.menu``); empty keeps it out of the menu.
        icon: name of a symbol in ``static/icons.svg``.
        order: place in its group, small first.
        permission: what reading it needs; None refuses everybody but ``everyone`` views.
        everyone: any member of staff may read it.
    """

    slug: ClassVar[str] = ""
    title: ClassVar[str] = ""
    group: ClassVar[str] = ""
    icon: ClassVar[str] = "file-text"
    order: ClassVar[int] = 50
    permission: ClassVar[Permission | None] = None
    everyone: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(name=self.title, endpoint=f"{ENDPOINT_PREFIX}{self.slug}", url=self.slug)

    # Access -----------------------------------------------------------------------------------------------------------

    def needed(self, name: str) -> tuple[Permission | None, bool]:
        """Return what a method needs, and whether anyone at all may call it."""
        method = getattr(type(self), name, None)
        own = getattr(method, "console_permission", None)
        return own or self.permission, bool(getattr(method, "console_anyone", False))

    def allows(self, name: str = "index") -> bool:
        """Tell whether who is signed in may call a method."""
        permission, anyone = self.needed(name)
        if anyone:
            return True
        return may(permission) and (permission is not None or self.everyone)

    def is_accessible(self) -> bool:
        """Tell Flask-Admin whether the view's first page is open to who is signed in."""
        return self.allows()

    def _handle_view(self, name: str, **_kwargs: Any) -> ResponseReturnValue | None:
        _permission, anyone = self.needed(name)
        if not anyone and signed_in() is None:
            if request.method == "GET":
                return redirect(url_for("console_login.index", next=request.full_path.rstrip("?")))
            abort(401)
        if request.method not in {"GET", "HEAD", "OPTIONS"}:
            _check_csrf()
        if not self.allows(name):
            abort(403)
        return None

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Flask-Admin's own calls once more, with other arguments, after any TypeError: a change would be made twice.
        return fn(self, *args, **kwargs)

    # Work -------------------------------------------------------------------------------------------------------------

    def reading(self) -> AbstractContextManager[Session]:
        """Open a session that only reads."""
        return core().db.reading()

    def change(self, work: Callable[[Session], Result], *, done: str | None = None, back: str | None = None) -> ResponseReturnValue:
        """Make one change for an ``@action``: one transaction, then a message, then back to a page.

        Arguments:
            work: calls one service with the session.
            done: English msgid said when it worked.
            back: where to go; the page the request came from by default.
        """
        try:
            core().db.run(work)
        except DomainError as error:
            flash(message_of(error), "danger")
        else:
            flash(gettext(done) if done else gettext("Done."), "success")
        return redirect(back or self.came_from())

    def submit(self, form: FlaskForm, work: Callable[[Session], Result]) -> tuple[bool, Result | None]:
        """Do what a form asks, for a ``@form_page``; a refusal is shown at its field, or above the form.

        Returns:
            ``(True, what work returned)``, or ``(False, None)`` when the form is shown again.
        """
        if not form.validate_on_submit():
            return False, None
        try:
            return True, core().db.run(work)
        except DomainError as error:
            put_errors(form, error)
            return False, None
        except DBAPIError as error:
            known = error_of_constraint(error)
            if not isinstance(known, DomainError):
                raise
            put_errors(form, known)
            return False, None

    def came_from(self) -> str:
        """Return the console page this request came from, or the view's first page."""
        referrer = urlsplit(request.referrer or "")
        if referrer.netloc == request.host and referrer.path.startswith("/admin"):
            return referrer.path + (f"?{referrer.query}" if referrer.query else "")
        return self.url_to("index")

    def url_to(self, method: str, **values: Any) -> str:
        """Return the address of one of this view's own methods."""
        return console_url(f"{self.slug}.{method}", **values)

    @property
    def cursor(self) -> str | None:
        """Return which page of a keyset-paged list is asked for."""
        return request.args.get("cursor") or None

    def uuid(self, text: str) -> UUID:
        """Read an id from the address.

        Raises:
            NotFound: it is none (404).
        """
        try:
            return UUID(text)
        except ValueError:
            abort(404)

    def create_blueprint(self, admin: Any) -> Any:
        """Make the blueprint, with pages for refusals raised inside it."""
        from admin import errors  # noqa: PLC0415 - the pages of refusals are rendered in this shell

        blueprint = super().create_blueprint(admin)
        blueprint.register_error_handler(DomainError, errors.on_domain_error)
        blueprint.register_error_handler(HTTPException, errors.on_http_error)
        blueprint.register_error_handler(Exception, errors.on_failure)
        return blueprint


def _check_csrf() -> None:
    token = request.headers.get("X-CSRFToken") or next(
        (value for name, value in request.form.items() if name == "csrf_token" or name.endswith("-csrf_token")), None
    )
    try:
        validate_csrf(token)
    except (CSRFError, ValidationError):
        abort(400, gettext("This page was open for too long. Please load it again."))


def message_of(error: DomainError) -> str:
    """Return a refusal in the reader's words."""
    return str(gettext(error.message, **error.params) if error.params else gettext(error.message))


def put_errors(form: FlaskForm, error: DomainError) -> None:
    """Show a refusal at the fields it names, and above the form when it names none of them."""
    placed = False
    for name, text in error.fields.items():
        field = form._fields.get(name)
        if field is not None:
            field.errors = [*field.errors, gettext(text)]
            placed = True
    if not placed or not isinstance(error, InvalidError):
        form.form_errors.append(message_of(error))


def fresh_required(method: Method) -> Method:
    """Let only somebody in who gave a password within the last half hour; others are asked again first."""

    @wraps(method)
    def guarded(self: ConsoleView, *args: Any, **kwargs: Any) -> Any:
        from admin.auth import is_fresh  # noqa: PLC0415 - the log-in pages are views of this very base

        if not is_fresh():
            flash(gettext("Please confirm your password first."), "info")
            return redirect(url_for("console_login.confirm", next=self.came_from()))
        return method(self, *args, **kwargs)

    return cast("Method", guarded)
