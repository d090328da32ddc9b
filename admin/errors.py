"""A page for each refusal and failure inside the console, in its own shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import g, redirect, request, url_for
from flask_babel import gettext
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from admin.base import message_of, signed_in
from admin.shell import render_shell
from server.kernel.db import error_of_constraint, is_transient
from server.kernel.errors import DomainError
from server.kernel.text import N_

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

_log = structlog.get_logger("console")

_WORDS: dict[int, tuple[str, str, str]] = {
    400: (
        N_("This request cannot be done"),
        N_("The page may have been open for too long. Go back, load it again and repeat."),
        "refresh-cw",
    ),
    401: (N_("Please sign in"), N_("Your session has ended."), "lock-keyhole"),
    403: (
        N_("You may not open this page"),
        N_("Your roles do not include it. Ask the security officer if you need it for your work."),
        "shield",
    ),
    404: (N_("There is no such page"), N_("The address is wrong, or what it showed no longer exists."), "search"),
    405: (N_("This request cannot be done"), N_("The page may have been open for too long. Go back, load it again and repeat."), "ban"),
    409: (
        N_("The present state does not allow this"),
        N_("Somebody may have changed it in the meantime. Load the page again."),
        "git-merge",
    ),
    413: (N_("The file is too large"), N_("Please choose a smaller one."), "upload"),
    422: (N_("Some values are not valid"), N_("Please check what you entered."), "circle-alert"),
    429: (N_("Too many requests"), N_("Please wait a moment and try again."), "hourglass"),
    500: (
        N_("Something went wrong"),
        N_("The failure was recorded. If it happens again, give your administrator the number below."),
        "triangle-alert",
    ),
    503: (N_("Not available for the moment"), N_("Please try again in a minute."), "activity"),
}


def refusal_page(status: int, detail: str | None = None) -> tuple[str, int]:
    """Return the page of one status.

    Arguments:
        status: HTTP status.
        detail: already in the reader's language; the standing words of the status otherwise.
    """
    title, standing, icon = _WORDS.get(status, _WORDS[400 if status < 500 else 500])  # noqa: PLR2004 - the two classes of refusal
    html = render_shell(
        "console/error.html",
        status=status,
        heading=title,
        detail=detail or gettext(standing),
        icon=icon,
        request_id=g.get("request_id", ""),
    )
    return html, status


def on_domain_error(error: DomainError) -> ResponseReturnValue:
    """Show a domain's refusal."""
    return refusal_page(error.status, message_of(error))


def on_http_error(error: HTTPException) -> ResponseReturnValue:
    """Show Flask's own refusals; redirects pass."""
    if error.response is not None or error.code is None or error.code < 400:  # noqa: PLR2004 - below are no errors
        return error.get_response()
    if error.code == 401 and signed_in() is None:  # noqa: PLR2004 - nobody is signed in
        return redirect(url_for("console_login.index"))
    ours = error.description if error.code == 400 and error.description != type(error).description else None  # noqa: PLR2004 - a form's token
    return refusal_page(error.code, ours)


def on_failure(error: Exception) -> ResponseReturnValue:
    """Show that something broke, and log what."""
    if isinstance(error, DBAPIError):
        known = error_of_constraint(error)
        if isinstance(known, DomainError):
            return on_domain_error(known)
        if is_transient(error):
            return refusal_page(503)
    _log.error("console_request_failed", exc_info=error, path=request.path)
    return refusal_page(500)
