"""Orders of the demonstration: two months of real baskets at the tills, and online orders in every state with parcels under way.

The baskets are the retail sample's; households are given to the demo's members, and the days are moved so that the last lies just before
the demonstration is loaded. A basket that is there already is left alone.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from server.flows import intake, order_events
from server.flows.history import HistoryIntake
from server.logistics.gateway import ParcelEvent, TrackingUpdate
from server.orders import bulk, queries
from server.orders.drafts import LineDraft, MemberRef, OrderDraft, OrderEvent, ReceiverDraft, RefundLine
from server.orders.files import RETAIL, OrderReader, product_of
from server.points import service as points
from server.transfers.sheets import open_sheet
from tasks.demo.catalogue import PRODUCTS, SAMPLE, STORES

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

ONLINE = 36
_DAYS = 60
_CHUNK = 200
_LATEST = timedelta(hours=2)
_CHANNELS = ("mall", "tmall", "douyin")
_NAMES = ("王小明", "李佳", "陈思远", "刘洋", "赵雪", "孙悦", "周子涵", "吴倩")
_PLACES = ("上海市静安区南京西路 188 号", "杭州市西湖区文三路 90 号", "苏州市姑苏区平江路 12 号", "南京市鼓楼区中山路 55 号")
# How an online order goes on; each word is one step, a day or so after the one before.
_STORIES = (
    ("paid",),
    (),
    ("paid", "shipped", "moving"),
    ("paid", "shipped", "moving", "arrived"),
    ("paid", "shipped", "moving", "arrived", "received"),
    ("paid", "shipped", "moving", "problem"),
    ("paid", "cancelled"),
    ("paid", "shipped", "moving", "arrived", "part_refunded"),
    ("paid", "shipped", "moving", "arrived", "refunded"),
)

_TOLD: dict[str, dict[str, object]] = {"paid": {}, "cancelled": {}, "shipped": {}}
_PUSHED: dict[str, tuple[tuple[int, str, str], ...]] = {
    "moving": (
        (-300, "collected", "【上海市】圆通速递已收件"),
        (-60, "in_transit", "【上海转运中心】已发出，下一站【杭州转运中心】"),
    ),
    "arrived": ((-90, "delivering", "快递员正在派送，请保持电话畅通"), (0, "delivered", "已签收，签收人：本人")),
    "problem": ((0, "problem", "电话无人接听，派送失败，将再次派送"),),
}


def load(session: Session, demo: DemoContext) -> None:
    """Take the orders in."""
    points.ensure_default_rules(session, actor=demo.actor, now=demo.now - timedelta(days=_DAYS + 1))
    _baskets(session, demo)
    for number in range(ONLINE):
        _online(session, demo, number)
    points.unlock_due(session, demo.now)
    order_events.complete_due(session, demo.now)


def _baskets(session: Session, demo: DemoContext) -> None:
    drafts = _sample(demo)
    known = bulk.known_fingerprints(session, drafts)
    wanted = [draft for draft in drafts if (draft.channel, draft.external_no) not in known]
    history = HistoryIntake(demo.actor)
    for start in range(0, len(wanted), _CHUNK):
        history.take_in(session, wanted[start : start + _CHUNK], now=demo.now)
        history.committed()


def _sample(demo: DemoContext) -> list[OrderDraft]:
    with (SAMPLE / "products.csv").open(encoding="utf-8", newline="") as file:
        products = [product_of(row, RETAIL) for row in csv.DictReader(file)]
    names = {product.sku: (product.name, product.category) for product in products}
    lines: dict[str, list[list[str]]] = {}
    with open_sheet(SAMPLE / "orders.csv") as sales, open_sheet(SAMPLE / "order_lines.csv") as parts:
        reader = OrderReader(RETAIL, names, sales.header, parts.header)
        for _, row in parts.rows():
            lines.setdefault(row[reader.line_number_place], []).append(row)
        drafts = [reader.draft(row, lines.get(row[reader.number_place], [])) for _, row in sales.rows()]
    last = max(draft.placed_at for draft in drafts)
    # The odd old baskets would stretch the two months to half a year.
    recent = [draft for draft in drafts if last - draft.placed_at < timedelta(days=_DAYS)]
    span = last - min(draft.placed_at for draft in recent)
    households = sorted({draft.member.external_id or "" for draft in recent})
    people = {household: demo.members[place % len(demo.members)] for place, household in enumerate(households)}
    moved = []
    for draft in recent:
        at = demo.now - _LATEST - (last - draft.placed_at) / span * timedelta(days=_DAYS - 1)
        at = at.replace(microsecond=0)
        store = STORES[int(draft.external_no) % len(STORES)][0]
        member = MemberRef(member_id=people[draft.member.external_id or ""])
        moved.append(replace(draft, channel="store", member=member, placed_at=at, paid_at=at, store=store))
    return moved


def _online(session: Session, demo: DemoContext, number: int) -> None:
    rng = demo.rng
    channel = _CHANNELS[number % len(_CHANNELS)]
    external_no = f"{channel.upper()}-{880000 + number}"
    story = _STORIES[number % len(_STORIES)]
    days = 1 + number % 7 if len(story) < len(_STORIES[4]) - 1 else 6 + number % 40
    at = (demo.now - timedelta(days=days, hours=rng.randrange(1, 9))).replace(microsecond=0)
    if queries.by_external(session, channel, external_no) is not None:
        return
    picked = rng.sample(PRODUCTS, rng.randrange(1, 4))
    lines = []
    for place, (sku, name, category, price_fen) in enumerate(picked, start=1):
        quantity = rng.randrange(1, 4)
        lines.append(LineDraft(place, sku, name, quantity, price_fen * quantity, category=category, unit_price_fen=price_fen))
    shipping_fen = 0 if sum(line.amount_fen for line in lines) >= 9900 else 800  # noqa: PLR2004 - free from 99 yuan
    member_id = rng.choice(demo.members)
    draft = OrderDraft(
        channel=channel,
        external_no=external_no,
        member=MemberRef(member_id=member_id),
        placed_at=at,
        lines=tuple(lines),
        shipping_fen=shipping_fen,
        payable_fen=sum(line.amount_fen for line in lines) + shipping_fen + (100 if number == ONLINE - 1 else 0),
        receiver=ReceiverDraft(rng.choice(_NAMES), f"138{rng.randrange(10**8):08d}", rng.choice(_PLACES)),
    )
    taken = intake.take_in_order(session, draft, actor=demo.actor, now=at)
    for place, step in enumerate(story):
        when = at + timedelta(minutes=5) if place == 0 else at + timedelta(hours=18 * place)
        if when < demo.now:
            _step(session, demo, draft, step, when, number, member_id, taken.order_no)


def _step(
    session: Session, demo: DemoContext, draft: OrderDraft, step: str, at: datetime, number: int, member_id: UUID, order_no: str
) -> None:
    carrier, tracking_no = "yuantong", f"YT88{number:09d}"

    def tell(kind: str, **fields: object) -> None:
        event = OrderEvent(event_id=f"{kind}-{number}", kind=kind, occurred_at=at, **fields)  # type: ignore[arg-type]
        intake.record_event(session, draft.channel, draft.external_no, event, actor=demo.actor, now=at)

    def push(*events: tuple[int, str, str]) -> None:
        told = tuple(ParcelEvent(at + timedelta(minutes=minutes), state, text) for minutes, state, text in events)
        order_events.apply_tracking(session, TrackingUpdate(carrier, tracking_no, told, told[-1].state), now=at)

    if step in _TOLD:
        tell(step, **(_TOLD[step] | ({"carrier": carrier, "tracking_no": tracking_no} if step == "shipped" else {})))
    elif step in _PUSHED:
        push(*_PUSHED[step])
    elif step == "received":
        order_events.confirm_receipt(session, order_no, member_id, actor=demo.actor, now=at)
    else:
        lines = (RefundLine(1, 1),) if step == "part_refunded" else ()
        tell("refunded", refund_id=f"R-{number}", lines=lines)
