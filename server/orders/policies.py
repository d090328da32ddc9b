"""What the brand declares about late news of sales: how long a till may have been offline, and until when a receipt can be claimed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.errors import InvalidError
from server.orders.models import OrderPolicy

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


@dataclass(frozen=True, slots=True)
class OrderPolicies:
    """The declared policies.

    Arguments:
        offline_days: how long ago a till may have captured what it tells now.
        claim_days: until how many days after the sale a member may claim a receipt.
        claim_tries: wrong receipts a member may enter on one business day.
    """

    offline_days: int = 7
    claim_days: int = 30
    claim_tries: int = 5


# Name → the highest value that makes sense; the lowest is one.
LIMITS = {"offline_days": 60, "claim_days": 365, "claim_tries": 100}


def current(session: Session) -> OrderPolicies:
    """Return the policies that hold now."""
    columns = [getattr(OrderPolicy, field.name) for field in fields(OrderPolicies)]
    row = session.execute(sa.select(*columns).order_by(OrderPolicy.version.desc()).limit(1)).one_or_none()
    return OrderPolicies() if row is None else OrderPolicies(*row)


def change(session: Session, policies: OrderPolicies, *, actor: Actor, now: datetime) -> None:
    """Declare new policies from now on.

    Raises:
        InvalidError: naming the fields that are out of bounds.
    """
    after, before = asdict(policies), asdict(current(session))
    wrong = {name: f"1–{most}" for name, most in LIMITS.items() if not 1 <= after[name] <= most}
    if wrong:
        raise InvalidError(fields=wrong)
    version = (session.scalar(sa.select(sa.func.max(OrderPolicy.version))) or 0) + 1
    session.execute(sa.insert(OrderPolicy).values(version=version, **after, created_at=now, created_by=actor.ref[:80]))
    audit.record(
        session,
        actor=actor,
        action="order_policies.change",
        subject_type="order_policies",
        subject_id=str(version),
        before=before,
        after=after,
        now=now,
    )
