"""Giving a coupon to a friend: offered by a link, then accepted, refused, taken back, or over after a day.

Whoever holds the link may answer, once. The friend gets a coupon of their own with a new code, in the place of the giver's: stock and
budget count it once, and the giver's limit goes on counting what was given away. The coupon's row is always locked first, so that an
answer, a withdrawal, the sweep and staff who void the coupon come one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.coupons import events
from server.coupons.errors import (
    ClaimLimitReachedError,
    CouponNotAvailableError,
    CouponNotFoundError,
    GiftEndedError,
    GiftNotFoundError,
    GiftsExhaustedError,
    NotGiftableError,
    OwnGiftError,
    TierNotEligibleError,
)
from server.coupons.gift_queries import TOKEN_KIND
from server.coupons.models import Coupon, CouponGift, CouponTemplate
from server.coupons.queries import GIFT_NAMESPACE, CouponView, coupon_view
from server.coupons.rules.states import CouponState, GiftState
from server.coupons.rules.terms import Terms
from server.coupons.service.standing import require_segment, tier_of
from server.coupons.service.steps import locked_coupon, move, tell, write_transition
from server.kernel.actors import SystemActor
from server.kernel.clock import business_date
from server.kernel.crypto import vault_of
from server.kernel.db import insert_if_absent, lock_skipping, update_where, zone_of
from server.kernel.ids import random_code, uuid7
from server.kernel.outbox import publish
from server.kernel.text import N_
from server.members import queries as members

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

OFFER_HOURS = 24
MOST_OFFERS = 10
_TOKEN_CHARS = 24  # with a letter and a sign before it, a mini-program code's scene of 32 characters has room
_CODE_CHARS = 14
_ACTOR = SystemActor("coupons.gifts")
# What the coupon's life tells.
_RECEIVED, _REFUSED = N_("A friend's gift"), N_("Turned down by the friend")
_WITHDRAWN, _LAPSED = N_("Taken back"), N_("Not accepted in time")


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that was made. Its token is told this once: only a keyed hash of it is kept."""

    gift_id: UUID
    token: str
    expires_at: datetime
    coupon: CouponView


def offer(session: Session, member_id: UUID, coupon_id: UUID, *, actor: Actor, now: datetime) -> Offer:
    """Offer a coupon to whoever gets the link. Until the offer ends, the coupon cannot be used.

    Arguments:
        session: of the caller's transaction.
        member_id: who gives; the coupon must be theirs.
        coupon_id: which.
        actor: the member.
        now: when; the offer is over a day later, or with the coupon.

    Raises:
        CouponNotFoundError: no such coupon, or not this member's.
        NotGiftableError: its terms do not allow it, or it was a gift itself.
        CouponNotAvailableError: it is locked, redeemed, over, voided, or offered already.
        GiftsExhaustedError: it was offered too many times.
    """
    row = locked_coupon(session, coupon_id)
    if row.member_id != member_id:
        raise CouponNotFoundError
    if not Terms.of_document(row.terms).giftable:
        raise NotGiftableError
    if row.state == CouponState.ISSUED and row.valid_until <= now:
        raise CouponNotAvailableError(state=CouponState.EXPIRED.value)
    offers = session.scalar(sa.select(sa.func.count()).select_from(CouponGift).where(CouponGift.coupon_id == coupon_id)) or 0
    if offers >= MOST_OFFERS:
        raise GiftsExhaustedError
    move(session, row, "offer", actor=actor, now=now)
    token = random_code(_TOKEN_CHARS)
    expires_at = min(now + timedelta(hours=OFFER_HOURS), row.valid_until)
    values: dict[str, Any] = {
        "id": uuid7(),
        "coupon_id": row.id,
        "open_slot": row.id,
        "token_hash": vault_of(session).index(TOKEN_KIND, token),
        "from_member_id": member_id,
        "to_member_id": None,
        "received_coupon_id": None,
        "state": GiftState.OPEN.value,
        "created_at": now,
        "expires_at": expires_at,
        "ended_at": None,
    }
    session.execute(sa.insert(CouponGift), [values])
    return Offer(values["id"], token, expires_at, coupon_view(row, now))


