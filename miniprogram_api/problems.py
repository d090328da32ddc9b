"""Refusals over HTTP: ``application/problem+json`` in the reader's language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from flask import Response, g, request
from flask_babel import gettext
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from server.kernel import errors
from server.kernel.db import error_of_constraint, is_transient

if TYPE_CHECKING:
    from apiflask import APIFlask
    from apiflask.exceptions import HTTPError

_FAMILY_OF_STATUS: dict[int, type[errors.DomainError]] = {
    family.status: family
    for family in (
        errors.MalformedError,
        errors.UnauthenticatedError,
        errors.ForbiddenError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.TooLargeError,
        errors.UnsupportedTypeError,
        errors.InvalidError,
        errors.TooManyError,
        errors.UnavailableError,
    )
}
# RFC 9457, §3.
PROBLEM = "application/problem+json"
_API_PATH = re.compile(r"^/(api|partner|callbacks)/")
_log = structlog.get_logger("web")


def problem(status: int, code: str, title: str, detail: str, fields: dict[str, str] | None = None) -> Response:
    """Return a problem document (RFC 9457).

    Arguments:
        status: HTTP status.
        code: stable code, also the last part of ``type``.
        title: short, in the reader's language.
        detail: what to do about it, in the reader's language.
        fields: which fields are wrong.
    """
    return Response(orjson.dumps(document(status, code, title, detail, fields)), status=status, content_type=PROBLEM)


def document(status: int, code: str, title: str, detail: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the body of a problem document; see ``problem``."""
    body: dict[str, Any] = {
        "type": f"/docs/problems#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": g.get("request_id", ""),
    }
    if fields:
        body["errors"] = [{"field": field, "message": message} for field, message in fields.items()]
    return body


def document_of(error: errors.DomainError) -> dict[str, Any]:
    """Return the body of a refusal's problem document."""
    text = gettext(error.message, **error.params) if error.params else gettext(error.message)
    fields = {field: gettext(message) if message else "" for field, message in (error.fields or {}).items()}
    return document(error.status, error.code, gettext(error.family().message), text, fields)


def problem_of(error: errors.DomainError) -> Response:
    """Return the problem document of a refusal."""
    response = Response(orjson.dumps(document_of(error)), status=error.status, content_type=PROBLEM)
    if isinstance(error, errors.TooManyError):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:  # noqa: PLR2004 - RFC 9110, §11.6.1: a 401 names the scheme
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def is_api_path(path: str) -> bool:
    """Tell whether a path belongs to programs, not to people."""
    return bool(_API_PATH.match(path))


def init_app(app: APIFlask) -> None:
    """Answer every refusal and failure of the HTTP API as a problem document."""
    app.register_error_handler(errors.DomainError, _on_domain_error)
    app.register_error_handler(DBAPIError, _on_database_error)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(RecursionError, _on_deep_nesting)
    app.register_error_handler(Exception, _on_failure)
    app.before_request(_refuse_nul)
    app.error_processor(_on_validation_error)


def _on_domain_error(error: errors.DomainError) -> Response:
    return problem_of(error)


def _on_database_error(error: DBAPIError) -> Response:
    known = error_of_constraint(error)
    if isinstance(known, errors.DomainError):
        return problem_of(known)
    if is_transient(error) or error.connection_invalidated:
        return problem_of(errors.UnavailableError())
    return _on_failure(error)


def _on_http_error(error: HTTPException) -> Response | HTTPException:
    if not is_api_path(request.path):
        return error
    response = _of_status(error.code or 500, error.description)
    for name, value in error.get_headers():
        if name not in {"Content-Type", "Content-Length"}:
            response.headers[name] = value
    return response


def _of_status(status: int, detail: str | None = None) -> Response:
    """Return the problem document of a bare HTTP status: our own family's where there is one, else the standard's phrase."""
    family = _FAMILY_OF_STATUS.get(status)
    if family is not None:
        return problem_of(family())
    phrase = HTTP_STATUS_CODES.get(status, "Error")
    return problem(status, phrase.lower().replace(" ", "_"), phrase, detail or phrase)


def _refuse_nul() -> Response | None:
    """Answer 404 to an address with the character NUL: PostgreSQL cannot even be asked for it."""
    path, query = request.path, request.environ.get("QUERY_STRING", "")
    # The parameters are read only where there can be one: reading them costs more than all the rest here.
    suspect = "\0" in path or "%00" in query or "\0" in query
    if suspect and is_api_path(path) and any("\0" in text for text in (path, *request.args.values())):
        return problem_of(errors.NotFoundError())
    return None


def _on_deep_nesting(error: RecursionError) -> Response:
    # JSON nested some thousand times deep, which Python's reader gives up on.
    if not is_api_path(request.path) or not request.content_length:
        return _on_failure(error)
    return problem_of(errors.MalformedError())


def _on_failure(error: Exception) -> Response:
    _log.error("request_failed", exc_info=error, path=request.path)
    return problem(500, "internal_error", gettext("Something went wrong."), gettext("The failure was recorded under this request id."))


def _on_validation_error(error: HTTPError) -> Response:
    """Turn APIFlask's own errors (validation, bad JSON) into problem documents."""
    fields = _flatten(error.detail) if isinstance(error.detail, (dict, list)) else {}
    if error.status_code == 422:  # noqa: PLR2004 - the status APIFlask gives failed validation
        return problem_of(errors.InvalidError(fields=fields))
    return _of_status(error.status_code, str(error.message))


def _flatten(detail: Any, path: str = "") -> dict[str, str]:
    """Return ``{field path: message}`` of APIFlask's nested error details."""
    if isinstance(detail, str):
        return {path or "body": detail}
    found: dict[str, str] = {}
    if isinstance(detail, dict):
        for name, inner in detail.items():
            outer = name in {"json", "query", "form", "files", "json_or_form", "path"} and not path
            found.update(_flatten(inner, path if outer else f"{path}.{name}".strip(".")))
    elif isinstance(detail, list):
        for inner in detail:
            if isinstance(inner, dict) and "msg" in inner:
                where = ".".join(str(part) for part in inner.get("loc", ()))
                found[f"{path}.{where}".strip(".") or "body"] = str(inner["msg"])
            else:
                found.update(_flatten(inner, path))
    return found
