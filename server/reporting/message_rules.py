"""When the flow of messages is in trouble. Pure.

A trouble is told once and ends by itself: the watch names what holds now, and whoever calls it opens and closes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

# Sending runs by the minute; a message that has been due this long stands still.
OLDEST_WAITING = timedelta(minutes=15)
MOST_UNCERTAIN = 20
# Failures for good within a day: many, and a tenth of what was tried.
MOST_FAILED = 20
FAILED_PERCENT = 10
# A template is refused when so many of its messages were, within three hours, and more than were taken in.
REFUSED_LEAST = 3
WATCHED_DAY, WATCHED_HOURS = timedelta(hours=24), timedelta(hours=3)

WAITING, UNCERTAIN, FAILING, REFUSED = "messages.waiting", "messages.uncertain", "messages.failing", "messages.template_refused"
KINDS = (WAITING, UNCERTAIN, FAILING, REFUSED)
ALL = "all"

# Who refuses is the member, or the fault is ours for a while: neither speaks against the template.
_NOT_THE_TEMPLATE = frozenset({"refused_or_no_grant", "given_up", "busy", "quota", "connect", "misconfigured"})


@dataclass(frozen=True, slots=True)
class Watched:
    """What the watch looks at.

    Arguments:
        oldest_seconds: age of the oldest message that is due and not sent.
        due: how many are due, counted up to a bound.
        uncertain: how many wait for a person.
        failed, tried: of the messages made within a day.
        refused: template → how many were refused, and taken in, within three hours.
    """

    oldest_seconds: float = 0
    due: int = 0
    uncertain: int = 0
    failed: int = 0
    tried: int = 0
    refused: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that a person has to look at. ``kind`` and ``subject`` make it one, however often it is seen."""

    kind: str
    subject: str
    details: dict[str, int | str]


def blames_template(state: str, reason: str) -> bool:
    """Tell whether a message's end speaks against its template: WeChat refused it, or its text does not fit."""
    return state == "failed" and bool(reason) and reason not in _NOT_THE_TEMPLATE and not reason.startswith("receipt_")


def troubles(seen: Watched) -> list[Trouble]:
    """Return what is wrong now."""
    found = []
    if seen.oldest_seconds >= OLDEST_WAITING.total_seconds():
        found.append(Trouble(WAITING, ALL, {"oldest_minutes": int(seen.oldest_seconds // 60), "due": seen.due}))
    if seen.uncertain >= MOST_UNCERTAIN:
        found.append(Trouble(UNCERTAIN, ALL, {"uncertain": seen.uncertain}))
    if seen.failed >= MOST_FAILED and seen.failed * 100 >= seen.tried * FAILED_PERCENT:
        found.append(Trouble(FAILING, ALL, {"failed": seen.failed, "tried": seen.tried}))
    for template, (refused, taken) in sorted(seen.refused.items()):
        if refused >= REFUSED_LEAST and refused > taken:
            found.append(Trouble(REFUSED, template, {"template": template, "refused": refused, "taken_in": taken}))
    return found
