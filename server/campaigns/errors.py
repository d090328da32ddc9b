"""What this domain refuses."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError


class PolicyInvalidError(InvalidError):
    """The birthday gift is not described correctly."""

    code = "birthday_policy_invalid"
    message = "The birthday gift is not described correctly."


class PolicyChangedError(ConflictError):
    """Somebody else set the birthday gift since it was read."""

    code = "birthday_policy_changed"
    message = "Somebody else has changed the birthday gift in the meantime. Please look at it again."
