"""Tiers with a published rule, and sales that bring growth, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.flows import growth
from server.orders.drafts import MemberRef
from server.tiers import accounts, service
from server.tiers.qualifying import Formula
from tests.factories.orders import a_draft, a_line, an_order
from tests.factories.points import STAFF

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.orders.drafts import OrderDraft
    from server.orders.service import Taken

# One growth for a yuan and nothing else, so that tests can be read.
PLAIN = Formula(per_order=0, activities={}, thresholds={"silver": 1_000, "gold": 5_000, "black": 20_000})


def a_rule(session: Session, *, now: datetime, **changes: Any) -> int:
    """Define the tiers and publish a rule."""
    service.ensure_default_tiers(session)
    service.save_draft(session, replace(PLAIN, **changes), edits=None, actor=STAFF, now=now)
    return service.publish(session, edits=0, reason="for the test", actor=STAFF, now=now)


def a_sale_draft(member_id: UUID, yuan: int, *, at: datetime, **fields: Any) -> OrderDraft:
    """Return a sale over the counter to a member."""
    lines = (a_line(amount_fen=yuan * 100),)
    values: dict[str, Any] = {"channel": "till", "receiver": None, "placed_at": at, "paid_at": at, **fields}
    return a_draft(now=at, lines=lines, member=MemberRef(member_id=member_id), **values)


def a_sale(session: Session, member_id: UUID, yuan: int, *, at: datetime, **fields: Any) -> Taken:
    """Take in such a sale and let it bring its growth."""
    taken = an_order(session, a_sale_draft(member_id, yuan, at=at, **fields), now=at)
    growth.settle_order(session, taken.order_id, now=at)
    return taken


def the_account(session: Session, member_id: UUID, *, now: datetime) -> Any:
    """Return a member's account of growth."""
    return accounts.locked(session, [member_id], now)[member_id]
