"""Commands over HTTP: one transaction holding the effect and, under an ``Idempotency-Key``, its stored answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from flask import Response, request
from pydantic import BaseModel

from miniprogram_api.auth import body_hash
from miniprogram_api.context import caller, core, now
from server.kernel import idempotency
from server.kernel.errors import InvalidError, MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

_KEY_MAX_CHARS = 128
_FIRST_REFUSAL = 400


class KeyRequiredError(MalformedError):
    """A command that changes something of value came without an ``Idempotency-Key``."""

    code = "idempotency_key_required"
    message = "Please send an Idempotency-Key header."


def json_response(body: BaseModel | dict[str, Any] | list[Any], status: int = 200) -> Response:
    """Return a JSON answer, straight to bytes."""
    return Response(to_json(body), status=status, content_type=_content_type(status))


def _content_type(status: int) -> str:
    # A refusal that leaves a trace is an answer of the command, and still a problem document.
    return "application/json" if status < _FIRST_REFUSAL else "application/problem+json"


def to_json(body: BaseModel | dict[str, Any] | list[Any]) -> bytes:
    """Return the bytes of a JSON answer."""
    if isinstance(body, BaseModel):
        return body.model_dump_json().encode()
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)


def run_command(work: Callable[[Session], tuple[int, BaseModel | dict[str, Any]]], *, key_required: bool = True) -> Response:
    """Do a command in one transaction and answer it; replay the first answer when the same key comes again.

    Deadlocks are tried again; a refusal rolls back together with its key.

    Arguments:
        work: gets the session; returns the HTTP status and the body. A refusal that must leave a trace is returned as well
            (``problems.document_of``): it commits, and is kept under its key.
        key_required: False only for commands that change nothing of value.

    Raises:
        KeyRequiredError: no key where one is required.
        InvalidError: a key that is empty, too long or not ASCII.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        if key_required:
            raise KeyRequiredError
        status, body = core().db.run(work)
        return json_response(body, status)
    if not fit_key(key):
        raise InvalidError(fields={"Idempotency-Key": f"1–{_KEY_MAX_CHARS} ASCII"})
    route = route_of(request.method, str(request.url_rule))
    request_hash = hash_of(request.full_path, body_hash())

    def once(session: Session) -> tuple[idempotency.StoredAnswer, bool]:
        taken = idempotency.begin(session, caller=caller(), route=route, key=key, request_hash=request_hash, now=now())
        if not isinstance(taken, UUID):
            return taken, True
        status, body = work(session)
        answer = idempotency.StoredAnswer(status, to_json(body))
        idempotency.finish(session, taken, answer)
        return answer, False

    answer, replayed = core().db.run(once)
    response = Response(answer.body, status=answer.status, content_type=_content_type(answer.status))
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def fit_key(key: str) -> bool:
    """Tell whether an ``Idempotency-Key`` is one: not empty, not too long, printable ASCII."""
    return bool(key.strip()) and len(key) <= _KEY_MAX_CHARS and key.isascii() and key.isprintable()


def route_of(method: str, rule: str) -> str:
    """Return what a command is called in its records: method and rule of the address."""
    return f"{method} {rule}"[:120]


def hash_of(full_path: str, hash_of_body: str) -> str:
    """Return what tells one request under a key from another.

    Arguments:
        full_path: path, question mark and query string, the mark also without a query.
        hash_of_body: lower-hex SHA-256.
    """
    return hashlib.sha256(f"{full_path}\n{hash_of_body}".encode()).hexdigest()
