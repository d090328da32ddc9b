"""What members bought, as tables to choose them by.

Paid orders count that were neither called off nor refunded whole, by the instant they were paid at; their amount is what was paid in
cash, shipping included, less refunds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.orders.models import Order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    Bounds = tuple[UUID | None, UUID | None]

_GONE = ("cancelled", "refunded")
_STANDS = (Order.paid_at.is_not(None), Order.state.not_in(_GONE))


def bought(windows: Sequence[datetime | None], bounds: Bounds, *, ever: bool) -> sa.Subquery:
    """Return, for each member with an order that counts, how many and for how much since each of some instants, and the newest.

    Arguments:
        windows: since when; None for ever. The columns are ``orders_<place>`` and ``paid_<place>``.
        bounds: of the members' ids.
        ever: ``last_at`` is wanted, so that no order may be left out.
    """
    columns: list[sa.ColumnElement[Any]] = [sa.func.max(Order.paid_at).label("last_at")]
    cash = Order.payable_fen - Order.refunded_fen
    for place, since in enumerate(windows):
        counts = sa.literal_column("1") if since is None else sa.case((Order.paid_at >= since, 1), else_=0)
        paid = cash if since is None else sa.case((Order.paid_at >= since, cash), else_=0)
        columns += [sa.func.sum(counts).label(f"orders_{place}"), sa.func.sum(paid).label(f"paid_{place}")]
    after, until = bounds
    wanted: list[sa.ColumnElement[bool]] = [*_STANDS, Order.member_id.is_not(None)]
    wanted += [Order.member_id > after] if after is not None else []
    wanted += [Order.member_id <= until] if until is not None else []
    since_all = [since for since in windows if since is not None]
    if not ever and since_all and len(since_all) == len(windows):
        wanted.append(Order.paid_at >= min(since_all))
    return sa.select(Order.member_id, *columns).where(*wanted).group_by(Order.member_id).subquery("bought")


def bought_there(member_id: sa.ColumnElement[UUID], column: str, codes: Sequence[str], since: datetime | None) -> sa.Exists:
    """Return whether a member has an order that counts from some stores or channels.

    Arguments:
        member_id: of the row around it.
        column: ``store`` or ``channel``.
        codes: of which.
        since: only orders paid from then on; None for ever.
    """
    place = Order.store_code if column == "store" else Order.channel
    held = [Order.member_id == member_id, place.in_(codes), *_STANDS]
    return sa.exists().where(*held, *([Order.paid_at >= since] if since is not None else []))
