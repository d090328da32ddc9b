"""Guards. Every view of the HTTP API carries exactly one; a view without one fails the architecture test."""

from __future__ import annotations

import hashlib
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import g, request

from miniprogram_api.context import core, now
from server.kernel.errors import ForbiddenError, UnauthenticatedError
from server.kernel.ids import token_hash
from server.members import session_queries

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

GUARD = "_huiban_guard"
_EVEN_WHEN = "_huiban_even_when"


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


class MemberLeavingError(ForbiddenError):
    """The membership waits for its deletion."""

    code = "member_leaving"
    message = "This membership is about to be deleted. Take that back first."


_LOOKING_ONLY: dict[str, type[ForbiddenError]] = {"frozen": MemberFrozenError, "deleting": MemberLeavingError}


def even_when(*statuses: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a command that a member may give although the membership is ``frozen`` or ``deleting``; stands below ``member_required``."""

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _EVEN_WHEN, frozenset(statuses))
        return view

    return mark


def member_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let only members with a live access token in; the member is in ``context.member_id()`` afterwards."""
    allowed: frozenset[str] = getattr(view, _EVEN_WHEN, frozenset())

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenInvalidError
        with core().db.autocommit() as session:
            found = session_queries.session_by_access_token(session, token_hash(token.strip()), now())
        if found is None:
            raise TokenInvalidError
        if found.status in _LOOKING_ONLY and request.method != "GET" and found.status not in allowed:
            raise _LOOKING_ONLY[found.status]
        g.member = found
        return view(*args, **kwargs)

    return _marked(guarded, "member")


def body_hash() -> str:
    """Return the lower-hex SHA-256 of the request's body."""
    return hashlib.sha256(request.get_data(cache=True)).hexdigest()


def guard_of(view: Any) -> str | None:
    """Return which guard a view carries, or None."""
    return getattr(view, GUARD, None)
