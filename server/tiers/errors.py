"""Why the tiers domain refuses a command."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


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


class GrowthRuleInvalidError(InvalidError):
    """A growth rule's values do not make sense."""

    code = "growth_rule_invalid"
    message = "The growth rule is not valid."


class GrowthDraftMissingError(NotFoundError):
    """There is no draft of the growth rule."""

    code = "growth_draft_missing"
    message = "There is no draft of the growth rule."


class GrowthDraftChangedError(ConflictError):
    """Somebody else changed or published the draft meanwhile."""

    code = "growth_draft_changed"
    message = "Somebody else changed the draft of the growth rule. Please look at it again."


class TierLockInvalidError(InvalidError):
    """A tier was to be locked until a day that is over, or too far away."""

    code = "tier_lock_invalid"
    message = "A tier can be locked until a day from today on, at most five years ahead."


class TierNotLockedError(ConflictError):
    """The tier to be unlocked is not locked."""

    code = "tier_not_locked"
    message = "This member's tier is not locked."
