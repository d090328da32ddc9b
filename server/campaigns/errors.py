"""What this domain refuses."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class PolicyInvalidError(InvalidError):
    """The birthday gift is not described correctly."""

    code = "birthday_policy_invalid"
    message = "The birthday gift is not described correctly."


class PolicyChangedError(ConflictError):
    """Somebody else set the birthday gift since it was read."""

    code = "birthday_policy_changed"
    message = "Somebody else has changed the birthday gift in the meantime. Please look at it again."


class FestivalUnknownError(NotFoundError):
    """There is no such festival."""

    code = "festival_not_found"
    message = "There is no such festival."


class FestivalInvalidError(InvalidError):
    """The festival is not described correctly."""

    code = "festival_invalid"
    message = "The festival is not described correctly."


class FestivalTakenError(ConflictError):
    """Another festival has this code."""

    code = "festival_taken"
    message = "Another festival has this code."


class FestivalChangedError(ConflictError):
    """Somebody else set the festival since it was read."""

    code = "festival_changed"
    message = "Somebody else has changed this festival in the meantime. Please look at it again."


class FestivalNotRunningError(ConflictError):
    """Only a celebration that is under way can be stopped."""

    code = "festival_not_running"
    message = "This celebration is not under way."
