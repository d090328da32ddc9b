"""Decisions about sending, as pure functions: what a failure means, how long to wait, when it is quiet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

MOST_BUSY_CALLS = 3
MOST_CALLS = 12
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=1)
LEASE = timedelta(minutes=10)

# Offers at most so often, whatever campaigns are running.
CAP_MESSAGES = 3
CAP_WINDOW = timedelta(days=7)

# After a long standstill old news goes to the inbox alone: "your parcel left" a week late only confuses.
STALE_AFTER = timedelta(days=3)

REFUSED_OR_EMPTY = 43101

DEFAULT_QUIET = (time(22, 0), time(8, 0))


class State(StrEnum):
    """What became of the push of a message."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    SKIPPED = "skipped"


class GrantEnd(StrEnum):
    """What becomes of the reserved allowance."""

    SPEND = "spend"
    RELEASE = "release"
    EMPTY = "empty"
    HOLD = "hold"


class Decision(StrEnum):
    """What a person says of a message whose outcome is unknown."""

    SENT = "sent"
    GIVEN_UP = "given_up"
    SEND_AGAIN = "send_again"


class Channel(StrEnum):
    """Where a message can appear."""

    SUBSCRIBE = "subscribe"
    INBOX = "inbox"
    OFFICIAL_ACCOUNT = "official_account"
    SMS = "sms"
    EMAIL = "email"


# Every channel that a message is sent over; the inbox has it anyway.
SENT_OVER = (Channel.SUBSCRIBE, Channel.OFFICIAL_ACCOUNT, Channel.SMS, Channel.EMAIL)
# Whatever else is tried, these reasons hold for every channel.
ENDS_ALL = frozenset({"member_gone", "contact_cap", "stale"})
# For these the phone's or address's owner must have agreed to offers: a law's demand, and nobody's app stands between.
NEEDS_CONSENT = frozenset({Channel.SMS, Channel.EMAIL})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    Arguments:
        kind: ``sent``, ``refused``, ``not_done``, ``misconfigured`` or ``unknown``.
        reason: a short word for lists and metrics.
        errcode: WeChat's, of a refusal.
        msg_id: WeChat's, of a message sent.
        milliseconds: how long it took.
    """

    kind: str
    reason: str = ""
    errcode: int | None = None
    msg_id: str | None = None
    milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """What is connected: the channels and providers through which anything can be sent at all.

    Arguments:
        official_account: the account's appid, or None.
        sms: names of the providers of text messages in the order in which they are tried.
        email: whether there is a mail server.
    """

    official_account: str | None = None
    sms: tuple[str, ...] = ()
    email: str | None = None


NO_LINES = Lines()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an outcome."""

    state: State
    grant: GrantEnd
    reason: str | None = None
    retry_after: timedelta | None = None


def judge(outcome: Outcome, attempts: int) -> Verdict:
    """Return what follows from the outcome of the n-th call.

    A documented refusal frees the allowance, a refusal by the member empties the ledger, an unknown outcome holds it: the
    message may have arrived (docs/decisions: sending once).
    """
    if outcome.kind == "sent":
        return Verdict(State.SENT, GrantEnd.SPEND)
    if outcome.kind == "refused":
        if outcome.errcode == REFUSED_OR_EMPTY:
            return Verdict(State.FAILED, GrantEnd.EMPTY, "refused_or_no_grant")
        return Verdict(State.FAILED, GrantEnd.RELEASE, f"rejected_{outcome.errcode}")
    if outcome.kind in {"not_done", "misconfigured"}:
        most = MOST_BUSY_CALLS if outcome.reason == "busy" else MOST_CALLS
        if attempts >= most:
            return Verdict(State.FAILED, GrantEnd.RELEASE, outcome.reason)
        return Verdict(State.QUEUED, GrantEnd.RELEASE, outcome.reason, pause_after(attempts))
    return Verdict(State.UNCERTAIN, GrantEnd.HOLD, outcome.reason)


def judge_channel(outcome: Outcome, tries: int) -> Verdict:
    """Return what follows from the n-th call on a channel without allowances.

    Trouble of ours, or of the provider's before the call, is tried again with growing pauses; a refusal ends the channel; an unknown
    outcome ends the whole message, since the member may have it.
    """
    if outcome.kind == "sent":
        return Verdict(State.SENT, GrantEnd.HOLD)
    if outcome.kind == "refused":
        return Verdict(State.FAILED, GrantEnd.HOLD, outcome.reason)
    if outcome.kind in {"not_done", "misconfigured"}:
        most = MOST_BUSY_CALLS if outcome.kind == "misconfigured" or outcome.reason in {"busy", "too_often"} else MOST_CALLS
        if tries >= most:
            return Verdict(State.FAILED, GrantEnd.HOLD, outcome.reason)
        return Verdict(State.QUEUED, GrantEnd.HOLD, outcome.reason, pause_after(tries))
    return Verdict(State.UNCERTAIN, GrantEnd.HOLD, outcome.reason)


def next_provider(outcome: Outcome) -> bool:
    """Tell whether another provider of the same channel may be asked after one has answered so.

    Only what certainly was not done, and not for the person's own sake: somebody who gets too many messages from one provider is not
    to get them from another.
    """
    return outcome.kind in {"not_done", "misconfigured"} and outcome.reason != "too_often"


def next_channel(route: tuple[Channel, ...], tried: frozenset[Channel], usable: frozenset[Channel]) -> Channel | None:
    """Return the channel to try after those that were tried, or None when there is no more.

    Arguments:
        route: the message's order of channels.
        tried: ended without success, the present one among them.
        usable: connected, and with a template where one is needed.
    """
    return next((channel for channel in route if channel not in tried and channel in usable), None)


def decided(decision: Decision) -> Verdict:
    """Return what follows from a person's decision on an unknown outcome."""
    if decision is Decision.SEND_AGAIN:
        # It did not arrive, so its allowance was not used; if it was after all, WeChat refuses the second call (43101).
        return Verdict(State.QUEUED, GrantEnd.RELEASE, "sent_again")
    if decision is Decision.SENT:
        return Verdict(State.SENT, GrantEnd.SPEND, "decided_sent")
    # It may still have arrived: counting the allowance as spent never promises one that is not there.
    return Verdict(State.FAILED, GrantEnd.SPEND, "given_up")


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after the n-th call: doubling from half a minute, at most an hour."""
    return min(_FIRST_PAUSE * (1 << min(max(attempts, 1) - 1, 12)), _LONGEST_PAUSE)


def quiet_until(now: datetime, quiet: tuple[time, time] | None, zone: ZoneInfo) -> datetime | None:
    """Return when the quiet hours that hold now end, or None when it is not quiet.

    Arguments:
        now: present instant.
        quiet: from and until on the shop's clock; equal times mean never.
        zone: the shop's.
    """
    if quiet is None or quiet[0] == quiet[1]:
        return None
    begin, end = quiet
    local = now.astimezone(zone)
    clock = local.time().replace(tzinfo=None)
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not inside:
        return None
    until = datetime.combine(local.date(), end, zone)
    return until if until > local else until + timedelta(days=1)
