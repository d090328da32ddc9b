"""Where a business fact comes from: the key that makes it happen once."""

from __future__ import annotations

from dataclasses import dataclass

_MAX_CHARS = 120


@dataclass(frozen=True, slots=True)
class Source:
    """A business fact, unique within its namespace.

    Arguments:
        namespace: who speaks (``orders``, ``staff``, ``partner:<id>``); at most 60 characters.
        key: the fact in that namespace's own words (``order:till:1001:points``); at most 120 characters.

    Raises:
        ValueError: for an empty or overlong part.
    """

    namespace: str
    key: str

    def __post_init__(self) -> None:
        if not self.namespace or not self.key or len(self.namespace) > _MAX_CHARS // 2 or len(self.key) > _MAX_CHARS:
            message = "a source needs a namespace and a key of bounded length"
            raise ValueError(message)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.key}"
