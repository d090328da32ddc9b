"""What this domain refuses."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class SegmentInvalidError(InvalidError):
    """A rule that nobody could be chosen by."""

    code = "segment_invalid"
    message = "Please check the segment."


class SegmentChangedError(ConflictError):
    """Somebody else wrote a version of the segment since it was read."""

    code = "segment_changed"
    message = "Somebody else has changed this segment in the meantime. Please look at it again."


class SegmentNotFoundError(NotFoundError):
    """There is no such segment."""

    code = "segment_not_found"
    message = "There is no such segment."
