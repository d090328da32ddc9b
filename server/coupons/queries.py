"""Reading coupons: wallets, the claim centre and the staff lists. Figures: ``funnel_queries``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.coupons.errors import CouponNotFoundError, TemplateNotFoundError
from server.coupons.models import Coupon, CouponTemplate, CouponTransition
from server.coupons.rules.states import CouponState, TemplateState
from server.coupons.rules.terms import Limits, Scope, TemplateDraft, Terms, Validity
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

QUOTE_WALLET_LIMIT = 200
RUNNING_OUT_PERCENT = 90
CLAIM_NAMESPACE = "claim"
BATCH_NAMESPACE = "coupons.batch"
CODE_NAMESPACE = "coupons.code"
GIFT_NAMESPACE = "coupons.gift"


@dataclass(frozen=True, slots=True)
class TemplateView:
    """A template as it stands."""

    id: UUID
    draft: TemplateDraft
    state: str
    version: int
    issued: int
    left: int | None
    budget_committed_fen: int
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        """Return what members read on the coupon."""
        return self.draft.terms.name


@dataclass(frozen=True, slots=True)
class CouponView:
    """A coupon as it stands; ``state`` is ``expired`` from the instant its validity ended, swept or not."""

    id: UUID
    code: str
    template_id: UUID
    member_id: UUID
    state: str
    version: int
    terms: Terms
    valid_from: datetime
    valid_until: datetime
    issued_at: datetime
    source: str
    channel: str | None
    external_no: str | None
    locked_until: datetime | None
    redeemed_at: datetime | None
    discount_fen: int | None

    @property
    def name(self) -> str:
        """Return what the member reads on it."""
        return self.terms.name


@dataclass(frozen=True, slots=True)
class ClaimableView:
    """A template in the claim centre: whether this member may claim it now, and if not, the error code why."""

    template: TemplateView
    claimable: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class TransitionView:
    """One change of a coupon's state."""

    event: str
    from_state: str | None
    to_state: str
    channel: str | None
    external_no: str | None
    refund_id: str | None
    discount_fen: int | None
    reason: str | None
    actor_kind: str
    actor_ref: str
    occurred_at: datetime


def find_template(session: Session, template_id: UUID) -> TemplateView:
    """Return a template.

    Raises:
        TemplateNotFoundError: there is none.
    """
    row = session.get(CouponTemplate, template_id, populate_existing=True)
    if row is None:
        raise TemplateNotFoundError
    return template_view(row)


def template_by_code(session: Session, code: str) -> TemplateView | None:
    """Return the template of a code, or None."""
    row = session.scalar(sa.select(CouponTemplate).where(CouponTemplate.code == code).execution_options(populate_existing=True))
    return None if row is None else template_view(row)


def list_templates(
    session: Session, page: PageRequest, *, state: str | None = None, search: str | None = None, running_out_at: datetime | None = None
) -> Page[TemplateView]:
    """Return templates, newest first.

    Arguments:
        session: to read with.
        page: which page.
        state: ``draft``, ``published`` or ``paused``.
        search: part of the name or the code.
        running_out_at: only those that are running out at this instant.
    """
    statement = sa.select(CouponTemplate)
    if state:
        statement = statement.where(CouponTemplate.state == state)
    if running_out_at is not None:
        statement = statement.where(_running_out(running_out_at))
    if search:
        statement = statement.where(
            sa.or_(CouponTemplate.name.contains(search, autoescape=True), CouponTemplate.code.contains(search.lower(), autoescape=True))
        )
    rows = session.scalars(keyset(statement, CouponTemplate.created_at, CouponTemplate.id, page)).all()
    return page_of(rows, page, lambda row: (row.created_at, row.id)).map(template_view)


def count_running_out(session: Session, now: datetime) -> int:
    """Return how many templates are running out: published, still to be had, and of the stock or the budget 90 % or more is gone."""
    return int(session.scalar(sa.select(sa.func.count()).select_from(CouponTemplate).where(_running_out(now))) or 0)


def _running_out(now: datetime) -> sa.ColumnElement[bool]:
    of = CouponTemplate
    # NULL, for no limit, compares as unknown, which is not true.
    gone = sa.or_(of.issued * 100 >= of.stock * RUNNING_OUT_PERCENT, of.budget_committed_fen * 100 >= of.budget_fen * RUNNING_OUT_PERCENT)
    return sa.and_(to_be_had(now), gone)


