"""What members may be refused."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError, TooManyError, UnauthenticatedError


class MemberNotFoundError(NotFoundError):
    """There is no such member."""

    code = "member_not_found"
    message = "There is no such member."


class RefreshTokenInvalidError(UnauthenticatedError):
    """The refresh token is unknown, expired, revoked or was used before."""

    code = "refresh_token_invalid"
    message = "Your log-in has ended. Please log in again."


class UnknownAppError(InvalidError):
    """The WeChat app is not one of this brand's."""

    code = "unknown_app"
    message = "This WeChat app is not set up here."


class PhoneInvalidError(InvalidError):
    """The phone number cannot exist."""

    code = "phone_invalid"
    message = "This phone number is not valid."


class PhoneTakenError(ConflictError):
    """Another member holds the phone number."""

    code = "phone_taken"
    message = "This phone number belongs to another member."


class IdentityTakenError(ConflictError):
    """Another member holds the channel identity."""

    code = "identity_taken"
    message = "This identity belongs to another member."


class BirthdayInvalidError(InvalidError):
    """The birthday is no day of its calendar."""

    code = "birthday_invalid"
    message = "This birthday does not exist in the chosen calendar."


class ChangePendingError(ConflictError):
    """An earlier request for the same change has not been decided."""

    code = "change_pending"
    message = "An earlier request for this change is still being looked at."


class ChangeDecidedError(ConflictError):
    """The change request was decided already."""

    code = "change_decided"
    message = "This request has already been decided."


class StatusRefusedError(ConflictError):
    """The membership's present status does not allow the step."""

    code = "member_status_refused"
    message = "The membership is %(status)s, which does not allow this step."


class ReasonRequiredError(InvalidError):
    """An act of staff needs a reason."""

    code = "reason_required"
    message = "Please give a reason."


class MergeNeedsStaffError(ConflictError):
    """Both records log in through WeChat, so a person has to decide which one stays."""

    code = "merge_needs_staff"
    message = "This phone number belongs to another WeChat user. Please contact customer service to join the two memberships."


class MergeRefusedError(ConflictError):
    """The two records cannot be joined as they stand."""

    code = "merge_refused"
    message = "These two members cannot be merged."


class NoDeletionError(NotFoundError):
    """The member has not asked to be deleted, or it is too late to take it back."""

    code = "no_deletion"
    message = "No deletion of this membership is waiting."


class EmailInvalidError(InvalidError):
    """This is no e-mail address that mail can be sent to."""

    code = "email_invalid"
    message = "This is not an e-mail address."


class EmailCodeInvalidError(InvalidError):
    """The code is not the one that was sent, is too old, or was tried too often."""

    code = "email_code_invalid"
    message = "This code is not valid. Please ask for a new one."


class EmailCodesTooManyError(TooManyError):
    """Enough codes were sent to this member's addresses within the hour."""

    code = "email_codes_too_many"
    message = "Too many codes were sent. Please try again in an hour."


class EmailOffError(ConflictError):
    """The brand sends no e-mail."""

    code = "email_off"
    message = "E-mail is not offered."
