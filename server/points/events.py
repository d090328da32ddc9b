"""The news points tell. Every payload is ``{entry_id, member_id, points}``; points are signed as on the statement.

Three tell of no entry: ``points.expiring`` is ``{member_id, day, horizon_days}``, the last day of points that are soon gone;
``points.opening_approved`` is ``{opening_id}``, a file of opening balances that may be taken in;
``points.dry_run_asked`` is ``{run_id}``, a dry run for its job to do.
"""

from __future__ import annotations

ACCRUED = "points.accrued"
REDEEMED = "points.redeemed"
REVERSED = "points.reversed"
EXPIRED = "points.expired"
EXPIRING = "points.expiring"
OPENING_APPROVED = "points.opening_approved"

DRY_RUN_ASKED = "points.dry_run_asked"

TOPICS = (ACCRUED, REDEEMED, REVERSED, EXPIRED, EXPIRING, OPENING_APPROVED, DRY_RUN_ASKED)
