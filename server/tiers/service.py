"""The verbs of tiers: define one, assign a member to one, lock it, carry it over in a merge. What is earned is in ``growth``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.files import queries as file_queries
from server.files import service as files
from server.kernel.actors import SystemActor
from server.kernel.db import insert_all_absent, insert_rows
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.tiers import accounts, queries
from server.tiers.errors import TierInvalidError, TierLockInvalidError, TierNotFoundError, TierNotLockedError, TierReasonRequiredError
from server.tiers.growth import Activity, OrderFacts, earn_activity, hand_over_order, reassess_due, settle_orders
from server.tiers.models import GrowthAccount, GrowthEntry, Tier
from server.tiers.qualifying import ASSIGNMENT, LOCK, MERGE, UNLOCK, shifted
from server.tiers.rulebook import drop_draft, ensure_default_rule, publish, save_draft
from server.tiers.rules import DEFAULT_TIERS, TierDraft, check

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

__all__ = [
    "Activity",
    "OrderFacts",
    "assign",
    "define",
    "drop_draft",
    "earn_activity",
    "ensure_default_rule",
    "ensure_default_tiers",
    "hand_over_order",
    "lock",
    "merge_members",
    "publish",
    "reassess_due",
    "save_draft",
    "settle_orders",
    "unlock",
]

MERGE_REASON = N_("Memberships merged")
_MOST_LOCKED_MONTHS = 60


def ensure_default_tiers(session: Session) -> int:
    """Define the default tiers unless tiers are defined already; return how many were."""
    if session.scalar(sa.select(sa.func.count()).select_from(Tier)):
        return 0
    rows = [
        {
            "id": uuid7(),
            "code": draft.code,
            "name": draft.name,
            "tier_rank": draft.rank,
            "points_multiplier_percent": draft.points_multiplier_percent,
            "face": draft.face.document(),
            "benefits": list(draft.benefits),
            "perks": draft.perks.document(),
        }
        for draft in DEFAULT_TIERS
    ]
    return insert_all_absent(session, Tier, rows)


def define(session: Session, draft: TierDraft, *, actor: Actor, now: datetime) -> None:
    """Define a tier, or change the one that has its code.

    Raises:
        TierInvalidError: values that make no sense, or a rank another tier has.
        UploadNotFoundError: the picture of its card is not one that staff made.
    """
    check(draft)
    tiers = {tier.code: tier for tier in queries.definitions(session)}
    if any(tier.rank == draft.rank for code, tier in tiers.items() if code != draft.code):
        raise TierInvalidError(fields={"rank": str(draft.rank)})
    if draft.face.picture is not None:
        # One that staff made, not a member's; and from now on it is in use.
        picture = UUID(draft.face.picture)
        file_queries.owned(session, None, [picture])
        files.attach(session, [picture], now=now)
    values = {
        "name": draft.name.strip(),
        "rank": draft.rank,
        "points_multiplier_percent": draft.points_multiplier_percent,
        "face": draft.face.document(),
        "benefits": list(draft.benefits),
        "perks": draft.perks.document(),
    }
    before = tiers.get(draft.code)
    if before is None:
        session.execute(sa.insert(Tier).values(id=uuid7(), code=draft.code, **values))
    else:
        session.execute(sa.update(Tier).where(Tier.code == draft.code).values(**values).execution_options(synchronize_session=False))
    audit.record(
        session,
        actor=actor,
        action="tier.define",
        subject_type="tier",
        subject_id=draft.code,
        before=None if before is None else {name: value for name, value in asdict(before).items() if name != "since"},
        after={"code": draft.code, **values},
        now=now,
    )


def assign(session: Session, member_id: UUID, tier_code: str, *, reason: str, actor: Actor, now: datetime) -> queries.TierView:
    """Give a member a tier. The tier they hold already changes nothing.

    Arguments:
        session: of an open transaction.
        member_id: whose tier.
        tier_code: the tier to hold.
        reason: shown to the member and kept with the change.
        actor: who does it.
        now: present instant.

    Raises:
        TierNotFoundError: no tier has that code.
        TierReasonRequiredError: an empty reason.
    """
    if not reason.strip():
        raise TierReasonRequiredError(fields={"reason": TierReasonRequiredError.message})
    ladder = accounts.rungs(session)
    target = next((rung for rung in ladder if rung.code == tier_code), None)
    if target is None:
        raise TierNotFoundError
    # The account is the lock: two assignments of one member follow each other.
    account = accounts.locked(session, [member_id], now)[member_id]
    held = accounts.held_tiers(session, [account.member_id], ladder)[account.member_id]
    if held.id == target.id:
        return queries.of_member(session, account.member_id)
    ranks = [rung.code for rung in ladder]
    accounts.change_tier(session, account, held, target, ranks, cause=ASSIGNMENT, reason=reason, now=now, actor=actor)
    accounts.begin_period(session, account, target, ladder, now)
    accounts.refresh(session, [account], now=now)
    audit.record(
        session,
        actor=actor,
        action="tier.assign",
        subject_type="member",
        subject_id=account.member_id,
        before={"tier": held.code},
        after={"tier": tier_code},
        reason=reason.strip(),
        now=now,
    )
    return queries.of_member(session, account.member_id)


def lock(
    session: Session, member_id: UUID, until: date, *, reason: str, actor: Actor, now: datetime, tier_code: str | None = None
) -> queries.TierView:
    """Hold a member's tier until a day, whatever growth says; locking again moves the day.

    Arguments:
        session: of an open transaction.
        member_id: whose tier.
        until: last day on which the job leaves it alone.
        reason: for the record.
        actor: who does it.
        now: present instant.
        tier_code: the tier to hold; the one held when left out.

    Raises:
        TierReasonRequiredError: an empty reason.
        TierLockInvalidError: a day that is over, or more than five years ahead.
        TierNotFoundError: no tier has that code.
    """
    if not reason.strip():
        raise TierReasonRequiredError(fields={"reason": TierReasonRequiredError.message})
    today = accounts.today_of(session, now)
    if not today <= until <= shifted(today, _MOST_LOCKED_MONTHS):
        raise TierLockInvalidError(fields={"until": TierLockInvalidError.message})
    ladder = accounts.rungs(session)
    account = accounts.locked(session, [member_id], now)[member_id]
    held = accounts.held_tiers(session, [account.member_id], ladder)[account.member_id] if ladder else None
    target = held if tier_code is None else next((rung for rung in ladder if rung.code == tier_code), None)
    if held is None or target is None:
        raise TierNotFoundError
    before = {"tier": held.code, "locked_until": None if account.locked_until is None else str(account.locked_until)}
    ranks = [rung.code for rung in ladder]
    accounts.change_tier(session, account, held, target, ranks, cause=LOCK, reason=reason, now=now, actor=actor)
    if target.id != held.id:
        accounts.begin_period(session, account, target, ladder, now)
    account.locked_until, account.lock_reason = until, reason.strip()[:255]
    # Without a rule nothing else would notice the day.
    account.due_on = until + timedelta(days=1)
    accounts.refresh(session, [account], now=now)
    audit.record(
        session,
        actor=actor,
        action="tier.lock",
        subject_type="member",
        subject_id=account.member_id,
        before=before,
        after={"tier": target.code, "locked_until": str(until)},
        reason=reason.strip(),
        now=now,
    )
    return queries.of_member(session, account.member_id)


def unlock(session: Session, member_id: UUID, *, reason: str, actor: Actor, now: datetime) -> queries.TierView:
    """Let growth decide again, from now on; what it asks for is done at once.

    Raises:
        TierReasonRequiredError: an empty reason.
        TierNotLockedError: the tier is not locked.
    """
    if not reason.strip():
        raise TierReasonRequiredError(fields={"reason": TierReasonRequiredError.message})
    ladder = accounts.rungs(session)
    account = accounts.locked(session, [member_id], now)[member_id]
    if account.locked_until is None or not ladder:
        raise TierNotLockedError
    held = accounts.held_tiers(session, [account.member_id], ladder)[account.member_id]
    before = str(account.locked_until)
    accounts.change_tier(session, account, held, held, [rung.code for rung in ladder], cause=UNLOCK, reason=reason, now=now, actor=actor)
    if account.period_ends_on is not None:
        # A period that ran out under the lock ends with it, so that the grace is had in full.
        account.period_ends_on = max(account.period_ends_on, accounts.today_of(session, now))
    account.locked_until = account.lock_reason = None
    accounts.refresh(session, [account], now=now)
    audit.record(
        session,
        actor=actor,
        action="tier.unlock",
        subject_type="member",
        subject_id=account.member_id,
        before={"tier": held.code, "locked_until": before},
        after={"tier": held.code, "locked_until": None},
        reason=reason.strip(),
        now=now,
    )
    return queries.of_member(session, account.member_id)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, Any]:
    """Let the surviving member hold the better of the two tiers, with its period and lock, and the growth of both.

    Growth moves by entries of its own, one for each day it counts on, so that it leaves the window when it would have. Later facts that
    still name the first member count for the second. Merging twice changes nothing.

    Returns:
        ``{tier: code, growth: all that moved}`` for the merge's journal.
    """
    pair = accounts.locked(session, [from_id, into_id], now)
    leaving, staying = pair[from_id], pair[into_id]
    ladder = accounts.rungs(session)
    if leaving.member_id == staying.member_id or not ladder:
        return {}
    held = accounts.held_tiers(session, [leaving.member_id, staying.member_id], ladder)
    worse, better = held[staying.member_id], held[leaving.member_id]
    moved = _move_growth(session, leaving, staying, now)
    ranks = [rung.code for rung in ladder]
    if ranks.index(better.code) > ranks.index(worse.code):
        actor = SystemActor("merge")
        accounts.change_tier(session, staying, worse, better, ranks, cause=MERGE, reason=MERGE_REASON, now=now, actor=actor)
        staying.period_starts_on, staying.period_ends_on = leaving.period_starts_on, leaving.period_ends_on
        staying.warned_for = leaving.warned_for
        kept = better
    else:
        kept = worse
        ends = (staying.period_ends_on, leaving.period_ends_on)
        if better.id == worse.id and ends[0] is not None and ends[1] is not None and ends[1] > ends[0]:
            staying.period_starts_on, staying.period_ends_on = leaving.period_starts_on, leaving.period_ends_on
    longer = leaving.locked_until is not None and (staying.locked_until is None or leaving.locked_until > staying.locked_until)
    if longer and kept.id == better.id:
        staying.locked_until, staying.lock_reason = leaving.locked_until, leaving.lock_reason
    _close(session, leaving, staying)
    accounts.refresh(session, [staying], now=now)
    return {"tier": queries.of_member(session, staying.member_id).code, "growth": moved}


def _move_growth(session: Session, leaving: GrowthAccount, staying: GrowthAccount, now: datetime) -> int:
    days = accounts.days_of(session, [leaving.member_id], date.min)[leaving.member_id]
    entries: list[dict[str, Any]] = []
    for day, growth in sorted(days.items()):
        for account, sign in ((leaving, -1), (staying, 1)):
            if growth:
                entries.append(
                    {
                        "id": uuid7(),
                        "member_id": account.member_id,
                        "kind": "merge",
                        "growth": sign * growth,
                        "counted_on": day,
                        "source_key": f"merge:{leaving.member_id}:{day}:{'out' if sign < 0 else 'in'}",
                        "rule_id": None,
                        "reverses_id": None,
                        "details": {"from": str(leaving.member_id), "into": str(staying.member_id)},
                        "occurred_at": now,
                    }
                )
    insert_rows(session, GrowthEntry, entries)
    return sum(days.values())


def _close(session: Session, leaving: GrowthAccount, staying: GrowthAccount) -> None:
    leaving.growth = leaving.keep_growth = 0
    leaving.due_on = leaving.changes_on = leaving.warned_for = None
    leaving.locked_until = leaving.lock_reason = None
    leaving.merged_into = staying.member_id
    session.flush()
    # Whoever was joined into the leaving record before stands for the survivor from now on.
    session.execute(
        sa.update(GrowthAccount)
        .where(GrowthAccount.merged_into == leaving.member_id)
        .values(merged_into=staying.member_id)
        .execution_options(synchronize_session=False)
    )
