"""Joining the points of two records of one person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.kernel.source import Source
from server.kernel.text import N_
from server.points import books, caps, queries
from server.points.ledger import Draft, Journal
from server.points.models import PointsAccount, PointsCheckIn, PointsLot, PointsReservation

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

MERGE_REASON = N_("Memberships merged")


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, int]:
    """Move every account of one member to the same account of another; lots keep their dates.

    The caller (``flows.merge``) has locked both members, so no two merges of one member meet here. Later commands that
    still name the first member work on the second. Merging twice changes nothing.

    Returns:
        The balances that moved, for the merge's journal; debt is negative.
    """
    for member_id in sorted((from_id, into_id)):
        books.ensure_account(session, member_id, now)
    homes = queries.homes(session, (from_id, into_id))
    survivor_id = homes[into_id]
    if homes[from_id] != from_id or survivor_id == from_id:
        return {}
    accounts = books.lock_accounts(session, (from_id, survivor_id))
    leaving, staying = accounts[from_id], accounts[survivor_id]
    balances = {name: getattr(leaving, name) for name in ("pending", "available", "reserved")}
    balances["debt"] = -leaving.debt_owed
    source = Source("points", f"merge:{from_id.hex}")
    content = books.fingerprint("merge", from_id, None, MERGE_REASON, survivor_id)
    draft = Draft(staying, "merge", leaving.available, source, content, MERGE_REASON, details={"from": str(from_id)})
    for name, balance in balances.items():
        if balance:
            draft.post(name, -balance, leaving)
            draft.post(name, balance, staying)
    if draft.postings:
        journal = Journal(session, SystemActor("merge"), now)
        journal.add(draft, leaving)
        journal.write()
    for model in (PointsLot, PointsReservation):
        session.execute(
            sa.update(model).where(model.member_id == from_id).values(member_id=survivor_id).execution_options(synchronize_session=False)
        )
    known_days = set(session.scalars(sa.select(PointsCheckIn.day).where(PointsCheckIn.member_id == survivor_id)))
    session.execute(
        sa.update(PointsCheckIn)
        .where(PointsCheckIn.member_id == from_id, PointsCheckIn.day.not_in(known_days))
        .values(member_id=survivor_id)
        .execution_options(synchronize_session=False)
    )
    caps.merge(session, from_id, survivor_id)
    session.execute(
        sa.update(PointsAccount)
        .where(sa.or_(PointsAccount.member_id == from_id, PointsAccount.merged_into == from_id))
        .values(merged_into=survivor_id)
        .execution_options(synchronize_session=False)
    )
    return balances
