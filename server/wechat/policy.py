"""What each of WeChat's error codes means, what the product does about it, and what staff should do. One table for all.

The adapter turns codes into errors by it, sending pauses by it, alarms are raised by it, and the console shows it. Codes are those
of WeChat's documentation of its server interfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.kernel.text import N_


class Kind(StrEnum):
    """What sort of failure it is."""

    TOKEN = "token"  # noqa: S105 - a kind of failure
    CONNECTION = "connection"
    GRANT = "grant"
    QUOTA = "quota"
    BUSY = "busy"
    ORDINARY = "ordinary"
    REQUEST = "request"


class Again(StrEnum):
    """Whether the call is made again."""

    FRESH_TOKEN = "fresh_token"  # noqa: S105 - once, with a fresh token
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Policy:
    """How one code is treated.

    Arguments:
        code: WeChat's number, or a word of ours when there was no answer.
        kind: what sort of failure it is.
        again: whether the call is made again.
        alert: whether staff must act: an alarm is raised and the channel pauses.
        meaning: English msgid, one sentence.
        remedy: English msgid, what staff can do.
    """

    code: str
    kind: Kind
    again: Again
    alert: bool
    meaning: str
    remedy: str

    @property
    def noted(self) -> bool:
        """Tell whether it is kept for staff: what belongs to an ordinary day is not."""
        return self.kind is not Kind.ORDINARY


_NOTHING = N_("Nothing to do: this happens on an ordinary day.")
_WAIT = N_("Nothing to do: it is tried again. If it lasts, look at the network and at WeChat's own notices.")
_DEVELOPER = N_("Pass the request number on to a developer: the request itself is wrong.")
_CREDENTIALS = N_("Compare app id and secret with the WeChat console under development settings. Was the secret reset there?")

_TABLE: tuple[Policy, ...] = (
    Policy(
        "40001",
        Kind.TOKEN,
        Again.FRESH_TOKEN,
        alert=True,
        meaning=N_("WeChat does not accept the access token, not even a fresh one."),
        remedy=N_("Does another system fetch tokens for this app without the stable mode? Was the secret reset in the WeChat console?"),
    ),
    Policy(
        "40014",
        Kind.TOKEN,
        Again.FRESH_TOKEN,
        alert=True,
        meaning=N_("The access token is malformed."),
        remedy=N_("Check that no proxy between here and WeChat changes addresses."),
    ),
    Policy(
        "42001",
        Kind.TOKEN,
        Again.FRESH_TOKEN,
        alert=True,
        meaning=N_("The access token expired, and so did a fresh one."),
        remedy=N_("Check the clock of the servers."),
    ),
    Policy(
        "40013", Kind.CONNECTION, Again.LATER, alert=True, meaning=N_("WeChat does not know this app id."), remedy=_CREDENTIALS,
    ),
    Policy("40125", Kind.CONNECTION, Again.LATER, alert=True, meaning=N_("The app secret is wrong."), remedy=_CREDENTIALS),
    Policy("41002", Kind.CONNECTION, Again.LATER, alert=True, meaning=N_("The app id is missing."), remedy=_CREDENTIALS),
    Policy("41004", Kind.CONNECTION, Again.LATER, alert=True, meaning=N_("The app secret is missing."), remedy=_CREDENTIALS),
    Policy(
        "40164",
        Kind.CONNECTION,
        Again.LATER,
        alert=True,
        meaning=N_("The address of this server is not on the app's whitelist."),
        remedy=N_("Add the servers' outgoing addresses in the WeChat console under development settings, IP whitelist."),
    ),
    Policy(
        "50002",
        Kind.CONNECTION,
        Again.LATER,
        alert=True,
        meaning=N_("The app is restricted by WeChat."),
        remedy=N_("Read the notices in the WeChat console; the app may have broken a rule."),
    ),
    Policy(
        "48001",
        Kind.GRANT,
        Again.LATER,
        alert=True,
        meaning=N_("The app has no right to this interface."),
        remedy=N_("Apply for the interface in the WeChat console; for phone numbers and locations also declare it in the privacy guide."),
    ),
    Policy(
        "48004",
        Kind.GRANT,
        Again.LATER,
        alert=True,
        meaning=N_("The app was banned from this interface."),
        remedy=N_("Read the notices in the WeChat console and appeal there."),
    ),
    Policy(
        "45009",
        Kind.QUOTA,
        Again.LATER,
        alert=True,
        meaning=N_("The quota of this interface is used up for today."),
        remedy=N_("It is full again at midnight. In need, clear the quotas on this page: ten times a month."),
    ),
    Policy(
        "45011",
        Kind.QUOTA,
        Again.LATER,
        alert=False,
        meaning=N_("Too many calls within a minute."),
        remedy=N_("Nothing to do: it is tried again later. If it lasts, send in smaller campaigns."),
    ),
    Policy(
        "48006",
        Kind.REQUEST,
        Again.NEVER,
        alert=False,
        meaning=N_("The quotas were cleared ten times this month."),
        remedy=N_("Wait for midnight or for the next month."),
    ),
    Policy("-1", Kind.BUSY, Again.LATER, alert=False, meaning=N_("WeChat is busy."), remedy=_WAIT),
    Policy(
        "40029", Kind.ORDINARY, Again.NEVER, alert=False, meaning=N_("The code is unknown or too old."), remedy=_NOTHING,
    ),
    Policy("40163", Kind.ORDINARY, Again.NEVER, alert=False, meaning=N_("The code was used before."), remedy=_NOTHING),
    Policy(
        "40226",
        Kind.ORDINARY,
        Again.NEVER,
        alert=False,
        meaning=N_("WeChat holds this person for high-risk and does not let them log in."),
        remedy=N_("Tell the person to ask WeChat."),
    ),
    Policy(
        "43101",
        Kind.ORDINARY,
        Again.NEVER,
        alert=False,
        meaning=N_("The person refused the message or has no allowance left."),
        remedy=_NOTHING,
    ),
    Policy("87009", Kind.ORDINARY, Again.NEVER, alert=False, meaning=N_("The session key is no longer valid."), remedy=_NOTHING),
    Policy("87014", Kind.ORDINARY, Again.NEVER, alert=False, meaning=N_("The content is risky."), remedy=_NOTHING),
    Policy(
        "61010",
        Kind.ORDINARY,
        Again.NEVER,
        alert=False,
        meaning=N_("The person was not active within the last hours."),
        remedy=_NOTHING,
    ),
    Policy(
        "40003",
        Kind.REQUEST,
        Again.NEVER,
        alert=False,
        meaning=N_("The openid is not one of this app's."),
        remedy=N_("Was the app id changed? Members must log in once with the new app."),
    ),
    Policy(
        "40037",
        Kind.REQUEST,
        Again.NEVER,
        alert=False,
        meaning=N_("The template is not in the account."),
        remedy=N_("Open the template check and choose a template that the account has."),
    ),
    Policy(
        "47003",
        Kind.REQUEST,
        Again.NEVER,
        alert=False,
        meaning=N_("A field of the message does not fit the template."),
        remedy=N_("Open the template check; the fields may have been chosen wrongly."),
    ),
    Policy(
        "41030",
        Kind.REQUEST,
        Again.NEVER,
        alert=False,
        meaning=N_("The page is not in the published mini-program."),
        remedy=N_("Publish the release of the mini-program that has the page."),
    ),
    Policy("40097", Kind.REQUEST, Again.NEVER, alert=False, meaning=N_("An argument is wrong."), remedy=_DEVELOPER),
    Policy("40129", Kind.REQUEST, Again.NEVER, alert=False, meaning=N_("The scene of a code is wrong."), remedy=_DEVELOPER),
    Policy("47001", Kind.REQUEST, Again.NEVER, alert=False, meaning=N_("WeChat cannot read the request."), remedy=_DEVELOPER),
    Policy(
        "76001",
        Kind.REQUEST,
        Again.NEVER,
        alert=False,
        meaning=N_("The request number is unknown or belongs to another app."),
        remedy=N_("Copy it from the failure; WeChat keeps it for seven days."),
    ),
    Policy("timeout", Kind.BUSY, Again.LATER, alert=False, meaning=N_("WeChat did not answer in time."), remedy=_WAIT),
    Policy("connect", Kind.BUSY, Again.LATER, alert=False, meaning=N_("WeChat could not be reached."), remedy=_WAIT),
    Policy("broken_off", Kind.BUSY, Again.LATER, alert=False, meaning=N_("The connection broke off."), remedy=_WAIT),
    Policy("unreadable", Kind.BUSY, Again.LATER, alert=False, meaning=N_("The answer was not WeChat's."), remedy=_WAIT),
    Policy(
        "http",
        Kind.BUSY,
        Again.LATER,
        alert=False,
        meaning=N_("A machine on the way, or WeChat's own, answered with an HTTP error."),
        remedy=_WAIT,
    ),
)  # fmt: skip

POLICIES: dict[str, Policy] = {policy.code: policy for policy in _TABLE}


def policy_of(code: str | int) -> Policy:
    """Return how a code is treated; one that nobody has met before is for a developer.

    Arguments:
        code: WeChat's number, or our word (``timeout``, ``http_502``…).
    """
    code = str(code)
    known = POLICIES.get("http" if code.startswith("http_") else code)
    if known is not None:
        return known
    return Policy(code, Kind.REQUEST, Again.NEVER, alert=False, meaning=N_("A code that is not in the table."), remedy=_DEVELOPER)
