"""Taking over a shop's history: thousands of finished sales at a time, by the same rules as a sale that comes in alone.

A sale that is plain (paid over the counter, without coupons or points redeemed) goes with its whole chunk, each table written
once; any other goes through ``flows.intake`` by itself. Points are given at the sale's own instant and are there at once. What was
long ago is no news: nothing is announced, so that nobody gets a message about last year's shopping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.flows.intake import EARNED, NAMESPACE, take_in_order
from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.errors import DomainError
from server.kernel.source import Source
from server.orders import bulk, rules
from server.orders.drafts import MemberRef, OrderDraft
from server.points import bulk as points_bulk
from server.points import queries as points
from server.points import rules as points_rules
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

CREATED, SAME, REFUSED = "created", "same", "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one sale: ``created``, ``same`` (taken in before) or ``refused`` with the refusal."""

    result: str
    refusal: DomainError | None = None
    points: int = 0


@dataclass(slots=True)
class _Seen:
    """What was looked up already, kept from chunk to chunk."""

    members: dict[tuple[str, MemberRef], UUID] = field(default_factory=dict)
    multipliers: dict[UUID, int] = field(default_factory=dict)
    stores: set[str] = field(default_factory=set)


class HistoryIntake:
    """Takes a history in, chunk by chunk; one for each run.

    Arguments:
        actor: who brings it.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._seen = _Seen()
        self._fresh = _Seen()

    def take_in(self, session: Session, drafts: Sequence[OrderDraft], *, now: datetime) -> list[Outcome]:
        """Take in one chunk, in the order of its sales' instants.

        Arguments:
            session: of a transaction that belongs to this chunk alone.
            drafts: the sales, at most a thousand.
            now: present instant.

        Returns:
            One outcome for each sale.
        """
        self._fresh = _Seen()
        outcomes: list[Outcome | None] = [None] * len(drafts)
        plain: list[tuple[int, OrderDraft, str]] = []
        known = bulk.known_fingerprints(session, drafts)
        for place, draft in enumerate(drafts):
            before = known.get((draft.channel, draft.external_no))
            try:
                bulk.check(draft)
                if before is not None:
                    bulk.same_or_conflict(session, draft, before)
                    outcomes[place] = Outcome(SAME)
                elif _is_plain(draft):
                    print_ = bulk.fingerprint(session, draft)
                    known[(draft.channel, draft.external_no)] = print_
                    plain.append((place, draft, print_))
                else:
                    with session.begin_nested():
                        taken = take_in_order(session, draft, actor=self._actor, now=now)
                    outcomes[place] = Outcome(CREATED if taken.created else SAME)
            except DomainError as refusal:
                outcomes[place] = Outcome(REFUSED, refusal)
        for place, earned in self._take_in_plain(session, plain, now=now):
            outcomes[place] = Outcome(CREATED, points=earned)
        return [outcome for outcome in outcomes if outcome is not None]

    def committed(self) -> None:
        """Keep what the last chunk looked up, now that its transaction stands."""
        self._seen.members.update(self._fresh.members)
        self._seen.multipliers.update(self._fresh.multipliers)
        self._seen.stores |= self._fresh.stores

    def _take_in_plain(self, session: Session, plain: Sequence[tuple[int, OrderDraft, str]], *, now: datetime) -> list[tuple[int, int]]:
        if not plain:
            return []
        active = points.active_rules(session, now)
        earned_on: dict[tuple[UUID, date], dict[str, int]] = {}
        accruals: list[points_bulk.Accrual] = []
        rows: list[bulk.Rows] = []
        result: list[tuple[int, int]] = []
        for place, draft, print_ in plain:
            findings = rules.amount_findings(draft)
            member_id = self._member(session, draft, findings, now=now)
            self._check_store(session, draft, findings)
            row = bulk.rows_of(session, draft, print_, member_id=member_id, findings=findings, actor=self._actor, now=now)
            earned = None if member_id is None else self._earned(session, member_id, draft, row, active, earned_on)
            if earned is not None and member_id is not None:
                row.note_points(earned.total, earned.by_line)
                if earned.total:
                    accruals.append(_accrual(member_id, draft, row, earned))
            rows.append(row)
            result.append((place, earned.total if earned else 0))
        entries = points_bulk.accrue_many(session, accruals, actor=self._actor, announce=False)
        by_source = {accrual.source.key: entry.id for accrual, entry in zip(accruals, entries, strict=True)}
        for row in rows:
            row.order["points_entry_id"] = by_source.get(rules.source_key("order", row.order["channel"], row.order["external_no"]))
        bulk.write(session, rows)
        return result

    def _member(self, session: Session, draft: OrderDraft, findings: list[rules.Finding], *, now: datetime) -> UUID | None:
        key = (draft.channel, draft.member)
        known = self._seen.members.get(key) or self._fresh.members.get(key)
        if known is not None:
            return known
        before = len(findings)
        found = bulk.resolve_member(session, draft, findings, actor=self._actor, now=now)
        if found is not None and len(findings) == before:
            self._fresh.members[key] = found
        return found

    def _check_store(self, session: Session, draft: OrderDraft, findings: list[rules.Finding]) -> None:
        if draft.store is None or draft.store in self._seen.stores or draft.store in self._fresh.stores:
            return
        if bulk.store_known(session, draft.store):
            self._fresh.stores.add(draft.store)
        else:
            findings.append(rules.Finding("store_unknown", {"store": draft.store}))

    def _earned(
        self,
        session: Session,
        member_id: UUID,
        draft: OrderDraft,
        row: bulk.Rows,
        active: list[points_rules.Rule],
        earned_on: dict[tuple[UUID, date], dict[str, int]],
    ) -> points_rules.OrderPoints:
        multiplier = self._seen.multipliers.get(member_id) or self._fresh.multipliers.get(member_id)
        if multiplier is None:
            multiplier = tiers.of_member(session, member_id).points_multiplier_percent
            self._fresh.multipliers[member_id] = multiplier
        day = business_date(draft.placed_at, zone_of(session))
        today: dict[str, int] = {}
        if any(getattr(rule, "max_points_per_day", None) is not None for rule in active):
            # Only a daily cap needs to know what the day has brought so far.
            today = earned_on.setdefault((member_id, day), points.earned_on(session, member_id, day))
        context = points_rules.EarningContext(
            lines=[points_rules.EarningLine(line["line_no"], line["sku"], line["category"], line["paid_fen"]) for line in row.lines],
            rules=active,
            multiplier_percent=multiplier,
            store=draft.store,
            earned_today=today,
        )
        earned = points_rules.order_points(context)
        for reason in earned.reasons:
            if "rule" in reason:
                today[reason["rule"]] = today.get(reason["rule"], 0) + int(reason["points"])
        return earned


def _is_plain(draft: OrderDraft) -> bool:
    immediate = rules.is_immediate(channel=draft.channel, store=draft.store, has_receiver=draft.receiver is not None)
    return immediate and draft.paid_at is not None and not draft.coupon_ids and not draft.points_redeemed


def _accrual(member_id: UUID, draft: OrderDraft, row: bulk.Rows, earned: points_rules.OrderPoints) -> points_bulk.Accrual:
    details: dict[str, Any] = {**earned.details, "order_no": row.order["order_no"]}
    return points_bulk.Accrual(
        member_id=member_id,
        points=Points(earned.total),
        source=Source(NAMESPACE, rules.source_key("order", draft.channel, draft.external_no)),
        reason=EARNED,
        occurred_at=draft.placed_at,
        rule=earned.rule,
        details=details,
    )
