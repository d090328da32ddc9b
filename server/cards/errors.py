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


class CardNoTakenError(ConflictError):
    """The card number belongs to somebody."""

    code = "card_no_taken"
    message = "This card number is taken."
