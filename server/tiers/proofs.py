"""The proof that growth agrees: every cached number against the ledger it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.tiers import accounts, qualifying
from server.tiers.models import GrowthAccount, GrowthEntry, GrowthOrder

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MAX_DRIFTS = 200
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Drift:
    """Two numbers that should be equal and are not.

    Arguments:
        check: which proof failed (``account_growth``, ``account_keep``, ``order_taken_back``, ``reversals_within``).
        subject: id of the member, order or entry.
        expected: by the ledger.
        found: in the cache.
    """

    check: str
    subject: str
    expected: int
    found: int


def prove(session: Session) -> list[Drift]:
    """Compare the accounts and orders with the ledger; an empty list means that they agree. At most 200 drifts of each kind."""
    return [*_accounts(session), *_orders(session), *_reversals(session)]


def _accounts(session: Session) -> list[Drift]:
    rule = accounts.current_rule(session)
    if rule is None:
        return []
    drifts: list[Drift] = []
    after: UUID | None = None
    while len(drifts) < MAX_DRIFTS:
        # What an older version of the rule worked out is proved once the job has been there.
        statement = sa.select(GrowthAccount).where(GrowthAccount.growth_on.is_not(None), GrowthAccount.rule_version == rule.version)
        if after is not None:
            statement = statement.where(GrowthAccount.member_id > after)
        rows = session.scalars(statement.order_by(GrowthAccount.member_id).limit(_PAGE).execution_options(populate_existing=True)).all()
        if not rows:
            break
        after = rows[-1].member_id
        since = min(accounts.first_day_needed(rule.formula, rows, row.growth_on) for row in rows if row.growth_on is not None)
        days = accounts.days_of(session, [row.member_id for row in rows], since)
        for row in rows:
            if row.growth_on is None:
                continue
            growth = qualifying.growth_on(rule.formula, days[row.member_id], row.growth_on)
            keep = growth if row.period_ends_on is None else qualifying.growth_on(rule.formula, days[row.member_id], row.period_ends_on)
            if row.merged_into is not None:
                keep = growth = sum(days[row.member_id].values())
            for check, expected, found in (("account_growth", growth, row.growth), ("account_keep", keep, row.keep_growth)):
                if expected != found:
                    drifts.append(Drift(check, str(row.member_id), expected, found))
    return drifts[:MAX_DRIFTS]


def _orders(session: Session) -> list[Drift]:
    drifts: list[Drift] = []
    for entry, total in (
        (GrowthOrder.spend_entry_id, GrowthOrder.spend_back),
        (GrowthOrder.frequency_entry_id, GrowthOrder.frequency_back),
    ):
        back = sa.func.coalesce(-sa.func.sum(GrowthEntry.growth), 0)
        rows = session.execute(
            sa.select(GrowthOrder.order_id, back.label("expected"), total.label("found"))
            .outerjoin(GrowthEntry, GrowthEntry.reverses_id == entry)
            .where(entry.is_not(None))
            .group_by(GrowthOrder.order_id, total)
            .having(back != total)
            .limit(MAX_DRIFTS)
        )
        drifts += [Drift("order_taken_back", str(row.order_id), int(row.expected), row.found) for row in rows]
    return drifts


def _reversals(session: Session) -> list[Drift]:
    sums = (
        sa.select(
            GrowthEntry.reverses_id.label("id"),
            sa.func.sum(GrowthEntry.growth).label("growth"),
            sa.func.min(GrowthEntry.counted_on).label("first"),
            sa.func.max(GrowthEntry.counted_on).label("last"),
        )
        .where(GrowthEntry.reverses_id.is_not(None))
        .group_by(GrowthEntry.reverses_id)
        .subquery()
    )
    elsewhere = sa.or_(GrowthEntry.counted_on != sums.c.first, GrowthEntry.counted_on != sums.c.last)
    rows = session.execute(
        sa.select(GrowthEntry.id, GrowthEntry.growth, sums.c.growth.label("taken"))
        .join(sums, sums.c.id == GrowthEntry.id)
        .where(sa.or_(GrowthEntry.growth + sums.c.growth < 0, elsewhere))
        .limit(MAX_DRIFTS)
    )
    return [Drift("reversals_within", str(row.id), row.growth, int(-row.taken)) for row in rows]
