"""Who follows the Official Account, kept so that a member can be written to by unionid.

News come by server push; a nightly walk through the whole list makes up for pushes that were lost. It goes on where it was broken off.
A follower is anybody: the row names a person by openid alone, sealed, and belongs to a member only through the unionid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.wechat.gateway.official_account import Follower
from server.wechat.models import OfficialAccountFollower, OfficialAccountWalk

_TABLE = "official_account_followers"
# A walk that has not moved for so long is given up and begun anew: its place in the list may mean nothing by then.
_WALK_GIVEN_UP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a walk through the list of followers has come; ``next_openid`` is empty at its beginning."""

    started_at: datetime
    next_openid: str
    seen: int
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class FollowerFigures:
    """How many follow, how many of them are known by unionid, and how the last walk stands."""

    following: int
    known: int
    waiting: int
    walk: Walk | None


def note_followed(
    session: Session, appid: str, openid: str, *, following: bool, now: datetime, occurred_at: datetime | None = None
) -> None:
    """Note that somebody follows or left, unless something newer is known.

    Arguments:
        session: of an open transaction.
        appid: of the account.
        openid: of the person there.
        following: whether they follow now.
        now: present instant.
        occurred_at: when it happened, where that is not now: pushes may come late and out of order.
    """
    at = occurred_at or now
    follower_id, index = uuid7(), vault_of(session).index("openid", openid)
    values = {
        "id": follower_id,
        "appid": appid,
        "openid_index": index,
        "openid_sealed": vault_of(session).seal(openid, Place(_TABLE, "openid_sealed", follower_id)),
        "unionid_index": None,
        "following": following,
        "changed_at": at,
        "asked_at": None,
        "seen_at": now,
    }
    if insert_if_absent(session, OfficialAccountFollower, values):
        return
    mine = sa.and_(OfficialAccountFollower.appid == appid, OfficialAccountFollower.openid_index == index)
    changed = sa.update(OfficialAccountFollower).where(
        mine, OfficialAccountFollower.changed_at <= at, OfficialAccountFollower.following.is_(not following)
    )
    update_where(session, changed.values(following=following, changed_at=at))
    update_where(session, sa.update(OfficialAccountFollower).where(mine).values(seen_at=now))


def unasked(session: Session, appid: str, limit: int) -> list[tuple[UUID, str]]:
    """Return followers whose unionid was not asked for yet, as id and openid."""
    rows = session.execute(
        sa.select(OfficialAccountFollower.id, OfficialAccountFollower.openid_sealed)
        .where(
            OfficialAccountFollower.appid == appid,
            OfficialAccountFollower.following.is_(True),
            OfficialAccountFollower.asked_at.is_(None),
        )
        .order_by(OfficialAccountFollower.id)
        .limit(limit)
    ).all()
    vault = vault_of(session)
    return [(row.id, vault.open(row.openid_sealed, Place(_TABLE, "openid_sealed", row.id))) for row in rows]


def note_infos(session: Session, asked: Sequence[tuple[UUID, str]], infos: Sequence[Follower], *, now: datetime) -> None:
    """Write down what WeChat told about people; those it did not mention are not asked for again until the next walk finds them."""
    vault, told = vault_of(session), {info.openid: info for info in infos}
    for follower_id, openid in asked:
        info = told.get(openid)
        values: dict[str, Any] = {"asked_at": now}
        if info is not None and info.unionid:
            values["unionid_index"] = vault.index("unionid", info.unionid)
        if info is not None and not info.following:
            values |= {"following": False, "changed_at": now}
        update_where(session, sa.update(OfficialAccountFollower).where(OfficialAccountFollower.id == follower_id).values(**values))


