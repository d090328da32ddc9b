"""Guards. Every view of the HTTP API carries exactly one; a view without one fails the architecture test."""

from __future__ import annotations

import hashlib
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import g, request

from miniprogram_api.context import core, now
from server.kernel.errors import ForbiddenError, UnauthenticatedError
from server.kernel.ids import token_hash
from server.members import queries as members

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

GUARD = "_huiban_guard"


class TokenInvalidError(UnauthenticatedError):
    """The access token is missing, unknown, expired or revoked."""

    code = "token_invalid"
    message = "Your log-in has expired. Please log in again."


class MemberFrozenError(ForbiddenError):
    """Staff froze this membership."""

    code = "member_frozen"
    message = "This membership is frozen. Please contact customer service."


def _marked(view: Callable[P, R], guard: str) -> Callable[P, R]:
    setattr(view, GUARD, guard)
    return view


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view that anybody may call (log-in, health)."""
    return _marked(view, "public")


def verified_by_signature(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a callback that proves its sender itself, from the signature of its body."""
    return _marked(view, "signature")


def member_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let only members with a live access token in; the member is in ``context.member_id()`` afterwards."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenInvalidError
        with core().db.reading() as session:
            found = members.session_by_access_token(session, token_hash(token.strip()), now())
        if found is None:
            raise TokenInvalidError
        if found.status == "frozen" and request.method != "GET":
            raise MemberFrozenError
        g.member = found
        return view(*args, **kwargs)

    return _marked(guarded, "member")


def body_hash() -> str:
    """Return the lower-hex SHA-256 of the request's body."""
    return hashlib.sha256(request.get_data(cache=True)).hexdigest()


def guard_of(view: Any) -> str | None:
    """Return which guard a view carries, or None."""
    return getattr(view, GUARD, None)
