"""What this domain refuses."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class TriggerInvalidError(InvalidError):
    """A rule from which nothing could be given."""

    code = "coupon_trigger_invalid"
    message = "Please check the rule."


class TriggerChangedError(ConflictError):
    """Somebody else wrote a version of the rule since it was read."""

    code = "coupon_trigger_changed"
    message = "Somebody else has changed this rule in the meantime. Please look at it again."


class TriggerNotFoundError(NotFoundError):
    """There is no such rule."""

    code = "coupon_trigger_not_found"
    message = "There is no such rule."
