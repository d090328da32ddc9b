"""The accounts of growth: opened, locked, and brought to what the ledger and the rule say.

Whoever moves growth or tier locks the account first (``locked``); after a merge that is the survivor's. Then entries are written, then
``refresh`` works out what follows and writes it, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel import outbox
from server.kernel.actors import SystemActor
from server.kernel.clock import business_date
from server.kernel.db import insert_all_absent, insert_if_absent, zone_of
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.tiers import events, qualifying
from server.tiers.models import GrowthAccount, GrowthEntry, GrowthRule, MemberTier, Tier, TierChange
from server.tiers.qualifying import Formula, Standing

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_JOB = SystemActor("tiers")

REASONS = {
    qualifying.UPGRADE: N_("Growth reached this tier"),
    qualifying.DOWNGRADE: N_("The period ended and growth did not reach what the tier takes"),
    qualifying.RENEWAL: N_("Growth keeps the tier for another period"),
    qualifying.UNLOCK: N_("The lock of the tier ended"),
    qualifying.IMPORT: N_("Worked out from earlier orders"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """The version of the growth rule that holds."""

    id: UUID
    version: int
    formula: Formula


@dataclass(frozen=True, slots=True)
class Rung:
    """A tier as far as changes care."""

    id: UUID
    code: str


def current_rule(session: Session) -> Rule | None:
    """Return the published rule of the highest version; None while nothing was published."""
    row = session.execute(
        sa.select(GrowthRule.id, GrowthRule.version, GrowthRule.document)
        .where(GrowthRule.state == "published")
        .order_by(GrowthRule.version.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Rule(row.id, row.version, Formula(**row.document))


def rungs(session: Session) -> list[Rung]:
    """Return the tiers, the lowest first."""
    return [Rung(*row) for row in session.execute(sa.select(Tier.id, Tier.code).order_by(Tier.rank))]


def today_of(session: Session, now: datetime) -> date:
    """Return the shop's day."""
    return business_date(now, zone_of(session))


def open_accounts(session: Session, member_ids: Collection[UUID], now: datetime) -> None:
    """Open the accounts that are not there yet. Before any lock, since opening one waits for its member's row."""
    known = set(session.scalars(sa.select(GrowthAccount.member_id).where(GrowthAccount.member_id.in_(member_ids))))
    missing = sorted(set(member_ids) - known)
    rows = [
        {"member_id": member_id, "growth": 0, "keep_growth": 0, "rule_version": 0, "opened_at": now, "due_on": None}
        for member_id in missing
    ]
    insert_all_absent(session, GrowthAccount, rows)


def locked(session: Session, member_ids: Iterable[UUID], now: datetime) -> dict[UUID, GrowthAccount]:
    """Lock the accounts of members, opening those that are missing, and return them by the id that was asked for.

    A record that was joined into another stands for that one's account, also when the merge was committed while this call waited.

    Arguments:
        session: of an open transaction.
        member_ids: whose.
        now: present instant.
    """
    asked = set(member_ids)
    if not asked:
        return {}
    open_accounts(session, asked, now)
    homes = {one: one for one in asked}
    held: dict[UUID, GrowthAccount] = {}
    while wanted := sorted(set(homes.values()) - set(held)):
        # Always in the order of the ids, so that two who want the same accounts do not wait for each other.
        statement = sa.select(GrowthAccount).where(GrowthAccount.member_id.in_(wanted)).order_by(GrowthAccount.member_id)
        rows = session.scalars(statement.with_for_update().execution_options(populate_existing=True)).all()
        held.update({row.member_id: row for row in rows})
        homes = {one: held[home].merged_into or home for one, home in homes.items()}
    return {one: held[home] for one, home in homes.items()}


def held_tiers(session: Session, member_ids: Collection[UUID], ladder: list[Rung]) -> dict[UUID, Rung]:
    """Return what members hold; the lowest where no row says otherwise."""
    by_id = {rung.id: rung for rung in ladder}
    rows = session.execute(sa.select(MemberTier.member_id, MemberTier.tier_id).where(MemberTier.member_id.in_(member_ids)))
    found = {member_id: by_id[tier_id] for member_id, tier_id in rows}
    return {member_id: found.get(member_id, ladder[0]) for member_id in member_ids}


def days_of(session: Session, member_ids: Collection[UUID], since: date) -> dict[UUID, dict[date, int]]:
    """Return the growth of members by the day it counts on, from a day on."""
    days: dict[UUID, dict[date, int]] = {member_id: {} for member_id in member_ids}
    rows = session.execute(
        sa.select(GrowthEntry.member_id, GrowthEntry.counted_on, sa.func.sum(GrowthEntry.growth))
        .where(GrowthEntry.member_id.in_(member_ids), GrowthEntry.counted_on >= since)
        .group_by(GrowthEntry.member_id, GrowthEntry.counted_on)
    )
    for member_id, day, growth in rows:
        days[member_id][day] = int(growth)
    return days


def first_day_needed(formula: Formula, accounts: Iterable[GrowthAccount], today: date) -> date:
    """Return the first day whose growth matters to any of the accounts: a period that is over looks further back than today does."""
    ends = [account.period_ends_on for account in accounts if account.period_ends_on is not None]
    return qualifying.window_start(formula, min([today, *ends]))


