"""Rules of automatic coupons, and what they gave, for tests."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.coupons.models import Coupon
from server.coupons.queries import find_template
from server.kernel.actors import StaffActor
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.orders.drafts import MemberRef
from server.triggers import queries, service
from server.triggers.queries import GiftView
from server.triggers.rules import Terms, TriggerKind
from server.triggers.service import RuleDraft
from tests.factories.coupons import a_template
from tests.factories.orders import a_draft, a_line, an_order

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.orders.drafts import OrderDraft

STAFF = StaffActor(uuid7(), "Li Na")
_numbers = count(1)


def a_trigger(
    session: Session, kind: TriggerKind, *, now: datetime, code: str = "rule", template: UUID | None = None, packs: int = 1, **more: Any
) -> UUID:
    """Publish a rule that gives coupons of new templates, or of the one given; return the first template."""
    limits = {name: more.pop(name) for name in ("stock", "budget_fen") if name in more}
    templates = [template or a_template(session, now=now, per_member=None, **limits)]
    templates += [a_template(session, now=now, per_member=None) for _ in range(packs - 1)]
    version = {name: more.pop(name) for name in ("enabled", "valid_from", "valid_until", "expected") if name in more}
    kinds: dict[TriggerKind, dict[str, Any]] = {
        TriggerKind.ORDER: {"min_paid_fen": 20_000},
        TriggerKind.WIN_BACK: {"lapse_days": 90},
    }
    terms = Terms(tuple(find_template(session, each).draft.code for each in templates), **(kinds.get(kind, {}) | more))
    draft = RuleDraft(code, kind, "满200送20", terms, "for the test", **version)
    service.save_rule(session, draft, actor=STAFF, now=now)
    return templates[0]


def a_sale_of(fen: int, *, now: datetime, buyer: str = "buyer-t", lines: int = 1, **fields: Any) -> OrderDraft:
    """Return a paid sale of so much, over so many lines."""
    parts = tuple(a_line(number, amount_fen=fen // lines, sku=f"SKU-{number}") for number in range(1, lines + 1))
    return a_draft(
        now=now, external_no=f"T-{next(_numbers)}-{uuid7().hex[-6:]}", member=MemberRef(external_id=buyer), lines=parts, **fields
    )


def sold(session: Session, draft: OrderDraft, *, now: datetime) -> UUID:
    """Take a sale in; return its id."""
    return an_order(session, draft, now=now).order_id


def gifts(session: Session, **narrowed: Any) -> list[GiftView]:
    """Return the gifts there are, the oldest first."""
    return list(reversed(queries.gifts(session, PageRequest.of(100, None), **narrowed).items))


def states(session: Session) -> list[tuple[str, str | None]]:
    """Return what became of each gift, the oldest first."""
    return [(gift.state, gift.problem) for gift in gifts(session)]


def coupons(session: Session, member_id: UUID | None = None) -> list[str]:
    """Return the states of the coupons that rules gave."""
    statement = sa.select(Coupon.state).where(Coupon.source_namespace.startswith("coupons.trigger/")).order_by(Coupon.id)
    return list(session.scalars(statement if member_id is None else statement.where(Coupon.member_id == member_id)))
