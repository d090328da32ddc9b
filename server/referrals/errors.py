"""What referrals refuse."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class ReferralNotFoundError(NotFoundError):
    """There is no such referral."""

    code = "referral_not_found"
    message = "There is no such referral."


class ReferralDecidedError(ConflictError):
    """It does not wait for a decision."""

    code = "referral_decided"
    message = "This referral does not wait for a decision."


class ReasonMissingError(InvalidError):
    """A decision needs a reason."""

    code = "reason_required"
    message = "Please give a reason."
