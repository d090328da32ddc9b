"""Late news of the demonstration: a sale captured offline, receipts that were claimed or wait for it, and cards of an older system."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.cards import queries as card_queries
from server.cards import service as cards
from server.flows import intake, receipts
from server.kernel.actors import MemberActor
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.text import N_
from server.members import queries as members
from server.orders import queries as orders
from server.orders.claims import Receipt
from server.orders.drafts import LineDraft, MemberRef, OrderDraft
from tasks.demo.catalogue import PRODUCTS, STORES

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_OLD_CARDS = ("VIP00318", "VIP00742", "HY2019-0061")
_OLD_REASON = N_("Taken over from an older system")
_CLAIMANT = 5


def load(session: Session, demo: DemoContext) -> None:
    """Take in three sales nobody showed a card for and one that waited in a till; claim two of them."""
    if orders.by_external(session, "store", "R-20001") is not None:
        return
    people = [one for one in demo.members if members.require(session, one).joined_via == "wechat"]
    claimant = people[_CLAIMANT]
    sales = [_sale(session, demo, f"R-2000{number}", demo.now - timedelta(days=2 * number, hours=3)) for number in (1, 2, 3)]
    for draft, more_fen in ((sales[0], 0), (sales[1], 100), (sales[2], 0)):
        zone = zone_of(session)
        receipt = Receipt(draft.external_no, draft.payable_fen + more_fen, business_date(draft.placed_at, zone), store=draft.store)
        if draft is not sales[2]:
            receipts.claim(session, claimant, receipt, actor=MemberActor(claimant), now=demo.now - timedelta(hours=1))
    card = card_queries.of_member(session, people[_CLAIMANT + 1])
    at = demo.now - timedelta(days=1, hours=2)
    _sale(session, demo, "R-20009", at, card_no=card.card_no if card else None, captured_at=at)
    for number, old in enumerate(_OLD_CARDS):
        cards.add_alias(session, people[number], old, reason=_OLD_REASON, actor=demo.actor, now=demo.now - timedelta(days=30))


def _sale(
    session: Session, demo: DemoContext, number: str, at: datetime, *, card_no: str | None = None, captured_at: datetime | None = None
) -> OrderDraft:
    at = at.replace(microsecond=0)
    sku, name, category, price_fen = demo.rng.choice(PRODUCTS)
    draft = OrderDraft(
        channel="store",
        external_no=number,
        member=MemberRef(card_no=card_no),
        placed_at=at,
        paid_at=at,
        store=STORES[0][0],
        lines=(LineDraft(1, sku, name, 2, price_fen * 2, category=category, unit_price_fen=price_fen),),
        payable_fen=price_fen * 2,
        captured_at=captured_at,
    )
    intake.take_in_order(session, draft, actor=demo.actor, now=demo.now - timedelta(hours=2) if captured_at else at)
    return draft
