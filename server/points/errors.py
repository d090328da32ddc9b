"""Why the points domain refuses a command."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class InsufficientPointsError(ConflictError):
    """The member has fewer available points than wanted.

    Arguments:
        available: points the member has.
    """

    code = "insufficient_points"
    message = "There are not enough points available."


class SourceConflictError(ConflictError):
    """The source made an entry of other content before."""

    code = "source_conflict"
    message = "This source was already used for something else."


class AlreadyCheckedInError(ConflictError):
    """The member checked in on this business day before."""

    code = "already_checked_in"
    message = "You have already checked in today."


class CheckInClosedError(ConflictError):
    """No check-in rule is active."""

    code = "check_in_closed"
    message = "Check-in is not open at present."


class NothingToReverseError(ConflictError):
    """More is to be taken back than is left of the entry.

    Arguments:
        remaining: points of the entry that were not taken back yet.
    """

    code = "reversal_exceeds_entry"
    message = "Only %(remaining)s points of this entry can still be taken back."


class NotReversibleError(ConflictError):
    """The entry is of a kind that this command cannot take back."""

    code = "entry_not_reversible"
    message = "This entry cannot be taken back this way."


class ReservationClosedError(ConflictError):
    """The reservation was redeemed or released before."""

    code = "reservation_closed"
    message = "This reservation is no longer open."


class EntryNotFoundError(NotFoundError):
    """There is no such entry."""

    code = "points_entry_not_found"
    message = "This points entry does not exist."


class RuleNotFoundError(NotFoundError):
    """There is no such rule."""

    code = "points_rule_not_found"
    message = "This points rule does not exist."


class RuleInvalidError(InvalidError):
    """A rule's document does not make sense."""

    code = "points_rule_invalid"
    message = "The points rule is not valid."


class DraftMissingError(NotFoundError):
    """There is no draft of this rule."""

    code = "points_draft_not_found"
    message = "There is no draft of this points rule."


class DraftChangedError(ConflictError):
    """Somebody else changed or published the draft meanwhile."""

    code = "points_draft_changed"
    message = "Somebody else changed the draft of this rule. Please look at it again."


class NothingToTryError(ConflictError):
    """A dry run was asked for without any draft."""

    code = "points_dry_run_empty"
    message = "There is no draft to try out. Save a rule as a draft first."


class DryRunUnderWayError(ConflictError):
    """Another dry run is still running."""

    code = "points_dry_run_under_way"
    message = "Another dry run is still running. Please wait until it ends."


class MonthOrderError(ConflictError):
    """A month cannot be closed now.

    Arguments:
        month: which one, ``2026-05``.
    """

    code = "points_month_order"
    message = "The month %(month)s cannot be closed now: months are closed once and in order."


class OpeningNotFoundError(NotFoundError):
    """There is no such file of opening balances."""

    code = "points_opening_not_found"
    message = "There is no such file of opening balances."


class OpeningEmptyError(ConflictError):
    """Nothing in the file can be taken in."""

    code = "points_opening_empty"
    message = "Nothing in this file can be taken in."


class OpeningChangedError(ConflictError):
    """The rows are no longer those that were asked about."""

    code = "points_opening_changed"
    message = "The rows of this file are no longer those that were asked about."


class ReasonRequiredError(InvalidError):
    """A change came without a reason."""

    code = "reason_required"
    message = "Please give a reason."


class ControlsChangedError(ConflictError):
    """The limit that was to be raised is another one by now."""

    code = "controls_changed"
    message = "The limit was changed since this was asked for. Please ask again."
