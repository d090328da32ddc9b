"""Why the tiers domain refuses a command."""

from __future__ import annotations

from server.kernel.errors import InvalidError, NotFoundError


class TierNotFoundError(NotFoundError):
    """There is no such tier."""

    code = "tier_not_found"
    message = "This tier does not exist."


class TierInvalidError(InvalidError):
    """A tier's values do not make sense."""

    code = "tier_invalid"
    message = "The tier is not valid."


class TierReasonRequiredError(InvalidError):
    """A tier was to be assigned without a reason."""

    code = "tier_reason_required"
    message = "Please give a reason for the change of tier."
