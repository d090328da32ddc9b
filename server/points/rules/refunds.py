"""How points are taken back when money goes back, so that any row of refunds takes exactly what was earned."""

from __future__ import annotations


def points_taken_back(line_points: int, paid_fen: int, refunded_fen: int) -> int:
    """Return the points of a line that a refunded amount, cumulated over all its refunds, takes back.

    ``floor(line points × refunded / paid)``; everything once the whole line is refunded.

    Arguments:
        line_points: what the line earned.
        paid_fen: cash paid for the line.
        refunded_fen: refunded so far in all, this refund included; more than paid counts as paid.
    """
    if paid_fen <= 0 or refunded_fen <= 0:
        return 0
    return line_points * min(refunded_fen, paid_fen) // paid_fen


def points_of_refund(line_points: int, paid_fen: int, refunded_before_fen: int, refund_fen: int) -> int:
    """Return the points that one more refund of a line takes back."""
    before = points_taken_back(line_points, paid_fen, refunded_before_fen)
    return points_taken_back(line_points, paid_fen, refunded_before_fen + refund_fen) - before
