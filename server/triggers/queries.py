"""Reads of triggers: rules by version, what they gave, and how that stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.triggers.models import CouponTriggerGift, CouponTriggerMark, CouponTriggerRule
from server.triggers.rules import GiftState, Terms, TriggerKind, in_force

NAMESPACE = "coupons.trigger"


@dataclass(frozen=True, slots=True)
class RuleView:
    """One version of a rule."""

    id: UUID
    code: str
    version: int
    kind: TriggerKind
    name: str
    terms: Terms
    enabled: bool
    valid_from: datetime | None
    valid_until: datetime | None
    reason: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class GiftView:
    """What became of one coupon of one happening."""

    id: UUID
    rule_id: UUID
    rule_code: str
    business_key: str
    template_id: UUID
    member_id: UUID
    order_id: UUID | None
    state: str
    problem: str | None
    coupon_id: UUID | None
    given_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class GiftTotals:
    """What became of a rule's gifts.

    Arguments:
        given: coupons that were given, whatever became of them.
        refused: those that could not be had.
        revoked: those taken back.
        kept: those that should have been taken back and were in use.
    """

    given: int = 0
    refused: int = 0
    revoked: int = 0
    kept: int = 0


GIFT_COLUMNS = tuple(getattr(CouponTriggerGift, name) for name in GiftView.__slots__)


def namespace_of(rule_code: str) -> str:
    """Return the namespace of the sources of a rule's coupons."""
    return f"{NAMESPACE}/{rule_code}"


def versions(session: Session, *, code: str | None = None, kind: TriggerKind | None = None) -> list[RuleView]:
    """Return versions of rules, the newest of each first.

    Arguments:
        session: to read with.
        code: only of this rule.
        kind: only of rules of this kind.
    """
    statement = sa.select(CouponTriggerRule)
    if code is not None:
        statement = statement.where(CouponTriggerRule.code == code)
    if kind is not None:
        statement = statement.where(CouponTriggerRule.kind == str(kind))
    return [_view(row) for row in session.scalars(statement.order_by(CouponTriggerRule.code, CouponTriggerRule.version.desc()))]


def newest(session: Session, *, kind: TriggerKind | None = None) -> list[RuleView]:
    """Return the newest version of each rule, by code."""
    found: dict[str, RuleView] = {}
    for view in versions(session, kind=kind):
        found.setdefault(view.code, view)
    return list(found.values())


def holding(session: Session, kind: TriggerKind, at: datetime) -> list[RuleView]:
    """Return the versions of a kind that held at an instant, of rules that are not paused since."""
    return in_force(versions(session, kind=kind), at)


def by_ids(session: Session, rule_ids: Sequence[UUID]) -> dict[UUID, RuleView]:
    """Return versions by their ids."""
    if not rule_ids:
        return {}
    return {row.id: _view(row) for row in session.scalars(sa.select(CouponTriggerRule).where(CouponTriggerRule.id.in_(set(rule_ids))))}


def gifts(
    session: Session, request: PageRequest, *, code: str | None = None, member_id: UUID | None = None, state: str | None = None
) -> Page[GiftView]:
    """Return a page of gifts, newest first.

    Arguments:
        session: to read with.
        request: which page.
        code: only of this rule.
        member_id: only of this member.
        state: only in this state.
    """
    statement = sa.select(*GIFT_COLUMNS)
    for column, wanted in (
        (CouponTriggerGift.rule_code, code),
        (CouponTriggerGift.member_id, member_id),
        (CouponTriggerGift.state, state),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    rows = session.execute(keyset(statement, CouponTriggerGift.given_at, CouponTriggerGift.id, request)).all()
    return page_of([GiftView(*row) for row in rows], request, lambda view: (view.given_at, view.id))


def gifts_of_order(session: Session, order_id: UUID) -> list[GiftView]:
    """Return what an order gave, the oldest first."""
    statement = sa.select(*GIFT_COLUMNS).where(CouponTriggerGift.order_id == order_id)
    return [GiftView(*row) for row in session.execute(statement.order_by(CouponTriggerGift.given_at, CouponTriggerGift.id))]


def totals(session: Session, *, since: datetime | None = None, code: str | None = None) -> dict[str, GiftTotals]:
    """Return rule code → what became of its gifts; a rule that gave nothing is left out."""
    counted = sa.select(CouponTriggerGift.rule_code, CouponTriggerGift.state, sa.func.count())
    if since is not None:
        counted = counted.where(CouponTriggerGift.given_at >= since)
    if code is not None:
        counted = counted.where(CouponTriggerGift.rule_code == code)
    counts: dict[str, dict[str, int]] = {}
    for rule_code, state, number in session.execute(counted.group_by(CouponTriggerGift.rule_code, CouponTriggerGift.state)):
        counts.setdefault(rule_code, {})[state] = int(number)
    return {
        rule_code: GiftTotals(
            given=sum(number for state, number in states.items() if state != GiftState.REFUSED),
            refused=states.get(GiftState.REFUSED, 0),
            revoked=states.get(GiftState.REVOKED, 0),
            kept=states.get(GiftState.KEPT, 0),
        )
        for rule_code, states in counts.items()
    }


def had_for(session: Session, code: str, business_keys: Sequence[str]) -> set[str]:
    """Return for which of some happenings a rule gave, or tried to."""
    if not business_keys:
        return set()
    had = sa.and_(CouponTriggerGift.rule_code == code, CouponTriggerGift.business_key.in_(business_keys))
    return set(session.scalars(sa.select(CouponTriggerGift.business_key).where(had)))


def has_slot(session: Session, code: str, member_id: UUID, slot: str) -> bool:
    """Tell whether a member had from a rule what it gives once only."""
    held = (CouponTriggerGift.rule_code == code, CouponTriggerGift.member_id == member_id, CouponTriggerGift.slot == slot)
    return session.scalar(sa.select(CouponTriggerGift.id).where(*held).limit(1)) is not None


def done_until(session: Session, code: str) -> date | None:
    """Return the newest day of last purchases whose members a rule has won back; None before its first run."""
    return session.scalar(sa.select(CouponTriggerMark.done_until).where(CouponTriggerMark.rule_code == code))


def _view(row: Any) -> RuleView:
    return RuleView(
        id=row.id,
        code=row.code,
        version=row.version,
        kind=TriggerKind(row.kind),
        name=row.name,
        terms=Terms.of_document(row.document),
        enabled=row.enabled,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        reason=row.reason,
        created_at=row.created_at,
        created_by=row.created_by,
    )
