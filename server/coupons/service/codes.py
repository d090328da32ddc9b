"""Claiming a coupon with a code. The member's points account is locked first, so that their tries are counted one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.coupons.errors import (
    ClaimLimitReachedError,
    CodeNotValidError,
    NotInWindowError,
    SoldOutError,
    SourceConflictError,
    TemplateStateError,
    TierNotEligibleError,
    TooManyCodeTriesError,
)
from server.coupons.models import Coupon, CouponCode, CouponCodeBatch, CouponCodeTry
from server.coupons.queries import CODE_NAMESPACE, CouponView, coupon_view, find_template
from server.coupons.rules.codes import BatchKind, BatchState, normalised_code
from server.coupons.service.code_batches import INDEX_KIND
from server.coupons.service.issuing import issue
from server.coupons.service.standing import tier_of
from server.kernel.clock import business_date, end_of_day
from server.kernel.crypto import vault_of
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.points import service as points

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.errors import DomainError

WRONG_TRIES = 10


@dataclass(frozen=True, slots=True)
class CodeClaim:
    """What became of a code: a coupon, or what to tell the member."""

    coupon: CouponView | None
    refusal: DomainError | None = None


def claim_by_code(session: Session, member_id: UUID, text: str, *, actor: Actor, now: datetime) -> CodeClaim:
    """Give a member the coupon of a code. A wrong code is written down, so the caller commits it and then tells the refusal.

    Arguments:
        session: of the edge's transaction.
        member_id: who typed it.
        text: as it was typed.
        actor: the member.
        now: present instant.

    Returns:
        The coupon (the same again for a code the member claimed before), or ``CodeNotValidError`` for every wrong code.

    Raises:
        TooManyCodeTriesError: too many wrong ones today; nothing is looked up, and nothing written.
        ClaimLimitReachedError: the member has as many as one member may have, of the batch or of the template.
        SoldOutError: the claims of a shared word, the stock or the budget are used up.
        NotInWindowError: the template is paused, or its coupons' validity is over.
        TierNotEligibleError: the coupon is for members of other tiers.
    """
    points.open_account(session, member_id, now=now)
    today, zone = business_date(now, zone_of(session)), zone_of(session)
    tried = _wrong_tries(session, member_id, today)
    if len(tried) >= WRONG_TRIES:
        raise TooManyCodeTriesError(retry_after_seconds=math.ceil((end_of_day(today, zone) - now).total_seconds()))
    code = normalised_code(text)
    code_hash = vault_of(session).index(INDEX_KIND, code) if code else ""
    batch = _batch_of(session, code_hash) if code_hash else None
    if batch is not None:
        try:
            with session.begin_nested():
                return CodeClaim(_claim(session, member_id, batch, code_hash, actor=actor, now=now))
        except (CodeNotValidError, SourceConflictError):
            pass  # somebody else has it, or it cannot be claimed now: as unknown as a code that never was
    slot = next(each for each in range(1, WRONG_TRIES + 1) if each not in tried)
    insert_if_absent(session, CouponCodeTry, {"id": uuid7(), "member_id": member_id, "business_day": today, "slot": slot, "tried_at": now})
    return CodeClaim(None, CodeNotValidError())


def forget_tries(session: Session, before: datetime, limit: int = 500) -> int:
    """Delete tries of days that are over; return how many."""
    ids = session.scalars(
        sa.select(CouponCodeTry.id).where(CouponCodeTry.tried_at < before).order_by(CouponCodeTry.tried_at).limit(limit)
    ).all()
    if ids:
        session.execute(sa.delete(CouponCodeTry).where(CouponCodeTry.id.in_(list(ids))).execution_options(synchronize_session=False))
    return len(ids)


def _claim(session: Session, member_id: UUID, batch: sa.Row[Any], code_hash: str, *, actor: Actor, now: datetime) -> CouponView:
    begins = f"{batch.id.hex}:"
    held = session.execute(
        sa.select(Coupon.source_key).where(
            Coupon.member_id == member_id, Coupon.template_id == batch.template_id, Coupon.source_namespace == CODE_NAMESPACE
        )
    ).scalars()
    mine = [key for key in held if key.startswith(begins)]
    unique = batch.kind == BatchKind.UNIQUE
    # The source is the code itself, so that the coupons' own constraint holds "once"; a word's claims are numbered for each member.
    key = begins + (code_hash.rpartition(".")[2] if unique else f"{member_id.hex}:{len(mine) + 1}")
    source = Source(CODE_NAMESPACE, key)
    if unique and key in mine:
        return _again(session, source, now)
    if batch.per_member is not None and len(mine) >= batch.per_member:
        if not unique or _is_free(session, source):
            raise ClaimLimitReachedError
        raise CodeNotValidError
    _take(session, batch, now)
    if unique and not _is_free(session, source):
        raise CodeNotValidError
    template = find_template(session, batch.template_id)
    tiers = template.draft.terms.scope.tiers
    if tiers and tier_of(session, member_id) not in tiers:
        raise TierNotEligibleError
    try:
        return issue(session, member_id, batch.template_id, source=source, actor=actor, now=now)
    except TemplateStateError as error:
        raise NotInWindowError from error


def _take(session: Session, batch: sa.Row[Any], now: datetime) -> None:
    """Count one claim of a batch that is open now, below its number."""
    of = CouponCodeBatch
    taken = update_where(
        session,
        sa.update(of)
        .where(
            of.id == batch.id,
            of.state == BatchState.OPEN.value,
            sa.or_(of.claim_from.is_(None), of.claim_from <= now),
            sa.or_(of.claim_until.is_(None), of.claim_until > now),
            sa.or_(of.size.is_(None), of.claimed < of.size),
        )
        .values(claimed=of.claimed + 1),
    )
    if taken:
        return
    left = session.execute(sa.select(of.state, of.size, of.claimed).where(of.id == batch.id)).one()
    shared_out = batch.kind == BatchKind.SHARED and left.state == BatchState.OPEN and left.size is not None and left.claimed >= left.size
    raise SoldOutError if shared_out else CodeNotValidError


def _batch_of(session: Session, code_hash: str) -> sa.Row[Any] | None:
    of = CouponCodeBatch
    columns: tuple[Any, ...] = (of.id, of.template_id, of.kind, of.per_member)
    statement = sa.select(*columns).join(CouponCode, CouponCode.batch_id == of.id)
    row: sa.Row[Any] | None = session.execute(statement.where(CouponCode.code_hash == code_hash)).one_or_none()
    return row


def _is_free(session: Session, source: Source) -> bool:
    statement = sa.select(Coupon.id).where(Coupon.source_namespace == source.namespace, Coupon.source_key == source.key)
    return session.scalar(statement) is None


def _again(session: Session, source: Source, now: datetime) -> CouponView:
    statement = sa.select(Coupon).where(Coupon.source_namespace == source.namespace, Coupon.source_key == source.key)
    return coupon_view(session.scalars(statement.execution_options(populate_existing=True)).one(), now)


def _wrong_tries(session: Session, member_id: UUID, day: date) -> set[int]:
    statement = sa.select(CouponCodeTry.slot).where(CouponCodeTry.member_id == member_id, CouponCodeTry.business_day == day)
    return set(session.scalars(statement))
