"""What content checks refuse."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class ContentRefusedError(InvalidError):
    """WeChat's content check holds the text for unlawful or abusive."""

    code = "content_refused"
    message = "This text cannot be sent. Please put it in other words."


class CheckNotFoundError(NotFoundError):
    """There is no such content check."""

    code = "content_check_not_found"
    message = "There is no such content check."


class CheckDecidedError(ConflictError):
    """Somebody decided it first."""

    code = "content_check_decided"
    message = "This content was decided on already. Please look at it again."


class CheckReasonMissingError(InvalidError):
    """A refusal without a reason."""

    code = "content_reason_missing"
    message = "Please say why, in words the member may read."
