"""What transfers refuse."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError
from server.kernel.text import N_


class TransferNotFoundError(NotFoundError):
    """There is no such job."""

    code = "transfer_not_found"
    message = "There is no such import or export."


class TransferEndedError(ConflictError):
    """The job has ended."""

    code = "transfer_ended"
    message = "This import or export has ended."


_SHEET_REASONS = {
    "columns_missing": N_("The file %(name)s lacks these columns: %(place)s."),
    "formula": N_("The file %(name)s has a formula in %(place)s. Please save it with values only."),
    "header_empty": N_("The file %(name)s must have a heading over each column, in its first row."),
    "header_repeats": N_("The file %(name)s names columns twice: %(place)s."),
    "merged_cells": N_("The file %(name)s has merged cells at %(place)s. Please divide them."),
    "no_such_sheet": N_("The file %(name)s has no such sheet. It has: %(place)s."),
    "not_a_table": N_("The file %(name)s is damaged, or no table."),
    "not_utf8": N_("The file %(name)s is not UTF-8 in line %(place)s. Please save it as CSV UTF-8, or as XLSX."),
    "too_large": N_("The file %(name)s is larger than %(place)s."),
    "too_many_rows": N_("The file %(name)s has more than %(place)s rows."),
    "unknown_ending": N_("The file %(name)s is of no kind that can be read: %(place)s."),
    "which_sheet": N_("The file %(name)s has several sheets: %(place)s. Please leave one."),
}


class SheetRefusedError(InvalidError):
    """A file is no plain table; ``reason`` is a stable code, ``place`` says where or which."""

    code = "sheet_refused"
    message = "The file %(name)s cannot be taken in: %(reason)s (%(place)s)."

    def __init__(self, *, name: str, reason: str, place: str) -> None:
        super().__init__(name=name, reason=reason, place=place)
        # Each reason has a sentence of its own: whoever brings a file reads what to do about it, and no code.
        vars(self)["message"] = _SHEET_REASONS.get(reason, self.message)
