"""Members who may be addressed for a purpose: active, and their last word on it was yes."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from server.members.models import Member, MemberConsent


def _consenting(purpose: str, joined_before: datetime) -> sa.ColumnElement[bool]:
    later = aliased(MemberConsent)
    of = MemberConsent
    after = sa.or_(later.occurred_at > of.occurred_at, sa.and_(later.occurred_at == of.occurred_at, later.id > of.id))
    superseded = sa.exists().where(later.member_id == of.member_id, later.purpose == purpose, after)
    said_yes = sa.exists().where(of.member_id == Member.id, of.purpose == purpose, of.granted.is_(True), ~superseded)
    return sa.and_(Member.status == "active", Member.joined_at < joined_before, said_yes)


def page(session: Session, purpose: str, *, joined_before: datetime, after: UUID | None, limit: int) -> list[UUID]:
    """Return members to address, in order of their ids.

    Arguments:
        session: of an open transaction.
        purpose: of the consent, such as ``marketing``.
        joined_before: whoever joined later is not among them.
        after: the last id of the page before.
        limit: size of a page.
    """
    statement = sa.select(Member.id).where(_consenting(purpose, joined_before))
    if after is not None:
        statement = statement.where(Member.id > after)
    return list(session.scalars(statement.order_by(Member.id).limit(limit)))


def count(session: Session, purpose: str, *, joined_before: datetime) -> tuple[int, int]:
    """Return how many members would be addressed, and how many are active at all."""
    asked: list[Any] = [_consenting(purpose, joined_before), sa.and_(Member.status == "active", Member.joined_at < joined_before)]
    found = [int(session.scalar(sa.select(sa.func.count()).select_from(Member).where(each)) or 0) for each in asked]
    return found[0], found[1]