def to_be_had(now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that a template is published and neither its claiming nor its coupons' own time is over."""
    of = CouponTemplate
    return sa.and_(
        of.state == TemplateState.PUBLISHED.value,
        sa.or_(of.claim_until.is_(None), of.claim_until > now),
        sa.or_(of.valid_until.is_(None), of.valid_until > now),
    )


def claimable(
    session: Session,
    member_id: UUID,
    now: datetime,
    *,
    tier: str | None = None,
    segments: frozenset[str] = frozenset(),
    limit: int = 100,
) -> list[ClaimableView]:
    """Return the claim centre for one member, newest first: published templates whose window is not over.

    Arguments:
        session: to read with.
        member_id: who looks.
        now: present instant.
        tier: the member's tier code; without it a template that is for certain tiers is not claimable.
        segments: those the member is in; a template for none of them is not claimable.
        limit: at most so many.
    """
    rows = session.scalars(
        sa.select(CouponTemplate)
        .where(
            CouponTemplate.state == TemplateState.PUBLISHED,
            CouponTemplate.claim_centre.is_(True),
            sa.or_(CouponTemplate.claim_until.is_(None), CouponTemplate.claim_until > now),
            sa.or_(CouponTemplate.valid_until.is_(None), CouponTemplate.valid_until > now),
        )
        .order_by(CouponTemplate.created_at.desc(), CouponTemplate.id.desc())
        .limit(limit)
    ).all()
    today = business_date(now, zone_of(session))
    counts = {
        template_id: (total, on_day)
        for template_id, total, on_day in session.execute(
            sa.select(Coupon.template_id, sa.func.count(), sa.func.sum(sa.case((Coupon.issued_day == today, 1), else_=0)))
            # What friends gave is not counted to a member's own.
            .where(
                Coupon.member_id == member_id,
                Coupon.template_id.in_([row.id for row in rows]),
                Coupon.source_namespace != GIFT_NAMESPACE,
            )
            .group_by(Coupon.template_id)
        )
    }
    found = []
    for row in rows:
        total, on_day = counts.get(row.id, (0, 0))
        reason = refusal(row, total, int(on_day), tier, segments, now, today)
        found.append(ClaimableView(template_view(row), reason is None, reason))
    return found


def refusal(
    row: CouponTemplate, held: int, held_today: int, tier: str | None, segments: frozenset[str], now: datetime, today: date
) -> str | None:
    """Return the error code of why a member cannot claim now, or None. The last word is the conditional UPDATE's."""
    view = template_view(row)
    limits, terms = view.draft.limits, view.draft.terms
    ended = view.draft.validity.valid_until is not None and view.draft.validity.valid_until <= now
    if row.state != TemplateState.PUBLISHED or not limits.window_open(now) or ended:
        return "not_in_window"
    other = _not_for(terms.scope, tier, segments)
    if other is not None:
        return other
    if (limits.per_member is not None and held >= limits.per_member) or (
        limits.per_member_daily is not None and held_today >= limits.per_member_daily
    ):
        return "claim_limit_reached"
    if (view.left is not None and view.left <= 0) or (
        limits.daily_stock is not None and row.day == today and row.day_issued >= limits.daily_stock
    ):
        return "sold_out"
    if limits.budget_fen is not None and row.budget_committed_fen + (terms.worst_case_fen() or 0) > limits.budget_fen:
        return "sold_out"
    return None


def _not_for(scope: Scope, tier: str | None, segments: frozenset[str]) -> str | None:
    """Return the error code of why coupons are not for a member of a tier and of some segments, or None."""
    if scope.tiers and tier not in scope.tiers:
        return "tier_not_eligible"
    return "segment_not_eligible" if scope.segments and segments.isdisjoint(scope.segments) else None


def find(session: Session, coupon_id: UUID, *, now: datetime | None = None, member_id: UUID | None = None) -> CouponView:
    """Return a coupon.

    Arguments:
        session: to read with.
        coupon_id: which one.
        now: present instant, which decides whether it has expired; without it the stored state is told.
        member_id: whose it must be, when a member asks.

    Raises:
        CouponNotFoundError: there is none, or it is somebody else's.
    """
    row = session.get(Coupon, coupon_id, populate_existing=True)
    if row is None or (member_id is not None and row.member_id != member_id):
        raise CouponNotFoundError
    return coupon_view(row, now)


def by_code(session: Session, code: str, *, now: datetime) -> CouponView | None:
    """Return the coupon of a code as it is scanned in a store, or None."""
    row = session.scalar(sa.select(Coupon).where(Coupon.code == code.strip().upper()))
    return None if row is None else coupon_view(row, now)


def wallet(session: Session, member_id: UUID, state: str | None, page: PageRequest, *, now: datetime | None = None) -> Page[CouponView]:
    """Return a member's coupons, newest first.

    Arguments:
        session: to read with.
        member_id: whose.
        state: ``issued`` (also ``available``), ``locked``, ``redeemed``, ``expired``, ``voided``, ``offered``, ``given``, or None for all.
        page: which page.
        now: present instant, which decides what has expired; without it the stored state does.
    """
    statement = sa.select(Coupon).where(Coupon.member_id == member_id)
    if state is not None:
        statement = statement.where(_in_state("issued" if state == "available" else state, now))
    rows = session.scalars(keyset(statement, Coupon.issued_at, Coupon.id, page)).all()
    return page_of(rows, page, lambda row: (row.issued_at, row.id)).map(lambda row: coupon_view(row, now))


def count_available(session: Session, member_id: UUID, now: datetime) -> int:
    """Return how many coupons a member could redeem now or later."""
    return int(
        session.scalar(
            sa.select(sa.func.count())
            .select_from(Coupon)
            .where(Coupon.member_id == member_id, Coupon.state == CouponState.ISSUED, Coupon.valid_until > now)
        )
        or 0
    )


def for_quote(session: Session, member_id: UUID, coupon_ids: Sequence[UUID] | None, *, now: datetime) -> list[CouponView]:
    """Return the coupons a quote looks at: the ones asked for, or the wallet's, earliest end first, at most 200."""
    statement = sa.select(Coupon).where(Coupon.member_id == member_id)
    if coupon_ids is None:
        statement = statement.where(Coupon.state.in_((CouponState.ISSUED, CouponState.LOCKED)), Coupon.valid_until > now)
    else:
        statement = statement.where(Coupon.id.in_(list(coupon_ids)))
    rows = session.scalars(statement.order_by(Coupon.valid_until, Coupon.id).limit(QUOTE_WALLET_LIMIT)).all()
    return [coupon_view(row, now) for row in rows]


def list_coupons(
    session: Session,
    page: PageRequest,
    *,
    now: datetime,
    template_id: UUID | None = None,
    member_id: UUID | None = None,
    state: str | None = None,
    code: str | None = None,
    redeemed_since: datetime | None = None,
    redeemed_until: datetime | None = None,
) -> Page[CouponView]:
    """Return issued coupons for staff, newest first, narrowed by template, member, state, code or when they were redeemed."""
    statement = sa.select(Coupon)
    if redeemed_since is not None:
        statement = statement.where(Coupon.redeemed_at >= redeemed_since)
    if redeemed_until is not None:
        statement = statement.where(Coupon.redeemed_at < redeemed_until)
    if template_id is not None:
        statement = statement.where(Coupon.template_id == template_id)
    if member_id is not None:
        statement = statement.where(Coupon.member_id == member_id)
    if state:
        statement = statement.where(_in_state(state, now))
    if code:
        statement = statement.where(Coupon.code == code.strip().upper())
    rows = session.scalars(keyset(statement, Coupon.issued_at, Coupon.id, page)).all()
    return page_of(rows, page, lambda row: (row.issued_at, row.id)).map(lambda row: coupon_view(row, now))


def transitions(session: Session, coupon_id: UUID) -> list[TransitionView]:
    """Return the life of a coupon, oldest first."""
    rows = session.scalars(
        sa.select(CouponTransition)
        .where(CouponTransition.coupon_id == coupon_id)
        .order_by(CouponTransition.occurred_at, CouponTransition.id)
    )
    names = TransitionView.__slots__
    return [TransitionView(**{name: getattr(row, name) for name in names}) for row in rows]


def of_order(session: Session, channel: str, external_no: str, *, now: datetime) -> list[CouponView]:
    """Return the coupons locked or redeemed for an order."""
    rows = session.scalars(
        sa.select(Coupon)
        .where(Coupon.channel == channel, Coupon.external_no == external_no, Coupon.state.in_((CouponState.LOCKED, CouponState.REDEEMED)))
        .order_by(Coupon.id)
    )
    return [coupon_view(row, now) for row in rows]


def _in_state(state: str, now: datetime | None) -> sa.ColumnElement[bool]:
    if now is None:
        return Coupon.state == state
    if state == CouponState.ISSUED:
        return sa.and_(Coupon.state == CouponState.ISSUED, Coupon.valid_until > now)
    if state == CouponState.EXPIRED:
        return sa.or_(Coupon.state == CouponState.EXPIRED, sa.and_(Coupon.state == CouponState.ISSUED, Coupon.valid_until <= now))
    return Coupon.state == state


def template_view(row: CouponTemplate | sa.Row[Any]) -> TemplateView:
    """Return a template's row as a view."""
    return TemplateView(
        id=row.id,
        draft=TemplateDraft(
            code=row.code,
            terms=Terms.of_document(row.terms),
            validity=Validity(row.valid_from, row.valid_until, row.valid_days, row.starts_after_days),
            limits=Limits(
                row.stock, row.daily_stock, row.budget_fen, row.per_member, row.per_member_daily, row.claim_from, row.claim_until
            ),
            claim_centre=row.claim_centre,
        ),
        state=row.state,
        version=row.version,
        issued=row.issued,
        left=None if row.stock is None else row.stock - row.issued,
        budget_committed_fen=row.budget_committed_fen,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def coupon_view(row: Coupon, now: datetime | None) -> CouponView:
    """Return a coupon's row as a view at an instant."""
    ended = now is not None and row.state == CouponState.ISSUED and row.valid_until <= now
    return CouponView(
        id=row.id,
        code=row.code,
        template_id=row.template_id,
        member_id=row.member_id,
        state=CouponState.EXPIRED.value if ended else row.state,
        version=row.version,
        terms=Terms.of_document(row.terms),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        issued_at=row.issued_at,
        source=row.source_namespace,
        channel=row.channel,
        external_no=row.external_no,
        locked_until=row.locked_until,
        redeemed_at=row.redeemed_at,
        discount_fen=row.discount_fen,
    )
