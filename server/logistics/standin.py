"""The local stand-in for a tracking aggregator: remembers what was asked, so that demo and tests run without a network."""

from __future__ import annotations


class LocalTracking:
    """Takes every subscription; ``asked`` lists them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def subscribe(self, carrier: str, tracking_no: str, *, phone: str | None = None) -> None:  # noqa: ARG002 - as the real one
        """Remember that this parcel was asked for."""
        if (carrier, tracking_no) not in self.asked:
            self.asked.append((carrier, tracking_no))