def refresh(
    session: Session,
    accounts: Iterable[GrowthAccount],
    *,
    now: datetime,
    rule: Rule | None = None,
    history: Collection[UUID] = (),
) -> int:
    """Bring locked accounts to what the ledger and the rule say today, and make the changes of tier that follow.

    Arguments:
        session: of the transaction that holds their locks.
        accounts: locked; one that was joined into another is passed over.
        now: present instant.
        rule: the rule that holds, where the caller has it at hand.
        history: members whose upgrade comes from orders of long ago: it is no news and brings no gift.

    Returns:
        How many changes were made.
    """
    session.flush()
    found = {account.member_id: account for account in accounts if account.merged_into is None}
    rule, ladder = rule or current_rule(session), rungs(session)
    if rule is None or not ladder or not found:
        return 0
    today = today_of(session, now)
    ranks = [rung.code for rung in ladder]
    by_code = {rung.code: rung for rung in ladder}
    held = held_tiers(session, found, ladder)
    days = days_of(session, found, first_day_needed(rule.formula, found.values(), today))
    changes = 0
    for member_id in sorted(found):
        account = found[member_id]
        standing = Standing(
            held[member_id].code, account.period_starts_on, account.period_ends_on, account.locked_until, account.warned_for
        )
        result = qualifying.assess(rule.formula, ranks, standing, days[member_id], today)
        _write(account, result, rule.version, today)
        for move in result.moves:
            cause = qualifying.IMPORT if move.cause == qualifying.UPGRADE and member_id in history else move.cause
            change_tier(session, account, by_code[move.before], by_code[move.after], ranks, cause=cause, reason=REASONS[cause], now=now)
            changes += 1
        if result.warn:
            warn(session, account, result.standing, now)
    session.flush()
    return changes


def _write(account: GrowthAccount, result: qualifying.Assessment, version: int, today: date) -> None:
    standing = result.standing
    if account.locked_until is not None and standing.locked_until is None:
        account.lock_reason = None
    account.growth = result.growth
    account.keep_growth = result.keep_growth
    account.growth_on = today
    account.changes_on = result.changes_on
    account.due_on = result.due_on
    account.rule_version = version
    account.period_starts_on = standing.period_starts_on
    account.period_ends_on = standing.period_ends_on
    account.locked_until = standing.locked_until
    account.warned_for = standing.warned_for


def warn(session: Session, account: GrowthAccount, standing: Standing, now: datetime) -> None:
    """Tell that a tier will be lost unless growth is earned; once for each period."""
    outbox.publish(
        session,
        events.AT_RISK,
        key=f"{events.AT_RISK}:{account.member_id}:{standing.period_ends_on}",
        aggregate_type="member",
        aggregate_id=account.member_id,
        payload={"member_id": str(account.member_id), "tier": standing.tier, "ends_on": str(standing.period_ends_on)},
        now=now,
    )


def change_tier(
    session: Session,
    account: GrowthAccount,
    before: Rung,
    after: Rung,
    ranks: list[str],
    *,
    cause: str,
    reason: str,
    now: datetime,
    actor: Actor = _JOB,
) -> UUID:
    """Write one change of a tier, a period or a lock, and tell of it when the tier is another. The caller holds the account.

    Returns:
        The change's id.
    """
    if after.id != before.id:
        values = {"member_id": account.member_id, "tier_id": after.id, "since": now}
        if not insert_if_absent(session, MemberTier, values):
            session.execute(
                sa.update(MemberTier)
                .where(MemberTier.member_id == account.member_id)
                .values(tier_id=after.id, since=now)
                .execution_options(synchronize_session=False)
            )
    change_id = uuid7()
    session.execute(
        sa.insert(TierChange).values(
            id=change_id,
            member_id=account.member_id,
            from_tier_id=before.id,
            to_tier_id=after.id,
            reason=reason.strip()[:255],
            cause=cause,
            actor_kind=actor.kind,
            actor_ref=actor.ref[:80],
            occurred_at=now,
        )
    )
    if after.id != before.id:
        outbox.publish(
            session,
            events.CHANGED,
            key=f"{events.CHANGED}:{change_id}",
            aggregate_type="member",
            aggregate_id=account.member_id,
            payload={
                "change_id": str(change_id),
                "member_id": str(account.member_id),
                "from": before.code,
                "to": after.code,
                "upgrade": ranks.index(after.code) > ranks.index(before.code),
                "cause": cause,
            },
            now=now,
        )
    return change_id


def begin_period(session: Session, account: GrowthAccount, tier: Rung, ladder: list[Rung], now: datetime) -> None:
    """Let a period of a tier given by hand begin today; ``refresh`` must follow."""
    rule = current_rule(session)
    today = today_of(session, now)
    account.warned_for = None
    if rule is None or tier.id == ladder[0].id:
        account.period_starts_on = account.period_ends_on = None
    else:
        account.period_starts_on, account.period_ends_on = today, qualifying.period_end(rule.formula, today)


def still_due(account: GrowthAccount, version: int, today: date) -> bool:
    """Tell whether a locked account still waits for the job that found it."""
    return account.merged_into is None and (account.rule_version < version or (account.due_on is not None and account.due_on <= today))
