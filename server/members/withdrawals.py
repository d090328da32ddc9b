"""What members withdraw in WeChat's settings: the proof that it was deleted, and this domain's part of deleting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.members.enrolment import phone_columns
from server.members.models import MemberWithdrawal
from server.members.rows import lock

# What something under way still needs is looked at again so often.
_HELD_FOR = timedelta(hours=1)
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """One withdrawal and how far it has come.

    Arguments:
        id: key.
        member_id: whose.
        event: WeChat's.
        codes: what was withdrawn, in WeChat's numbers.
        duties: what had to be deleted here.
        held: what of it something under way still needs.
        occurred_at: when it was withdrawn.
        done_at: when everything was deleted, or None.
    """

    id: UUID
    member_id: UUID
    event: str
    codes: list[str]
    duties: list[str]
    held: list[str]
    occurred_at: datetime
    done_at: datetime | None


def note(
    session: Session, member_id: UUID, *, push_key: str, event: str, codes: Sequence[str], duties: Sequence[str],
    occurred_at: datetime, now: datetime,
) -> UUID | None:  # fmt: skip
    """Lock a member and write down that they withdrew something.

    Returns:
        The withdrawal's id, or None when this push was carried out before.

    Raises:
        MemberNotFoundError: there is no such member.
    """
    lock(session, member_id)
    withdrawal_id = uuid7()
    values = {
        "id": withdrawal_id,
        "member_id": member_id,
        "push_key": push_key,
        "event": event[:64],
        "codes": list(codes),
        "duties": list(duties),
        "held": list(duties),
        "occurred_at": occurred_at,
        "taken_at": now,
        "attempt_at": now,
        "done_at": None,
    }
    return withdrawal_id if insert_if_absent(session, MemberWithdrawal, values) else None


def lock_due(session: Session, withdrawal_id: UUID, *, now: datetime) -> WithdrawalView | None:
    """Lock the member of a withdrawal of which something is still to be deleted, or return None when nothing is due."""
    row = session.get(MemberWithdrawal, withdrawal_id, populate_existing=True)
    if row is None:
        return None
    lock(session, row.member_id)
    session.refresh(row)
    return _view(row) if row.attempt_at is not None and row.attempt_at <= now else None


def settle(session: Session, withdrawal_id: UUID, held: Sequence[str], *, now: datetime) -> None:
    """Write down what is deleted now and what is held by something under way.

    Arguments:
        session: of the transaction that holds the member's lock.
        withdrawal_id: which.
        held: duties that could not be carried out yet.
        now: present instant.
    """
    row = session.get_one(MemberWithdrawal, withdrawal_id, populate_existing=True)
    row.held = list(held)
    row.attempt_at, row.done_at = (now + _HELD_FOR, None) if held else (None, now)
    session.flush()


def blank(session: Session, member_id: UUID, *, names: Sequence[str], given_until: datetime, now: datetime) -> UUID | None:
    """Empty parts of a member's profile.

    Arguments:
        session: of an open transaction.
        member_id: whose.
        names: of ``nickname``, ``avatar`` and ``phone``.
        given_until: a phone number that was bound after this instant was given anew and stays.
        now: present instant.

    Returns:
        The upload that was the picture, for its file to be removed.
    """
    member = lock(session, member_id)
    picture = member.avatar_upload_id if "avatar" in names else None
    if "nickname" in names:
        member.nickname = None
    if "avatar" in names:
        member.avatar_upload_id = None
    if "phone" in names and (member.phone_bound_at is None or member.phone_bound_at <= given_until):
        for name, value in phone_columns(session, member_id, None, now).items():
            setattr(member, name, value)
    member.updated_at = now
    session.flush()
    return picture


def due(session: Session, now: datetime, limit: int) -> list[UUID]:
    """Return withdrawals of which something is to be tried again, oldest first."""
    statement = sa.select(MemberWithdrawal.id).where(MemberWithdrawal.attempt_at <= now)
    return list(session.scalars(statement.order_by(MemberWithdrawal.attempt_at, MemberWithdrawal.id).limit(limit)))


def of_records(session: Session, member_ids: Sequence[UUID]) -> list[WithdrawalView]:
    """Return what some records of one person withdrew, newest first."""
    statement = sa.select(MemberWithdrawal).where(MemberWithdrawal.member_id.in_(member_ids))
    return [_view(row) for row in session.scalars(statement.order_by(MemberWithdrawal.occurred_at.desc()).limit(_SHOWN))]


def _view(row: MemberWithdrawal) -> WithdrawalView:
    return WithdrawalView(row.id, row.member_id, row.event, list(row.codes), list(row.duties), list(row.held), row.occurred_at, row.done_at)
