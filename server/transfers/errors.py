"""What transfers refuse."""

from __future__ import annotations

from server.kernel.errors import ConflictError, NotFoundError


class TransferNotFoundError(NotFoundError):
    """There is no such job."""

    code = "transfer_not_found"
    message = "There is no such import or export."


class TransferEndedError(ConflictError):
    """The job has ended."""

    code = "transfer_ended"
    message = "This import or export has ended."
