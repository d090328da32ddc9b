"""What risk control refuses."""

from __future__ import annotations

from server.kernel.db import register_constraint
from server.kernel.errors import ConflictError, InvalidError, NotFoundError
from server.kernel.text import N_


class RiskHeldError(ConflictError):
    """The member, or the device or address they use, is held. It says neither why nor by what: whoever farms would learn from it."""

    code = "risk_held"
    message = N_("This cannot be done at present. Please contact customer service.")


class EntryExistsError(ConflictError):
    """The block list has this already, for this scope."""

    code = "risk_entry_exists"
    message = N_("The block list holds this already.")


class EntryNotFoundError(NotFoundError):
    """There is no such entry."""

    code = "risk_entry_not_found"
    message = N_("There is no such entry in the block list.")


class EntryEndedError(ConflictError):
    """The entry was taken off the list before."""

    code = "risk_entry_ended"
    message = N_("This entry was taken off the list already.")


class RefusalNotFoundError(NotFoundError):
    """There is no such refusal."""

    code = "risk_refusal_not_found"
    message = N_("There is no such refusal.")


class RefusalReleasedError(ConflictError):
    """It was released before."""

    code = "risk_refusal_released"
    message = N_("This refusal was released already.")


class NothingHeldError(ConflictError):
    """Nothing holds the member there."""

    code = "risk_nothing_held"
    message = N_("Nothing holds this member there.")


class ReasonRequiredError(InvalidError):
    """A decision needs a reason."""

    code = "reason_required"
    message = N_("Please give a reason.")


register_constraint("uq_risk_entries_live_slot", EntryExistsError)
