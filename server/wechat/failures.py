"""What the adapter tells whoever watches it. It says nothing of the request but its endpoint: no secret, token or person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed for good, its one retry included.

    Arguments:
        endpoint: below the base address, without query.
        code: WeChat's number, or our word when there was no answer (see ``policy``).
        rid: WeChat's own number of the request, where it gave one.
    """

    endpoint: str
    code: str
    rid: str | None = None


class Observer(Protocol):
    """Watches the calls. It must not raise: a call is not to fail because it was watched."""

    def failed(self, failure: Failure) -> None:
        """Take note of a call that failed."""
        ...

    def answered(self, endpoint: str) -> None:
        """Take note of a call that was answered."""
        ...
