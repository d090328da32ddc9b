"""Accrue, redeem, return, reverse, adjust, check in, merge."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from server.kernel.amounts import Points
from server.kernel.errors import InvalidError
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.points import queries, service
from server.points.errors import (
    AlreadyCheckedInError,
    CheckInClosedError,
    EntryNotFoundError,
    InsufficientPointsError,
    NothingToReverseError,
    NotReversibleError,
    ReasonRequiredError,
    SourceConflictError,
)
from server.points.models import PointsEntry
from server.points.rulebook import RuleDraft
from server.points.rules import DebtPolicy, PolicySettings
from tests.conftest import START
from tests.factories.points import STAFF, SYSTEM, a_member, a_source


def accrue(session, member_id, count, *, now=START, source=None, **more):
    source = source or a_source()
    return service.accrue(session, member_id, Points(count), source=source, reason="Gift", actor=SYSTEM, now=now, **more)


def redeem(session, member_id, count, *, now=START, source=None):
    return service.redeem(session, member_id, Points(count), source=source or a_source(), reason="Reward", actor=SYSTEM, now=now)


def reverse(session, entry_id, count=None, *, now=START, source=None, policy=None):
    points = None if count is None else Points(count)
    return service.reverse(session, entry_id, points, source=source or a_source(), reason="Refund", actor=SYSTEM, now=now, policy=policy)


def give_back(session, entry, count=None, *, now=START, source=None):
    points = None if count is None else Points(count)
    return service.return_redemption(session, entry, points, source=source or a_source(), reason="Cancelled", actor=SYSTEM, now=now)


def has(session, member_id, **expected):
    balance = queries.balance(session, member_id, now=START)
    wanted = {"available": 0, "pending": 0, "reserved": 0, "debt": 0} | expected
    assert {name: getattr(balance, name) for name in wanted} == wanted
    assert queries.prove(session) == []


def lots_of(session, member_id):
    return {lot.id: lot for lot in queries.lots(session, member_id, PageRequest(), only_left=False).items}


def test_an_accrual_is_available_at_once_and_tells_it(session):
    member_id = a_member(session, now=START)
    entry = accrue(session, member_id, 30)
    assert (entry.points, entry.available_after, entry.pending_after, entry.replayed) == (30, 30, 0, False)
    has(session, member_id, available=30)
    event = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "points.accrued")).one()
    assert event.payload == {"entry_id": str(entry.id), "member_id": str(member_id), "points": 30}


def test_an_accrual_for_later_is_pending_until_it_unlocks(session):
    member_id = a_member(session, now=START)
    accrue(session, member_id, 30, available_at=START + timedelta(days=7))
    has(session, member_id, pending=30)
    assert service.unlock_due(session, START + timedelta(days=6)) == 0
    assert service.unlock_due(session, START + timedelta(days=7)) == 1
    assert service.unlock_due(session, START + timedelta(days=7)) == 0
    has(session, member_id, available=30)


def test_the_same_source_returns_the_same_entry_and_other_content_is_refused(session):
    member_id, source = a_member(session, now=START), a_source()
    first = accrue(session, member_id, 30, source=source)
    accrue(session, member_id, 5)
    again = accrue(session, member_id, 30, source=source)
    assert again.replayed
    assert (again.id, again.available_after) == (first.id, 30)
    with pytest.raises(SourceConflictError):
        accrue(session, member_id, 31, source=source)
    with pytest.raises(SourceConflictError):
        redeem(session, member_id, 30, source=source)
    has(session, member_id, available=35)


@pytest.mark.parametrize("count", [0, -1, 10**9 + 1])
def test_an_amount_that_is_no_amount_is_refused(session, count):
    member_id = a_member(session, now=START)
    with pytest.raises(InvalidError):
        accrue(session, member_id, count)
    with pytest.raises(InvalidError):
        redeem(session, member_id, count)


def test_spending_takes_the_earliest_expiry_first_then_the_oldest(session):
    member_id = a_member(session, now=START)
    never = accrue(session, member_id, 10)
    late = accrue(session, member_id, 10, expires_at=START + timedelta(days=60))
    soon = accrue(session, member_id, 10, expires_at=START + timedelta(days=5))
    redeem(session, member_id, 15)
    left = {queries.entry_detail(session, entry.id).allocations[0].lot_left for entry in (soon,)}
    assert left == {0}
    assert queries.entry_detail(session, late.id).allocations[0].lot_left == 5
    assert queries.entry_detail(session, never.id).allocations[0].lot_left == 10
    has(session, member_id, available=15)


def test_too_few_points_are_refused_and_nothing_changes(session):
    member_id = a_member(session, now=START, points=10)
    with pytest.raises(InsufficientPointsError) as refused:
        redeem(session, member_id, 11)
    assert refused.value.params == {"available": 10}
    has(session, member_id, available=10)
    assert len(queries.entries(session, member_id, PageRequest()).items) == 1


def test_points_whose_time_is_over_cannot_be_spent_before_the_sweep(session):
    member_id = a_member(session, now=START, points=5)
    accrue(session, member_id, 10, expires_at=START + timedelta(days=1))
    later = START + timedelta(days=1)
    with session.begin_nested() as attempt, pytest.raises(InsufficientPointsError):
        redeem(session, member_id, 6, now=later)
        attempt.rollback()
    redeem(session, member_id, 5, now=later)
    has(session, member_id, available=0)


def test_a_redemption_returns_into_the_lots_it_came_from(session):
    member_id = a_member(session, now=START)
    accrue(session, member_id, 10, expires_at=START + timedelta(days=5))
    accrue(session, member_id, 10)
    before = {lot.id: lot.left for lot in lots_of(session, member_id).values()}
    spent = redeem(session, member_id, 15)
    give_back(session, spent.id, 5)
    give_back(session, spent.id)
    assert {lot.id: lot.left for lot in lots_of(session, member_id).values()} == before
    with pytest.raises(NothingToReverseError):
        give_back(session, spent.id)
    has(session, member_id, available=20)


def test_a_return_replays_by_its_source_and_never_exceeds_what_was_spent(session):
    member_id, source, spend = a_member(session, now=START, points=20), a_source(), a_source()
    redeem(session, member_id, 15, source=spend)
    first = give_back(session, spend, 10, source=source)
    assert give_back(session, spend, 10, source=source).id == first.id
    with pytest.raises(NothingToReverseError) as refused:
        give_back(session, spend, 6)
    assert refused.value.params == {"remaining": 5}
    has(session, member_id, available=15)


def test_a_return_into_an_expired_lot_opens_it_again_for_thirty_days(session):
    member_id = a_member(session, now=START)
    accrue(session, member_id, 10, expires_at=START + timedelta(days=5))
    spent = redeem(session, member_id, 6)
    later = START + timedelta(days=9)
    give_back(session, spent.id, now=later)
    (lot,) = lots_of(session, member_id).values()
    assert (lot.left, lot.expires_at) == (6, later + timedelta(days=30))
    has(session, member_id, available=6)
    assert service.expire_due(session, later + timedelta(days=30)) == 1
    has(session, member_id)


def test_what_is_no_redemption_cannot_be_returned(session):
    member_id = a_member(session, now=START)
    entry = accrue(session, member_id, 10)
    with pytest.raises(NotReversibleError):
        give_back(session, entry.id)
    with pytest.raises(EntryNotFoundError):
        give_back(session, a_source())


def test_a_reversal_takes_its_own_lot_first_then_others_by_expiry(session):
    member_id = a_member(session, now=START)
    soon = accrue(session, member_id, 10, expires_at=START + timedelta(days=5))
    own = accrue(session, member_id, 10, expires_at=START + timedelta(days=50))
    late = accrue(session, member_id, 10)
    redeem(session, member_id, 14)
    reverse(session, own.id)
    left = [queries.entry_detail(session, entry.id).allocations[0].lot_left for entry in (soon, own, late)]
    assert left == [0, 0, 6]
    has(session, member_id, available=6)


def test_a_pending_accrual_is_reversed_out_of_pending(session):
    member_id = a_member(session, now=START, points=3)
    entry = accrue(session, member_id, 10, available_at=START + timedelta(days=7))
    reverse(session, entry.id, 4)
    has(session, member_id, available=3, pending=6)
    reverse(session, entry.id)
    has(session, member_id, available=3)
    with pytest.raises(NothingToReverseError):
        reverse(session, entry.id)


def test_within_the_balance_what_is_missing_is_forgiven(session):
    member_id = a_member(session, now=START)
    entry = accrue(session, member_id, 10)
    redeem(session, member_id, 8)
    reversal = reverse(session, entry.id)
    assert reversal.points == -10
    assert queries.entry_detail(session, reversal.id).details == {"policy": "within_balance", "forgiven": 8}
    has(session, member_id)


def test_under_the_negative_policy_debt_is_repaid_by_the_next_earnings(session):
    member_id = a_member(session, now=START)
    service.change_settings(session, PolicySettings(DebtPolicy.NEGATIVE), actor=STAFF, now=START)
    entry = accrue(session, member_id, 10)
    redeem(session, member_id, 8)
    reverse(session, entry.id)
    has(session, member_id, debt=8)
    accrue(session, member_id, 5)
    has(session, member_id, debt=3)
    accrue(session, member_id, 5, available_at=START + timedelta(days=1))
    has(session, member_id, debt=3, pending=5)
    service.unlock_due(session, START + timedelta(days=1))
    has(session, member_id, available=2)


def test_an_accrual_that_repaid_debt_alone_can_be_reversed_too(session):
    member_id = a_member(session, now=START)
    first = accrue(session, member_id, 10)
    redeem(session, member_id, 10)
    reverse(session, first.id, policy=DebtPolicy.NEGATIVE)
    second = accrue(session, member_id, 10)
    has(session, member_id)
    reverse(session, second.id, policy=DebtPolicy.NEGATIVE)
    has(session, member_id, debt=10)


def test_reserved_points_are_not_touched_by_a_reversal(session):
    member_id = a_member(session, now=START)
    entry = accrue(session, member_id, 10)
    service.reserve(session, member_id, Points(10), source=a_source(), reason="Order", actor=SYSTEM, now=START)
    reverse(session, entry.id)
    has(session, member_id, reserved=10)


def test_reversing_a_redemption_returns_it(session):
    member_id = a_member(session, now=START, points=10)
    spent = redeem(session, member_id, 4)
    assert reverse(session, spent.id).kind == "return"
    has(session, member_id, available=10)


def test_a_reversal_of_a_reversal_is_refused(session):
    member_id = a_member(session, now=START)
    entry = accrue(session, member_id, 10)
    reversal = reverse(session, entry.id)
    with pytest.raises(NotReversibleError):
        reverse(session, reversal.id)


def test_an_adjustment_gives_and_takes_with_a_reason(session):
    member_id = a_member(session, now=START, points=10)

    def adjust(count, reason="Goodwill"):
        return service.adjust(session, member_id, Points(count), source=a_source(), reason=reason, actor=STAFF, now=START)

    adjust(5)
    adjust(-12)
    has(session, member_id, available=3)
    with pytest.raises(InsufficientPointsError):
        adjust(-4)
    with pytest.raises(ReasonRequiredError):
        adjust(1, reason=" ")
    with pytest.raises(InvalidError):
        adjust(0)
    has(session, member_id, available=3)


def test_check_in_counts_days_in_a_row_and_only_one_a_day(session):
    member_id = a_member(session, now=START)
    with pytest.raises(CheckInClosedError):
        service.check_in(session, member_id, actor=SYSTEM, now=START)
    document = {"points": 2, "streak_bonus": {"2": 5}, "expiry": {"kind": "days", "count": 10}}
    service.save_rule(session, RuleDraft("check-in", "check_in", "Check-in", document), actor=STAFF, now=START)
    made = []
    for day in (0, 1, 2, 4):
        made.append(service.check_in(session, member_id, actor=SYSTEM, now=START + timedelta(days=day)))
        with pytest.raises(AlreadyCheckedInError):
            service.check_in(session, member_id, actor=SYSTEM, now=START + timedelta(days=day, hours=11))
    assert [(one.points, one.streak_days) for one in made] == [(2, 1), (7, 2), (2, 3), (2, 1)]
    has(session, member_id, available=13)
    rows = queries.entries(session, member_id, PageRequest()).items
    assert {row.rule for row in rows} == {"check-in@1"}


def test_merging_moves_every_account_and_later_commands_follow(session):
    leaving, staying = a_member(session, now=START, points=10), a_member(session, now=START, points=7)
    accrued = accrue(session, leaving, 5)
    accrue(session, leaving, 4, available_at=START + timedelta(days=1))
    held = service.reserve(session, leaving, Points(3), source=a_source(), reason="Order", actor=SYSTEM, now=START)
    service.merge_members(session, leaving, staying, now=START)
    has(session, staying, available=19, pending=4, reserved=3)
    service.merge_members(session, leaving, staying, now=START)
    has(session, leaving)
    accrue(session, leaving, 1)
    reverse(session, accrued.id)
    service.release(session, held.id, actor=SYSTEM, now=START)
    has(session, staying, available=18, pending=4)
    assert len(queries.entries(session, staying, PageRequest()).items) == 9


def test_merging_accounts_that_were_never_opened_changes_nothing(session):
    leaving, staying = a_member(session, now=START), a_member(session, now=START, points=2)
    service.merge_members(session, leaving, staying, now=START)
    has(session, staying, available=2)
    assert session.scalar(sa.select(sa.func.count()).select_from(PointsEntry)) == 1


@pytest.mark.parametrize("table", ["points_entries", "points_postings", "points_allocations"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET {} = 9", "DELETE FROM {}"])
def test_the_books_cannot_be_altered(session, table, verb):
    a_member(session, now=START, points=10)
    column = "points" if table == "points_entries" else "amount"
    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(sa.text(verb.format(table, column)))


def test_a_planted_drift_is_found(session):
    member_id = a_member(session, now=START, points=10)
    session.execute(sa.text("UPDATE points_accounts SET available = 12"))
    drifts = queries.prove(session)
    assert {(drift.check, drift.subject, drift.name, drift.expected, drift.found) for drift in drifts} == {
        ("account_ledger", str(member_id), "available", 10, 12),
        ("account_lots", str(member_id), "available", 10, 12),
    }
    session.execute(sa.text("UPDATE points_accounts SET available = 10"))
    session.execute(sa.text("UPDATE points_lots SET left_ = 9"))
    assert {drift.check for drift in queries.prove(session)} == {"account_lots", "lot_allocations"}


# --- Committing: races, kills ---------------------------------------------------------------------------------------


def at_once(work, times):
    """Run work(place) on threads that start together; return the errors."""
    barrier, errors = threading.Barrier(times), []

    def run(place):
        barrier.wait()
        try:
            work(place)
        except Exception as error:  # noqa: BLE001 - every refusal is counted
            errors.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.mark.committing
def test_a_race_for_the_last_points_gives_them_out_once(core):
    member_id = core.db.run(lambda session: a_member(session, now=START, points=50))
    errors = at_once(lambda place: core.db.run(lambda session: redeem(session, member_id, 10, source=a_source(f"race-{place}"))), 8)
    assert [type(error) for error in errors] == [InsufficientPointsError] * 3
    with core.db.reading() as session:
        has(session, member_id)


@pytest.mark.committing
def test_a_race_of_one_source_makes_one_entry(core):
    member_id = core.db.run(lambda session: a_member(session, now=START))
    views = []
    errors = at_once(lambda _: views.append(core.db.run(lambda session: accrue(session, member_id, 10, source=a_source("one")))), 6)
    assert errors == []
    assert len({view.id for view in views}) == 1
    assert [view.replayed for view in views].count(False) == 1
    with core.db.reading() as session:
        has(session, member_id, available=10)


@pytest.mark.committing
def test_a_race_of_one_source_by_two_members_refuses_one(core):
    members = [core.db.run(lambda session: a_member(session, now=START)) for _ in range(2)]
    errors = at_once(lambda place: core.db.run(lambda session: accrue(session, members[place], 10, source=a_source("both"))), 2)
    assert [type(error) for error in errors] == [SourceConflictError]
    with core.db.reading() as session:
        assert sorted(queries.balance(session, member_id).available for member_id in members) == [0, 10]


@pytest.mark.committing
def test_a_race_of_check_ins_makes_one(core):
    member_id = core.db.run(lambda session: a_member(session, now=START))
    core.db.run(lambda session: service.ensure_default_rules(session, actor=SYSTEM, now=START))
    errors = at_once(lambda _: core.db.run(lambda session: service.check_in(session, member_id, actor=SYSTEM, now=START)), 5)
    assert [type(error) for error in errors] == [AlreadyCheckedInError] * 4
    with core.db.reading() as session:
        has(session, member_id, available=2)


@pytest.mark.committing
def test_a_death_halfway_leaves_nothing(core, monkeypatch):
    member_id = core.db.run(lambda session: a_member(session, now=START, points=10))

    def work(session):
        redeem(session, member_id, 4, source=a_source("dies"))
        accrue(session, member_id, 9, source=a_source("dies too"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        core.db.run(work)
    with core.db.reading() as session:
        has(session, member_id, available=10)
    assert not core.db.run(lambda session: redeem(session, member_id, 4, source=a_source("dies"))).replayed


@pytest.mark.committing
def test_sweeps_side_by_side_expire_each_lot_once(core):
    def prepare(session):
        member_id = a_member(session, now=START)
        for _ in range(12):
            accrue(session, member_id, 10, expires_at=START + timedelta(days=1))
        return member_id

    member_id = core.db.run(prepare)
    later = START + timedelta(days=1)
    assert at_once(lambda _: core.db.run(lambda session: service.expire_due(session, later, limit=5)), 4) == []
    while core.db.run(lambda session: service.expire_due(session, later, limit=5)):
        pass
    with core.db.reading() as session:
        has(session, member_id)
        expired = session.scalar(sa.select(sa.func.sum(PointsEntry.points)).where(PointsEntry.kind == "expire"))
        assert expired == -120
