"""A state machine drives the points verbs beside a model in plain Python and compares all books after every step.

The model knows lots as small lists and nothing of postings; the product is proved by ``queries.prove`` and by the sums of
all accounts. What is checked: balance = Σ ledger = Σ lots; postings of the whole system sum to zero; 0 ≤ left ≤ amount;
spending in order of expiry; expiry of exactly what is left; returns into the lots they came from.

``test_book_machine.py`` asks more of more verbs in a third of the time; this one is kept for what Hypothesis does with a failure: it finds
the shortest way to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from server.kernel.amounts import Points
from server.points import queries, service
from server.points.errors import InsufficientPointsError, NothingToReverseError
from server.points.rules import DebtPolicy
from tests.conftest import START
from tests.factories.points import SYSTEM, a_member, a_source

COUNTS = st.integers(1, 40)


@dataclass
class ModelLot:
    amount: int
    left: int
    order: int
    expires_at: object
    unlock_at: object = None
    reserved: int = 0

    def pending(self):
        return self.unlock_at is not None

    def free(self):
        return 0 if self.pending() else self.left - self.reserved


@dataclass
class Spent:
    entry_id: object
    points: int
    parts: list = field(default_factory=list)
    returned: int = 0


class PointsMachine(RuleBasedStateMachine):
    core = None

    @initialize()
    def begin(self):
        self.session = self.core.db._session(self.core.db.engine)
        self.now = START
        self.member_id = a_member(self.session, now=START)
        self.lots, self.debt, self.number = [], 0, 0
        self.accruals, self.spent, self.held = [], [], []

    def teardown(self):
        if hasattr(self, "session"):
            self.session.rollback()
            self.session.close()

    # --- the model's own rules ------------------------------------------------------------------------------------

    def in_order(self):
        return sorted(self.lots, key=lambda lot: (lot.expires_at is None, lot.expires_at or START, lot.order))

    def expire(self):
        for lot in self.lots:
            if lot.expires_at is not None and lot.expires_at <= self.now and not lot.pending():
                lot.left -= lot.free()

    def take(self, count, lots):
        parts = []
        for lot in lots:
            if lot.expires_at is not None and lot.expires_at <= self.now:
                continue
            part = min(count, lot.free())
            if part:
                lot.left -= part
                parts.append([lot, part])
                count -= part
        return count, parts

    def available(self):
        return sum(lot.free() for lot in self.lots)

    # --- steps ----------------------------------------------------------------------------------------------------

    @rule(count=COUNTS, expires=st.none() | st.integers(1, 20), waits=st.none() | st.integers(1, 5), twice=st.booleans())
    def accrue(self, count, expires, waits, twice):
        self.number += 1
        source = a_source()
        expires_at = None if expires is None else self.now + timedelta(days=expires)
        available_at = None if waits is None else self.now + timedelta(days=waits)
        for time in range(2 if twice else 1):
            entry = service.accrue(
                self.session,
                self.member_id,
                Points(count),
                source=source,
                reason="Gift",
                actor=SYSTEM,
                now=self.now,
                available_at=available_at,
                expires_at=expires_at,
            )
            assert entry.replayed == bool(time)
        repaid = 0 if available_at else min(self.debt, count)
        self.debt -= repaid
        lot = ModelLot(count - repaid, count - repaid, self.number, expires_at, available_at)
        self.lots.append(lot)
        self.accruals.append([entry.id, count, lot])

    @rule(count=COUNTS)
    def redeem(self, count):
        live = sum(lot.free() for lot in self.lots if lot.expires_at is None or lot.expires_at > self.now)
        savepoint = self.session.begin_nested()
        try:
            entry = service.redeem(
                self.session, self.member_id, Points(count), source=a_source(), reason="Reward", actor=SYSTEM, now=self.now
            )
        except InsufficientPointsError:
            savepoint.rollback()
            assert live < count
            return
        savepoint.commit()
        assert live >= count
        self.expire()
        missing, parts = self.take(count, self.in_order())
        assert missing == 0
        self.spent.append(Spent(entry.id, count, parts))

    @precondition(lambda self: self.spent)
    @rule(data=st.data())
    def give_back(self, data):
        spent = data.draw(st.sampled_from(self.spent))
        count = data.draw(st.none() | COUNTS)
        remaining = spent.points - spent.returned
        wanted = remaining if count is None else count
        command = (self.session, spent.entry_id, None if count is None else Points(count))
        savepoint = self.session.begin_nested()
        try:
            service.return_redemption(*command, source=a_source(), reason="Cancelled", actor=SYSTEM, now=self.now)
        except NothingToReverseError:
            savepoint.rollback()
            assert wanted > remaining or remaining == 0
            return
        savepoint.commit()
        assert 0 < wanted <= remaining
        spent.returned += wanted
        touched = {id(lot): lot for lot, _ in spent.parts}
        for lot in touched.values():
            if lot.expires_at is not None and lot.expires_at <= self.now:
                lot.left -= lot.free()
        order = {id(lot): place for place, lot in enumerate(self.in_order())}
        for part in sorted(spent.parts, key=lambda pair: -order[id(pair[0])]):
            lot, left = part
            back = min(wanted, left)
            if back:
                if lot.expires_at is not None and lot.expires_at <= self.now:
                    lot.expires_at = self.now + timedelta(days=30)
                lot.left += back
                part[1] -= back
                wanted -= back

    @precondition(lambda self: self.accruals)
    @rule(data=st.data(), policy=st.sampled_from(DebtPolicy))
    def reverse(self, data, policy):
        accrual = data.draw(st.sampled_from(self.accruals))
        entry_id, remaining, own = accrual
        if not remaining:
            return
        count = data.draw(st.integers(1, remaining))
        service.reverse(
            self.session, entry_id, Points(count), source=a_source(), reason="Refund", actor=SYSTEM, now=self.now, policy=policy
        )
        accrual[1] -= count
        for lot in self.lots:
            if lot is not own and not lot.pending() and lot.expires_at is not None and lot.expires_at <= self.now:
                lot.left -= lot.free()
        part = min(count, own.left if own.pending() else own.free())
        own.left -= part
        missing = count - part
        if not own.pending() or own.left == 0:
            missing, _ = self.take(missing, [lot for lot in self.in_order() if lot is not own])
        if policy is DebtPolicy.NEGATIVE:
            self.debt += missing

    @rule(count=COUNTS)
    def reserve(self, count):
        live = [lot for lot in self.in_order() if lot.expires_at is None or lot.expires_at > self.now]
        savepoint = self.session.begin_nested()
        try:
            entry = service.reserve(
                self.session, self.member_id, Points(count), source=a_source(), reason="Order", actor=SYSTEM, now=self.now
            )
        except InsufficientPointsError:
            savepoint.rollback()
            assert sum(lot.free() for lot in live) < count
            return
        savepoint.commit()
        self.expire()
        parts = []
        for lot in live:
            part = min(count, lot.free())
            lot.reserved += part
            parts.append((lot, part))
            count -= part
        assert count == 0
        self.held.append((entry.id, parts))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), spend=st.booleans())
    def close_reservation(self, data, spend):
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        entry_id, parts = held
        if spend:
            service.redeem_reservation(self.session, entry_id, reason="Paid", actor=SYSTEM, now=self.now)
        else:
            service.release(self.session, entry_id, actor=SYSTEM, now=self.now)
        for lot, part in parts:
            lot.reserved -= part
            lot.left -= part if spend else 0

    @rule(days=st.integers(0, 6))
    def time_passes(self, days):
        self.now += timedelta(days=days)
        while service.unlock_due(self.session, self.now):
            pass
        for lot in self.in_order():
            if lot.pending() and lot.unlock_at <= self.now and lot.left:
                lot.unlock_at = None
                repaid = min(self.debt, lot.left)
                lot.left -= repaid
                self.debt -= repaid
        while service.expire_due(self.session, self.now, limit=2):
            pass
        self.expire()

    # --- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def the_books_agree(self):
        if not hasattr(self, "session"):
            return
        assert queries.prove(self.session) == []
        balance = queries.balance(self.session, self.member_id, now=self.now)
        assert balance.reserved == sum(lot.reserved for lot in self.lots)
        assert balance.pending == sum(lot.left for lot in self.lots if lot.pending())
        assert balance.available == self.available()
        assert balance.debt == self.debt
        total = self.session.scalar(sa.text("SELECT COALESCE(SUM(amount), 0) FROM points_postings"))
        assert total == 0


@pytest.mark.full
@pytest.mark.committing
def test_the_books_agree_whatever_happens(core):
    class Machine(PointsMachine):
        pass

    Machine.core = core
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
        ),
    )
