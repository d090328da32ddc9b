"""Pure rules of content checks: what is checked, how a check may go on, and when WeChat is asked again.

The rule for a WeChat that does not answer: what was submitted is taken in and held back; WeChat is asked again 5, 20 and 60 minutes
later, and then a person decides. A picture that WeChat took in but tells nothing about within half an hour is asked about once more,
and half an hour later a person decides. Asking twice is harmless: either answer tells the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

MAX_CHARS = 2000
# WeChat judges a text only while its writer was active within two hours, which the last of these stays within.
ASK_AGAIN_AFTER = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=40))
ANSWER_WITHIN = timedelta(minutes=30)
MOST_ASKS = 2
# Longer than a call takes at its slowest; who died meanwhile is followed by another.
LEASE = timedelta(minutes=2)
# How long the address of a picture holds that WeChat is given.
PICTURE_SECONDS = 3600


class Subject(StrEnum):
    """What a check is about; its id is the member's for a nickname, the upload's for a picture, else the row's."""

    NICKNAME = "nickname"
    AVATAR = "avatar"
    TICKET_MESSAGE = "ticket_message"
    TICKET_RATING = "ticket_rating"
    TICKET_IMAGE = "ticket_image"


IMAGES = frozenset({Subject.AVATAR, Subject.TICKET_IMAGE})


class State(StrEnum):
    """How a check stands: WeChat is to answer, a person is to decide, or one of its ends.

    ``blocked`` is WeChat's own refusal of a picture, which a person may still overturn; ``dropped`` is what was replaced or forgotten.
    """

    WAITING = "waiting"
    HELD = "held"
    BLOCKED = "blocked"
    PASSED = "passed"
    ALLOWED = "allowed"
    REFUSED = "refused"
    DROPPED = "dropped"


OPEN = frozenset({State.WAITING, State.HELD})
DECIDABLE = frozenset({State.WAITING, State.HELD, State.BLOCKED})
HIDDEN = frozenset({State.BLOCKED, State.REFUSED})


class Cause(StrEnum):
    """Why a person, or a later call, has to look."""

    DOUBT = "doubt"
    UNREACHABLE = "unreachable"
    UNANSWERED = "unanswered"
    NOT_CHECKABLE = "not_checkable"
    NO_WECHAT = "no_wechat"
    RISKY = "risky"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Screened:
    """What a text's check at its submission brought.

    Arguments:
        passed: it may be shown to others.
        cause: why not, when it may not.
        label: WeChat's reason, when it told one.
        trace_id: WeChat's number of the check.
    """

    passed: bool
    cause: Cause | None = None
    label: int | None = None
    trace_id: str | None = None


PASSED = Screened(passed=True)


@dataclass(frozen=True, slots=True)
class Course:
    """How a check goes on: its state, why, and when it is looked at next (None for not by itself)."""

    state: State
    cause: Cause | None
    next_at: datetime | None


def first_course(screened: Screened, now: datetime) -> Course:
    """Return how a text's check begins that did not pass at once."""
    if screened.cause is Cause.UNREACHABLE:
        return Course(State.WAITING, screened.cause, now + ASK_AGAIN_AFTER[0])
    return Course(State.HELD, screened.cause, None)


def after_failure(tries: int, now: datetime) -> Course:
    """Return how a check goes on after WeChat could not be asked.

    Arguments:
        tries: calls that failed so far, this one among them.
        now: present instant.
    """
    if tries <= len(ASK_AGAIN_AFTER):
        return Course(State.WAITING, Cause.UNREACHABLE, now + ASK_AGAIN_AFTER[tries - 1])
    return Course(State.HELD, Cause.UNREACHABLE, None)


def after_asking(now: datetime) -> Course:
    """Return how a picture's check goes on once WeChat took it in."""
    return Course(State.WAITING, Cause.NEW, now + ANSWER_WITHIN)


def after_answer(suggestion: str) -> Course:
    """Return how a check goes on by WeChat's word: ``pass``, ``review``, ``risky``; what we do not know, a person decides."""
    if suggestion == "pass":
        return Course(State.PASSED, None, None)
    if suggestion == "risky":
        return Course(State.BLOCKED, Cause.RISKY, None)
    return Course(State.HELD, Cause.DOUBT, None)
