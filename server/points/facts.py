"""Points, as a table to choose members by."""

from __future__ import annotations

import sqlalchemy as sa

from server.points.models.ledger import PointsAccount


def available() -> sa.Subquery:
    """Return the points each member with an account can spend; who has none has none."""
    return sa.select(PointsAccount.member_id, PointsAccount.available).subquery("points_now")