def openid_by_union(session: Session, appid: str, unionid_indexes: Sequence[str]) -> str | None:
    """Return the openid under which a person follows the account now.

    Arguments:
        session: of an open transaction.
        appid: of the account.
        unionid_indexes: blind indexes of kind ``unionid`` of that person.
    """
    if not unionid_indexes:
        return None
    row = session.execute(
        sa.select(OfficialAccountFollower.id, OfficialAccountFollower.openid_sealed)
        .where(
            OfficialAccountFollower.appid == appid,
            OfficialAccountFollower.unionid_index.in_(unionid_indexes),
            OfficialAccountFollower.following.is_(True),
        )
        .order_by(OfficialAccountFollower.changed_at.desc(), OfficialAccountFollower.id)
        .limit(1)
    ).one_or_none()
    return vault_of(session).open(row.openid_sealed, Place(_TABLE, "openid_sealed", row.id)) if row is not None else None


def note_not_following(session: Session, appid: str, openid: str, *, now: datetime) -> None:
    """Note what a refused message told: this person does not follow any more."""
    note_followed(session, appid, openid, following=False, now=now)


def forget_followers(session: Session, unionid_indexes: Sequence[str]) -> None:
    """Delete the rows of a person who asked to be forgotten.

    Whoever still follows the account appears again with the next walk, as somebody who is no member.
    """
    if unionid_indexes:
        session.execute(
            sa.delete(OfficialAccountFollower)
            .where(OfficialAccountFollower.unionid_index.in_(unionid_indexes))
            .execution_options(synchronize_session=False)
        )


# --- The walk through the whole list ---


def begin_walk(session: Session, appid: str, *, now: datetime) -> Walk:
    """Return the walk to go on with: the one that was broken off, or a new one."""
    values = {"id": uuid7(), "appid": appid, "started_at": now, "next_sealed": None, "seen": 0, "moved_at": now, "finished_at": None}
    insert_if_absent(session, OfficialAccountWalk, values)
    row = _walk(session, appid)
    if row.finished_at is not None or row.moved_at < now - _WALK_GIVEN_UP:
        row.started_at, row.next_sealed, row.seen, row.moved_at, row.finished_at = now, None, 0, now, None
        session.flush()
    return _view(session, row)


def note_page(session: Session, appid: str, openids: Sequence[str], next_openid: str, *, now: datetime) -> None:
    """Write down one page of the list and how far the walk has come; after the last page those it did not meet have left."""
    for openid in openids:
        note_followed(session, appid, openid, following=True, now=now)
    row = _walk(session, appid)
    row.seen, row.moved_at = row.seen + len(openids), now
    if next_openid:
        row.next_sealed = vault_of(session).seal(next_openid, Place("official_account_walks", "next_sealed", row.id))
        session.flush()
        return
    row.next_sealed, row.finished_at = None, now
    gone = sa.update(OfficialAccountFollower).where(
        OfficialAccountFollower.appid == appid,
        OfficialAccountFollower.following.is_(True),
        OfficialAccountFollower.seen_at < row.started_at,
    )
    update_where(session, gone.values(following=False, changed_at=now))
    session.flush()


def figures(session: Session, appid: str) -> FollowerFigures:
    """Return how many follow and how the last walk stands."""
    following = OfficialAccountFollower.following.is_(True)
    counted = session.execute(
        sa.select(
            sa.func.count(),
            sa.func.count(OfficialAccountFollower.unionid_index),
            sa.func.count(sa.case((OfficialAccountFollower.asked_at.is_(None), 1))),
        ).where(OfficialAccountFollower.appid == appid, following)
    ).one()
    row = session.scalar(sa.select(OfficialAccountWalk).where(OfficialAccountWalk.appid == appid))
    return FollowerFigures(int(counted[0]), int(counted[1]), int(counted[2]), _view(session, row) if row is not None else None)


def _walk(session: Session, appid: str) -> OfficialAccountWalk:
    statement = sa.select(OfficialAccountWalk).where(OfficialAccountWalk.appid == appid)
    return session.execute(statement.with_for_update().execution_options(populate_existing=True)).scalar_one()


def _view(session: Session, row: OfficialAccountWalk) -> Walk:
    place = Place("official_account_walks", "next_sealed", row.id)
    next_openid = vault_of(session).open(row.next_sealed, place) if row.next_sealed else ""
    return Walk(row.started_at, next_openid, row.seen, row.finished_at)
