"""Giving a coupon to a friend: the link that is sent, and what the friend makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from flask_babel import gettext
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api.auth import member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.risk import refused
from miniprogram_api.schemas import Document, Output, PageOut, PageQuery
from miniprogram_api.v1.coupons import CouponOut, shape
from server.coupons import gift_queries, service
from server.coupons.gift_queries import GiftView
from server.coupons.rules.states import GiftState
from server.kernel.pagination import PageRequest
from server.members import queries as members
from server.risk.rules import Way

bp = APIBlueprint("v1_coupon_gifts", __name__, url_prefix="/api/v1", tag="Coupon gifts")

_PAGE = "pages/gift/index"


class GiftsQuery(PageQuery):
    """``?direction=`` of the list."""

    direction: Literal["sent", "received"] = "sent"


class OfferOut(Output):
    """What the mini-program shares. The token is told this once; whoever has it may answer."""

    id: UUID
    token: str
    path: str = Field(description="of the page that onShareAppMessage sends")
    title: str
    expires_at: datetime
    coupon: CouponOut


class GiftOut(Output):
    """An offer, as either side sees it. Of a nickname only the beginning is told: whoever has the link may be a stranger."""

    id: UUID
    state: GiftState
    mine: bool = Field(description="the reader is who gives")
    from_nickname: str | None = Field(description="its first character and two stars; null for a giver without a nickname")
    to_nickname: str | None = Field(description="likewise; told to the giver only")
    coupon_name: str
    offer: str
    sentence: str
    valid_until: datetime
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


@bp.post("/coupons/<uuid:coupon_id>/gifts")
@member_required
@bp.doc(summary="Offer a coupon to a friend")
@bp.output(OfferOut, status_code=201)
def offer_coupon(coupon_id: UUID) -> Response:
    """Make a link that gives the coupon to the first friend who accepts; until then, or for a day, it cannot be used.

    409: ``coupon_not_giftable``, ``coupon_not_available``, ``coupon_gifts_exhausted``.
    """

    def work(session: Session) -> tuple[int, OfferOut]:
        made = service.offer(session, member_id(), coupon_id, actor=actor(), now=now())
        return 201, OfferOut(
            id=made.gift_id,
            token=made.token,
            path=f"{_PAGE}?g={made.token}",
            title=gettext("A coupon for you: %(name)s", name=made.coupon.name),
            expires_at=made.expires_at,
            coupon=shape(made.coupon),
        )

    return run_command(work)


@bp.post("/coupons/<uuid:coupon_id>/gifts/withdrawal")
@member_required
@bp.doc(summary="Take an offered coupon back")
@bp.output(CouponOut)
def withdraw(coupon_id: UUID) -> Response:
    """Take the coupon back into the wallet; 409 ``coupon_gift_ended`` when a friend accepted it already."""
    return run_command(lambda session: (200, shape(service.withdraw(session, member_id(), coupon_id, actor=actor(), now=now()))))


@bp.get("/coupon-gifts")
@member_required
@bp.input(GiftsQuery, location="query")
@bp.doc(summary="The coupons I offered, or was given")
@bp.output(PageOut[GiftOut])
def list_gifts(query_data: GiftsQuery) -> Response:
    """Return one page of offers, newest first."""
    page, received = PageRequest.of(query_data.limit, query_data.cursor), query_data.direction == "received"
    with core().db.reading() as session:
        found = gift_queries.of_member(session, member_id(), page, received=received, now=now())
        names = _names(session, found.items)
    return json_response(PageOut[GiftOut](items=[_shape(each, names) for each in found.items], next_cursor=found.next_cursor))


@bp.get("/coupon-gifts/<token>")
@member_required
@bp.doc(summary="What a friend offers")
@bp.output(GiftOut)
def show_gift(token: str) -> Response:
    """Return the offer behind a link; 404 ``coupon_gift_not_found`` for any other token."""
    with core().db.reading() as session:
        found = gift_queries.by_token(session, token, now=now())
        names = _names(session, [found])
    return json_response(_shape(found, names))


@bp.post("/coupon-gifts/<token>/acceptance")
@member_required
@bp.doc(summary="Accept a friend's coupon")
@bp.output(CouponOut)
def accept_gift(token: str) -> Response:
    """Put the coupon into one's own wallet; accepting it again answers the same coupon.

    409: ``coupon_gift_ended``, ``own_coupon_gift``, ``claim_limit_reached``, ``tier_not_eligible``, ``risk_held``.
    """

    def work(session: Session) -> tuple[int, CouponOut | Document]:
        stopped = refused(session, Way.GIFT)
        if stopped is not None:
            return stopped
        return 200, shape(service.accept(session, member_id(), token, actor=actor(), now=now()))

    return run_command(work)


@bp.post("/coupon-gifts/<token>/refusal")
@member_required
@bp.doc(summary="Turn a friend's coupon down")
@bp.output(GiftOut)
def refuse_gift(token: str) -> Response:
    """Send the coupon back to the friend. 409: ``coupon_gift_ended``, ``own_coupon_gift``."""

    def work(session: Session) -> tuple[int, GiftOut]:
        service.refuse(session, member_id(), token, actor=actor(), now=now())
        found = gift_queries.by_token(session, token, now=now())
        return 200, _shape(found, _names(session, [found]))

    return run_command(work)


def _names(session: Session, gifts: Sequence[GiftView]) -> dict[UUID, str]:
    return members.names_of(session, [who for gift in gifts for who in (gift.from_member_id, gift.to_member_id) if who is not None])


def _shape(gift: GiftView, names: dict[UUID, str]) -> GiftOut:
    coupon, mine = shape(gift.coupon), gift.from_member_id == member_id()
    return GiftOut(
        id=gift.id,
        state=GiftState(gift.state),
        mine=mine,
        from_nickname=_beginning(names.get(gift.from_member_id)),
        to_nickname=_beginning(names.get(gift.to_member_id)) if mine and gift.to_member_id else None,
        coupon_name=coupon.template.name,
        offer=coupon.template.offer,
        sentence=coupon.template.sentence,
        valid_until=coupon.valid_until,
        created_at=gift.created_at,
        expires_at=gift.expires_at,
        ended_at=gift.ended_at,
    )


def _beginning(nickname: str | None) -> str | None:
    return f"{nickname[0]}**" if nickname else None
