"""What every tracking aggregator comes down to: parcels, events and a subscription."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

WAITING = "waiting"
COLLECTED = "collected"
IN_TRANSIT = "in_transit"
REDIRECTED = "redirected"
CUSTOMS = "customs"
DELIVERING = "delivering"
PROBLEM = "problem"
REFUSED = "refused"
RETURNING = "returning"
RETURNED = "returned"
DELIVERED = "delivered"

# A later word weighs more when two reports about the same event differ.
RANK: dict[str, int] = {
    state: rank
    for rank, state in enumerate(
        (WAITING, COLLECTED, IN_TRANSIT, REDIRECTED, CUSTOMS, DELIVERING, PROBLEM, REFUSED, RETURNING, RETURNED, DELIVERED)
    )
}


@dataclass(frozen=True, slots=True)
class ParcelEvent:
    """One line of a parcel's timeline.

    Arguments:
        occurred_at: when, aware.
        state: one of the words above, or None when the carrier gave text alone.
        description: the carrier's own text, bounded to 500 characters.
    """

    occurred_at: datetime
    state: str | None
    description: str


@dataclass(frozen=True, slots=True)
class TrackingUpdate:
    """Everything an aggregator tells about a parcel at once."""

    carrier: str
    tracking_no: str
    events: tuple[ParcelEvent, ...]
    state: str | None


class TrackingGateway(Protocol):
    """Asks an aggregator to report a parcel's news to our callback."""

    def subscribe(self, carrier: str, tracking_no: str, *, phone: str | None = None) -> None:
        """Ask for news of a parcel; asking twice is harmless.

        Arguments:
            carrier: the aggregator's code of the carrier.
            tracking_no: the parcel's number.
            phone: receiver's or sender's number, which some carriers (SF, ZTO) want.

        Raises:
            TrackingUnavailableError: no answer, so it may be asked again.
            TrackingRefusedError: the aggregator will not follow this parcel.
        """
        ...


def parcel_state(events: tuple[ParcelEvent, ...] | list[ParcelEvent]) -> tuple[str, datetime | None]:
    """Return a parcel's state and, once delivered, when; the same for every order of the events.

    Delivered and returned are ends: a line that a carrier writes afterwards does not reopen them. Otherwise the latest event with
    a state tells it.
    """
    stated = [event for event in events if event.state is not None]
    arrivals = [event.occurred_at for event in stated if event.state == DELIVERED]
    if arrivals:
        return DELIVERED, min(arrivals)
    if any(event.state == RETURNED for event in stated):
        return RETURNED, None
    if not stated:
        return (IN_TRANSIT if events else WAITING), None
    latest = max(stated, key=lambda event: (event.occurred_at, RANK.get(event.state or "", 0)))
    return latest.state or WAITING, None
