"""Sales, for tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from server.flows import intake
from server.kernel.actors import PartnerActor, SystemActor
from server.kernel.ids import uuid7
from server.orders.drafts import LineDraft, MemberRef, OrderDraft, OrderEvent, ReceiverDraft

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.orders.service import Taken

SYSTEM = SystemActor("test")
SHOP = PartnerActor(uuid7(), "Shop")
RECEIVER = ReceiverDraft("王小明", "13800138000", "上海市静安区南京西路 1 号")
_numbers = count(1)


def a_line(line_no: int = 1, *, amount_fen: int = 10_000, quantity: int = 1, sku: str = "SKU-1", category: str | None = None) -> LineDraft:
    return LineDraft(line_no=line_no, sku=sku, name=f"商品 {sku}", quantity=quantity, amount_fen=amount_fen, category=category)


def a_draft(*, now: datetime, channel: str = "shop", lines: tuple[LineDraft, ...] | None = None, **fields: Any) -> OrderDraft:
    """Return a paid online sale with a receiver, unless told otherwise."""
    lines = lines or (a_line(),)
    goods = sum(line.amount_fen for line in lines)
    shipping, points_paid = fields.get("shipping_fen", 0), fields.get("points_paid_fen", 0)
    values: dict[str, Any] = {
        "external_no": f"S-{next(_numbers)}-{uuid7().hex[:6]}",
        "member": MemberRef(external_id="buyer-1"),
        "placed_at": now - timedelta(minutes=5),
        "paid_at": now - timedelta(minutes=4),
        "payable_fen": goods + shipping - points_paid,
        "receiver": RECEIVER,
    }
    return OrderDraft(channel=channel, lines=lines, **{**values, **fields})


def a_till_draft(*, now: datetime, **fields: Any) -> OrderDraft:
    """Return a paid sale over the counter."""
    return a_draft(now=now, channel="till", receiver=None, **fields)


def an_order(session: Session, draft: OrderDraft, *, now: datetime) -> Taken:
    return intake.take_in_order(session, draft, actor=SHOP, now=now)


def an_event(kind: str, at: datetime, **fields: Any) -> OrderEvent:
    return OrderEvent(event_id=fields.pop("event_id", f"e-{kind}-{next(_numbers)}"), kind=kind, occurred_at=at, **fields)


def told(session: Session, draft: OrderDraft, event: OrderEvent, *, now: datetime) -> Any:
    return intake.record_event(session, draft.channel, draft.external_no, event, actor=SHOP, now=now)