def withdraw(session: Session, member_id: UUID, coupon_id: UUID, *, actor: Actor, now: datetime) -> CouponView:
    """Take an offer back; a coupon that is not offered any more stays as it is.

    Raises:
        CouponNotFoundError: no such coupon, or not this member's.
        GiftEndedError: a friend accepted it meanwhile.
    """
    row = locked_coupon(session, coupon_id)
    if row.member_id != member_id:
        raise CouponNotFoundError
    if row.state == CouponState.GIVEN:
        raise GiftEndedError(state=GiftState.ACCEPTED.value)
    take_back(session, row, actor=actor, now=now)
    return coupon_view(row, now)


def accept(session: Session, member_id: UUID, token: str, *, actor: Actor, now: datetime) -> CouponView:
    """Take a coupon that a friend offers. The same friend again finds the coupon they got.

    Arguments:
        session: of the caller's transaction.
        member_id: who takes it.
        token: out of the link.
        actor: the member.
        now: when.

    Returns:
        The friend's coupon: the same terms and days, a code of its own, not to be given on.

    Raises:
        GiftNotFoundError: no such offer.
        OwnGiftError: it is the member's own.
        GiftEndedError: somebody else took it, it was refused or taken back, or its time is over.
        TierNotEligibleError: the coupon is for members of other tiers.
        SegmentNotEligibleError: it is for members of segments, and they are in none of them.
        ClaimLimitReachedError: the member was given as many of these as one member may have.
    """
    row, gift = _locked(session, token)
    if gift.state == GiftState.ACCEPTED and gift.to_member_id == member_id and gift.received_coupon_id is not None:
        return coupon_view(locked_coupon(session, gift.received_coupon_id), now)
    _require_open(gift, row, member_id, now)
    giver = members.find(session, gift.from_member_id)
    if giver is None or giver.status != "active":
        # A membership that is frozen or leaving gives nothing away.
        raise GiftEndedError(state=GiftState.WITHDRAWN.value)
    terms = Terms.of_document(row.terms)
    if terms.scope.tiers and tier_of(session, member_id) not in terms.scope.tiers:
        raise TierNotEligibleError
    require_segment(session, member_id, terms.scope)
    received = _receive(session, row, gift, member_id, terms, actor=actor, now=now)
    # The budget that the giver's coupon holds goes over to the friend's, which may cost it now.
    move(session, row, "give", actor=actor, now=now, changes={"committed_fen": 0})
    _end(session, gift, GiftState.ACCEPTED, now, to_member_id=member_id, received_coupon_id=received.id)
    _news(session, gift, now)
    return coupon_view(received, now)


def refuse(session: Session, member_id: UUID, token: str, *, actor: Actor, now: datetime) -> None:
    """Turn a friend's coupon down: it goes back into the giver's wallet. The same friend again changes nothing.

    Raises:
        GiftNotFoundError: no such offer.
        OwnGiftError: it is the member's own, who takes it back instead.
        GiftEndedError: it ended otherwise.
    """
    row, gift = _locked(session, token)
    if gift.state == GiftState.REFUSED and gift.to_member_id == member_id:
        return
    _require_open(gift, row, member_id, now)
    move(session, row, "take_back", actor=actor, now=now, reason=_REFUSED)
    _end(session, gift, GiftState.REFUSED, now, to_member_id=member_id)
    _news(session, gift, now)


def take_back(session: Session, row: Coupon, *, actor: Actor, now: datetime) -> None:
    """End the open offer of a coupon whose row is locked, if it has one: its owner, staff or a recall wants it back."""
    if row.state != CouponState.OFFERED:
        return
    gift = session.scalar(sa.select(CouponGift).where(CouponGift.open_slot == row.id).execution_options(populate_existing=True))
    move(session, row, "take_back", actor=actor, now=now, reason=_WITHDRAWN)
    if gift is not None:
        _end(session, gift, GiftState.WITHDRAWN, now)


def lapse_due(session: Session, now: datetime, limit: int = 500) -> int:
    """Bring up to ``limit`` coupons back whose offer nobody answered in time; return how many offers were looked at."""
    due = sa.select(CouponGift.coupon_id).where(CouponGift.state == GiftState.OPEN, CouponGift.expires_at <= now)
    wanted = session.scalars(due.order_by(CouponGift.expires_at, CouponGift.id).limit(limit)).all()
    held = lock_skipping(sa.select(Coupon).where(Coupon.id.in_(wanted), Coupon.state == CouponState.OFFERED).order_by(Coupon.id))
    rows = session.scalars(held.execution_options(populate_existing=True)).all() if wanted else []
    for row in rows:
        gift = session.scalar(sa.select(CouponGift).where(CouponGift.open_slot == row.id).execution_options(populate_existing=True))
        if gift is None or gift.expires_at > now:
            continue
        move(session, row, "take_back", actor=_ACTOR, now=now, reason=_LAPSED)
        _end(session, gift, GiftState.LAPSED, now)
        _news(session, gift, now)
    return len(rows)


