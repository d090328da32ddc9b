"""What is forgotten of notifications when it is old."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.notifications.models import NotificationMessage, NotificationReceipt

# A message about which somebody must still decide, or that is on its way, is not old.
_OVER = ("sent", "delivered", "failed", "skipped")


def forget_messages(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` messages made before an instant whose sending is over; return how many. Allowances stay as they are."""
    old = sa.select(NotificationMessage.id).where(NotificationMessage.created_at < before, NotificationMessage.state.in_(_OVER))
    ids = session.scalars(old.order_by(NotificationMessage.created_at).limit(limit)).all()
    if ids:
        session.execute(sa.delete(NotificationMessage).where(NotificationMessage.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def forget_receipts(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` delivery receipts older than an instant; return how many. Their word stands on the messages."""
    ids = session.scalars(sa.select(NotificationReceipt.id).where(NotificationReceipt.occurred_at < before).limit(limit)).all()
    if ids:
        session.execute(sa.delete(NotificationReceipt).where(NotificationReceipt.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)
