"""Periodic care of coupons: locks that ran out, expiry, and the reminder before it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.coupons import service as coupons
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core


def release_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Open locks whose order never came."""
    return in_batches(core, coupons.release_due)


def expire_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Expire coupons whose validity is over."""
    return in_batches(core, coupons.expire_due)


def remind_expiring(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Tell once of each coupon that ends soon."""
    return in_batches(core, lambda session, now, limit: coupons.remind_expiring(session, now, limit=limit))
