"""Money in fen and points as two types that do not mix.

Both are whole numbers. Adding one to the other is refused by the type checker and at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, order=True, slots=True)
class _Whole:
    """A whole, signed amount of one unit."""

    def _value(self) -> int:
        raise NotImplementedError  # pragma: no cover - both subclasses answer

    def __bool__(self) -> bool:
        return self._value() != 0


@dataclass(frozen=True, order=True, slots=True)
class Money(_Whole):
    """An amount of money in fen (1/100 yuan).

    Arguments:
        fen: whole fen; negative for money that goes back.
    """

    fen: int

    def __post_init__(self) -> None:
        _require_whole(self.fen)

    def _value(self) -> int:
        return self.fen

    def __add__(self, other: Self) -> Money:
        return Money(self.fen + other.fen)

    def __sub__(self, other: Self) -> Money:
        return Money(self.fen - other.fen)

    def __neg__(self) -> Money:
        return Money(-self.fen)

    def __mul__(self, factor: int) -> Money:
        return Money(self.fen * factor)

    def __str__(self) -> str:
        sign = "-" if self.fen < 0 else ""
        return f"{sign}{abs(self.fen) // 100:,}.{abs(self.fen) % 100:02d}"


@dataclass(frozen=True, order=True, slots=True)
class Points(_Whole):
    """A number of points.

    Arguments:
        count: whole points; negative for points taken.
    """

    count: int

    def __post_init__(self) -> None:
        _require_whole(self.count)

    def _value(self) -> int:
        return self.count

    def __add__(self, other: Self) -> Points:
        return Points(self.count + other.count)

    def __sub__(self, other: Self) -> Points:
        return Points(self.count - other.count)

    def __neg__(self) -> Points:
        return Points(-self.count)

    def __mul__(self, factor: int) -> Points:
        return Points(self.count * factor)

    def __str__(self) -> str:
        return f"{self.count:,}"


def _require_whole(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"an amount is a whole number, not {value!r}"
        raise TypeError(message)


def split_by_largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Split a whole total over weights so that the parts add up to it exactly.

    Every part is the floor of its exact share; what is left goes, one each, to the largest
    remainders, and among equal remainders to the earlier place.

    Arguments:
        total: what to split, in any whole unit, zero or more.
        weights: zero or more for each place; all zero splits to all zero unless total is positive,
            and then the whole goes to the first place.

    Returns:
        One part for each weight, Σ parts = total (an empty list for no weights).

    Raises:
        ValueError: for a negative total or weight, or a positive total and no weights.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        message = "a split takes no negative numbers"
        raise ValueError(message)
    if not weights:
        if total:
            message = "nothing to split over"
            raise ValueError(message)
        return []
    whole = sum(weights)
    if whole == 0:
        return [total, *([0] * (len(weights) - 1))]
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    places = sorted(range(len(weights)), key=lambda place: (-remainders[place], place))
    for place in places[: total - sum(parts)]:
        parts[place] += 1
    return parts
