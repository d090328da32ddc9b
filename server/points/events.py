"""The news points tell. Every payload is ``{entry_id, member_id, points}``; points are signed as on the statement."""

from __future__ import annotations

ACCRUED = "points.accrued"
REDEEMED = "points.redeemed"
REVERSED = "points.reversed"
EXPIRED = "points.expired"

TOPICS = (ACCRUED, REDEEMED, REVERSED, EXPIRED)
