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
from server.kernel.db import plan_anew, zone_of
from server.kernel.errors import DomainError
from server.kernel.source import Source
from server.members import bulk as members_bulk
from server.orders import bulk, rules
from server.orders.drafts import MemberRef, OrderDraft
from server.points import bulk as points_bulk
from server.points import caps
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
    tiers: dict[UUID, tuple[str, int]] = field(default_factory=dict)
    stores: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Book:
    """The rules of a chunk, and what they have given: before it, and in it so far."""

    rules: points_rules.Rulebook
    today: dict[tuple[UUID, date], dict[str, int]] = field(default_factory=dict)
    homes: dict[UUID, UUID] = field(default_factory=dict)
    to_member: dict[UUID, dict[str, int]] = field(default_factory=dict)
    in_all: dict[str, int] = field(default_factory=dict)
    counted: dict[UUID, dict[str, int]] = field(default_factory=dict)

    def note(self, member_id: UUID, day: date, by_rule: dict[str, int]) -> None:
        """Count what an order of the chunk was given."""
        today = self.today.get((member_id, day), {})
        home = self.homes.get(member_id, member_id)
        for code, count in by_rule.items():
            today[code] = today.get(code, 0) + count
            if code in self.in_all:
                self.in_all[code] += count
                for counts in (self.to_member.setdefault(home, {}), self.counted.setdefault(home, {})):
                    counts[code] = counts.get(code, 0) + count


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
        plan_anew(session)
        outcomes: list[Outcome | None] = [None] * len(drafts)
        plain: list[tuple[int, OrderDraft, str]] = []
        known = bulk.known_fingerprints(session, drafts)
        awaited = bulk.awaited(session, drafts)
        for place, draft in enumerate(drafts):
            before = known.get((draft.channel, draft.external_no))
            try:
                bulk.check(draft)
                if before is not None:
                    bulk.same_or_conflict(session, draft, before)
                    outcomes[place] = Outcome(SAME)
                elif _is_plain(draft) and (draft.channel, draft.external_no) not in awaited:
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
        self._seen.tiers.update(self._fresh.tiers)
        self._seen.stores |= self._fresh.stores

    def _take_in_plain(self, session: Session, plain: Sequence[tuple[int, OrderDraft, str]], *, now: datetime) -> list[tuple[int, int]]:
        if not plain:
            return []
        self._meet_buyers(session, [draft for _, draft, _ in plain], now=now)
        met: list[tuple[int, OrderDraft, UUID | None, bulk.Rows]] = []
        for place, draft, print_ in plain:
            findings = rules.amount_findings(draft)
            member_id = self._member(session, draft, findings, now=now)
            self._check_store(session, draft, findings)
            row = bulk.rows_of(session, draft, print_, member_id=member_id, findings=findings, actor=self._actor, now=now)
            met.append((place, draft, member_id, row))
        book = self._book(session, met)
        accruals: list[points_bulk.Accrual] = []
        result: list[tuple[int, int]] = []
        for place, draft, member_id, row in met:
            earned = None if member_id is None else self._earned(session, member_id, draft, row, book)
            if earned is not None and member_id is not None:
                row.note_points(earned.total, earned.by_line, None if earned.total else earned.details)
                if earned.total:
                    accruals.append(_accrual(member_id, draft, row, earned))
            result.append((place, earned.total if earned else 0))
        rows = [row for _, _, _, row in met]
        entries = points_bulk.accrue_many(session, accruals, actor=self._actor, announce=False)
        by_source = {accrual.source.key: entry.id for accrual, entry in zip(accruals, entries, strict=True)}
        for row in rows:
            row.order["points_entry_id"] = by_source.get(rules.source_key("order", row.order["channel"], row.order["external_no"]))
        caps.note_many(session, book.counted)
        bulk.write(session, rows)
        return result

    def _book(self, session: Session, met: Sequence[tuple[int, OrderDraft, UUID | None, bulk.Rows]]) -> _Book:
        """Return the rules; when one has a budget, with all accounts of the chunk locked before it, as everybody does."""
        book = _Book(points.rulebook(session))
        counted = book.rules.counted
        if counted:
            buyers = {member_id: draft.placed_at for _, draft, member_id, _ in reversed(met) if member_id is not None}
            book.homes = points_bulk.hold(session, buyers)
            book.to_member = caps.shares(session, list(set(book.homes.values())), counted)
            book.in_all = caps.hold_budgets(session, counted)
        return book

    def _meet_buyers(self, session: Session, drafts: Sequence[OrderDraft], *, now: datetime) -> None:
        """Look up, or enrol, at once all buyers who are told by nothing but their id in the channel, and hold them for this chunk."""
        wanted: dict[str, dict[str, MemberRef]] = {}
        for draft in drafts:
            ref = draft.member
            if ref.external_id and ref == MemberRef(external_id=ref.external_id):
                wanted.setdefault(draft.channel, {})[ref.external_id] = ref
        for channel, refs in wanted.items():
            found = members_bulk.by_externals(session, channel, refs)
            unknown = [external_id for external_id in refs if external_id not in found]
            enrolled = members_bulk.enrol_many(session, channel, unknown, actor=self._actor, now=now)
            if enrolled:
                # Whoever was enrolled this moment has the tier that everybody begins with.
                first = tiers.of_member(session, next(iter(enrolled.values())))
                self._fresh.tiers.update(dict.fromkeys(enrolled.values(), (first.code, first.points_multiplier_percent)))
            self._fresh.members.update({(channel, refs[external_id]): who for external_id, who in {**found, **enrolled}.items()})

    def _member(self, session: Session, draft: OrderDraft, findings: list[rules.Finding], *, now: datetime) -> UUID | None:
        # Only of this chunk: between two chunks a buyer may have been merged into another record.
        key = (draft.channel, draft.member)
        known = self._fresh.members.get(key)
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

    def _earned(self, session: Session, member_id: UUID, draft: OrderDraft, row: bulk.Rows, book: _Book) -> points_rules.OrderPoints:
        known = self._seen.tiers.get(member_id) or self._fresh.tiers.get(member_id)
        if known is None:
            held = tiers.of_member(session, member_id)
            known = self._fresh.tiers[member_id] = (held.code, held.points_multiplier_percent)
        tier, multiplier = known
        zone = zone_of(session)
        day = business_date(draft.placed_at, zone)
        sold_at = draft.paid_at or draft.placed_at
        if book.rules.capped_daily and (member_id, day) not in book.today:
            # Only a daily cap needs to know what the day has brought so far.
            book.today[(member_id, day)] = points.earned_on(session, member_id, day)
        context = points_rules.EarningContext(
            lines=[points_rules.EarningLine(line["line_no"], line["sku"], line["category"], line["paid_fen"]) for line in row.lines],
            rules=book.rules.at(sold_at),
            multiplier_percent=multiplier,
            tier=tier,
            store=draft.store,
            channel=draft.channel,
            day=day if sold_at == draft.placed_at else business_date(sold_at, zone),
            given=points_rules.Given(
                book.today.get((member_id, day), {}), book.to_member.get(book.homes.get(member_id, member_id), {}), book.in_all
            ),
        )
        earned = points_rules.order_points(context)
        book.note(member_id, day, earned.by_rule)
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
