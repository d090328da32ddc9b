"""What cards may be refused."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError


class MemberCodeExpiredError(ConflictError):
    """The dynamic code is not valid any more; the subclasses say why, under one code."""

    code = "member_code_expired"
    message = "This member code is no longer valid. Please ask for a fresh one."


class MemberCodeUsedError(MemberCodeExpiredError):
    """It was redeemed before: a screenshot, or a second scan."""

    message = "This member code was already used. Please ask for a fresh one."


class MemberCodeOldError(MemberCodeExpiredError):
    """Its sixty seconds are over."""

    message = "This member code is older than 60 seconds. Please ask for a fresh one."


class MemberCodeUnknownError(MemberCodeExpiredError):
    """It was never given, or so long ago that it is forgotten."""

    message = "This member code is unknown. Please ask for a fresh one."


class MemberCodeMalformedError(InvalidError):
    """What was scanned is not a member code at all."""

    code = "member_code_malformed"
    message = "This is not a member code."


class LegacyNumberInvalidError(InvalidError):
    """A number of an older system cannot be one: empty, too long, or with characters no till can scan."""

    code = "legacy_number_invalid"
    message = "This is not a card number of an older system."


class LegacyNumberReservedError(InvalidError):
    """A number of an older system has the form of our own cards or codes: it may be, or become, somebody else's."""

    code = "legacy_number_reserved"
    message = "This number has the form of our own cards, so it may be somebody else's."


class AliasReasonMissingError(InvalidError):
    """A number added by hand needs a reason."""

    code = "reason_required"
    message = "Please give a reason."


class CardNoTakenError(ConflictError):
    """The card number belongs to somebody."""

    code = "card_no_taken"
    message = "This card number is taken."
