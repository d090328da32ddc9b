"""Refusals of the staff domain."""

from __future__ import annotations

from server.kernel.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, UnauthenticatedError


class LoginRefusedError(UnauthenticatedError):
    """Wrong e-mail, password or code, a locked or a disabled account: always the same words, so that nothing can be learnt."""

    code = "login_refused"
    message = "The e-mail, password or code is wrong, or the account is locked for the moment."


class StaffNotFoundError(NotFoundError):
    """There is no such account."""

    code = "staff_not_found"
    message = "There is no such staff account."


class SessionNotFoundError(NotFoundError):
    """The account has no such session."""

    code = "staff_session_not_found"
    message = "There is no such session."


class EmailTakenError(ConflictError):
    """Another account has this e-mail address."""

    code = "staff_email_taken"
    message = "Another account already has this e-mail address."


class DutiesConflictError(InvalidError):
    """One person would hold two of the duties that must stay apart."""

    code = "duties_conflict"
    message = "System administration, security and audit must be held by different people."


class OwnAccountError(ForbiddenError):
    """Nobody changes their own roles or switches their own account off."""

    code = "own_account"
    message = "You cannot do this to your own account; ask a colleague."


class WeakPasswordError(InvalidError):
    """The password is short or easily guessed."""

    code = "weak_password"
    message = "The password needs at least 10 characters and must not be easy to guess."


class UnknownRoleError(InvalidError):
    """A role that does not exist, or none at all."""

    code = "unknown_role"
    message = "Please choose at least one of the roles."


class ReasonMissingError(InvalidError):
    """A change of an account needs a reason."""

    code = "reason_missing"
    message = "Please give a reason; it is kept in the audit trail."


class SecondFactorMissingError(ConflictError):
    """There is no second factor to confirm or to check."""

    code = "second_factor_missing"
    message = "The second factor has not been set up yet."


class ApprovalNotFoundError(NotFoundError):
    """There is no such request."""

    code = "approval_not_found"
    message = "There is no such request for approval."


class ApprovalClosedError(ConflictError):
    """The request was decided, withdrawn or left to expire before."""

    code = "approval_closed"
    message = "This request is no longer open."


class OwnRequestError(ForbiddenError):
    """Nobody decides what they asked for themselves."""

    code = "own_request"
    message = "You asked for this yourself; a second person must decide."


class NotOwnRequestError(ForbiddenError):
    """Only who asked takes a request back."""

    code = "not_own_request"
    message = "Only who asked for this can withdraw it."
