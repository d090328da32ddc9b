"""Refusals: every reason a command is not done, with a stable code and a sentence for people.

A domain raises a subclass of one of the families below. A family has an HTTP status, the same for programs and for the console; the edges
put the ``message`` (an English gettext msgid) into the reader's language.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """A command that the domain refuses; nothing has been changed.

    Class attributes:
        status: the HTTP status that both edges answer with; set by the families below and nowhere else.
        code: stable, machine-readable, ``snake_case``.
        message: English sentence, a gettext msgid with ``%(name)s`` places for the parameters.

    Arguments:
        params: values for the message; they also reach the client, so no personal data.
        fields: which fields of the request are wrong, ``{field: message}``.
    """

    status: ClassVar[int] = 409
    code: ClassVar[str] = "refused"
    message: ClassVar[str] = "The request was refused."

    def __init__(self, *, fields: dict[str, str] | None = None, **params: Any) -> None:
        super().__init__(self.code)
        self.params = params
        self.fields = fields or {}

    @classmethod
    def family(cls) -> type[DomainError]:
        """Return the family this refusal belongs to: the class that set its status."""
        return next(kind for kind in cls.__mro__ if "status" in kind.__dict__)

    def __str__(self) -> str:
        return f"{self.code}: {self.message % self.params if self.params else self.message}"


class MalformedError(DomainError):
    """The request cannot be read (400)."""

    status = 400
    code = "malformed"
    message = "The request cannot be read."


class UnauthenticatedError(DomainError):
    """Nobody has shown who they are (401)."""

    status = 401
    code = "unauthenticated"
    message = "Please log in."


class ForbiddenError(DomainError):
    """The actor may not do this (403)."""

    status = 403
    code = "forbidden"
    message = "You may not do this."


class NotFoundError(DomainError):
    """There is no such thing, or it is somebody else's (404)."""

    status = 404
    code = "not_found"
    message = "Not found."


class ConflictError(DomainError):
    """The present state does not allow it (409)."""

    status = 409
    code = "conflict"
    message = "The present state does not allow this."


class SavedMeanwhileError(ConflictError):
    """Two people saved the next version of the same thing at once; the first stands."""

    code = "saved_meanwhile"
    message = "Somebody else saved this at the same moment. Please look at it again."


class TooLargeError(DomainError):
    """The request is larger than allowed (413)."""

    status = 413
    code = "too_large"
    message = "The request is too large."


class UnsupportedTypeError(DomainError):
    """The request comes in a form that is not taken (415)."""

    status = 415
    code = "unsupported_media_type"
    message = "This kind of content is not accepted."


class InvalidError(DomainError):
    """The request itself can never be done as it stands (422)."""

    status = 422
    code = "invalid"
    message = "Some values are not valid."


class TooManyError(DomainError):
    """Too many requests (429).

    Arguments:
        retry_after_seconds: when to come again.
    """

    status = 429
    code = "too_many_requests"
    message = "Too many requests. Please try again later."

    def __init__(self, *, retry_after_seconds: int = 1, **params: Any) -> None:
        super().__init__(**params)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(DomainError):
    """Something the command needs does not answer now (503)."""

    status = 503
    code = "unavailable"
    message = "The service is not available for the moment. Please try again later."