def merge_members(session: Session, from_id: UUID, into_id: UUID) -> None:
    """Let the offers of one member be another's."""
    for column in (CouponGift.from_member_id, CouponGift.to_member_id):
        statement = sa.update(CouponGift).where(column == from_id).values({column: into_id})
        session.execute(statement.execution_options(synchronize_session=False))


def _locked(session: Session, token: str) -> tuple[Coupon, CouponGift]:
    """Lock the coupon of an offer, then read the offer as it is now."""
    token_hash = vault_of(session).index(TOKEN_KIND, token.strip().upper())
    found = session.execute(sa.select(CouponGift.id, CouponGift.coupon_id).where(CouponGift.token_hash == token_hash)).one_or_none()
    if found is None:
        raise GiftNotFoundError
    row = locked_coupon(session, found.coupon_id)
    return row, session.get_one(CouponGift, found.id, populate_existing=True)


def _require_open(gift: CouponGift, row: Coupon, member_id: UUID, now: datetime) -> None:
    if gift.from_member_id == member_id:
        raise OwnGiftError
    if gift.state != GiftState.OPEN:
        raise GiftEndedError(state=gift.state)
    if gift.expires_at <= now or row.valid_until <= now:
        raise GiftEndedError(state=GiftState.LAPSED.value)


def _receive(session: Session, row: Coupon, gift: CouponGift, member_id: UUID, terms: Terms, *, actor: Actor, now: datetime) -> Coupon:
    values: dict[str, Any] = {
        "id": uuid7(),
        "code": f"C{random_code(_CODE_CHARS)}",
        "template_id": row.template_id,
        "member_id": member_id,
        "slot": _place(session, row.template_id, member_id),
        "state": CouponState.ISSUED.value,
        "version": 1,
        "terms": replace(terms, giftable=False).to_document(),
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "issued_at": now,
        "issued_day": business_date(now, zone_of(session)),
        "committed_fen": row.committed_fen,
        "source_namespace": GIFT_NAMESPACE,
        "source_key": gift.id.hex,
        "grace_given_at": row.grace_given_at,
    }
    if not insert_if_absent(session, Coupon, values):
        raise ClaimLimitReachedError
    received = session.get_one(Coupon, values["id"])
    write_transition(session, received.id, "issue", None, CouponState.ISSUED, actor=actor, now=now, reason=_RECEIVED)
    tell(session, events.ISSUED, received, now=now)
    return received


def _place(session: Session, template_id: UUID, member_id: UUID) -> int | None:
    """Return the place of a received coupon under the template's limit for a member, or None where it has no limit.

    What one gets from friends is counted by itself, in places below zero, so that it takes nobody's own claim away.
    """
    per_member = session.scalar(sa.select(CouponTemplate.per_member).where(CouponTemplate.id == template_id).with_for_update())
    if per_member is None:
        return None
    held = session.scalars(
        sa.select(Coupon.slot).where(
            Coupon.template_id == template_id, Coupon.member_id == member_id, Coupon.source_namespace == GIFT_NAMESPACE
        )
    ).all()
    if len(held) >= per_member:
        raise ClaimLimitReachedError
    return next(-place for place in range(1, len(held) + 2) if -place not in held)


def _end(session: Session, gift: CouponGift, state: GiftState, now: datetime, **facts: Any) -> None:
    values = {"state": state.value, "open_slot": None, "ended_at": now, **facts}
    update_where(session, sa.update(CouponGift).where(CouponGift.id == gift.id, CouponGift.state == GiftState.OPEN).values(**values))
    session.refresh(gift)


def _news(session: Session, gift: CouponGift, now: datetime) -> None:
    publish(
        session,
        events.GIFT_ENDED,
        key=f"{events.GIFT_ENDED}:{gift.id}",
        aggregate_type="coupon_gift",
        aggregate_id=gift.id,
        payload={"gift_id": str(gift.id), "member_id": str(gift.from_member_id)},
        now=now,
    )
