"""What this domain refuses."""

from __future__ import annotations

from server.kernel.errors import InvalidError


class PolicyInvalidError(InvalidError):
    """The birthday gift is not described correctly."""

    code = "birthday_policy_invalid"
    message = "The birthday gift is not described correctly."
