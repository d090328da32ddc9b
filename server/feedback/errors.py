"""Why a ticket's command is refused."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class TicketNotFoundError(NotFoundError):
    """No such ticket, or it is somebody else's."""

    code = "ticket_not_found"
    message = "The ticket was not found."


class TicketChangedError(ConflictError):
    """Somebody else changed the ticket since it was read."""

    code = "ticket_changed"
    message = "Somebody else changed this ticket meanwhile. Please look at it again before you answer."


class TransitionRefusedError(ConflictError):
    """The present state does not allow the step."""

    code = "ticket_state_refuses"
    message = "A ticket in this state (%(state)s) does not allow this step."


class TicketClosedError(ConflictError):
    """The ticket is closed; it has to be reopened first."""

    code = "ticket_closed"
    message = "This ticket is closed. Please reopen it first."


class ReopenWindowOverError(ConflictError):
    """Too long since the closing."""

    code = "reopen_window_over"
    message = "This ticket was closed too long ago. Please open a new one."


class AlreadyRatedError(ConflictError):
    """One rating for each closing."""

    code = "already_rated"
    message = "You have rated this answer already."


class NotRateableError(ConflictError):
    """Nothing was answered yet."""

    code = "not_rateable"
    message = "You can rate the service once the ticket is answered."


class TicketInvalidError(InvalidError):
    """Something of the ticket can never be accepted as it stands."""

    code = "invalid"
    message = "Some values are not valid."


class CannedReplyNotFoundError(NotFoundError):
    """No such canned reply."""

    code = "canned_reply_not_found"
    message = "The canned reply was not found."


class CannedReplyTitleTakenError(ConflictError):
    """Another canned reply has this title."""

    code = "canned_reply_title_taken"
    message = "Another canned reply has this title."
