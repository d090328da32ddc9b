"""Many at once, the last piece, replays, and a process that dies half way: never one too many, never half a redemption."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from config.settings import Settings
from server.bootstrap import Core, build_core
from server.flows import merge
from server.kernel.actors import MemberActor
from server.kernel.db import Base
from server.kernel.errors import DomainError
from server.kernel.outbox import OutboxEvent
from server.kernel.source import Source
from server.points import queries as points_queries
from server.points import service as points
from server.rewards import queries, service
from server.rewards.models import Reward, RewardRedemption, RewardTransition
from server.rewards.rules.terms import Kind
from tests.conftest import START
from tests.factories.coupons import a_template
from tests.factories.points import a_member
from tests.factories.rewards import STAFF, TILL, a_redemption, a_reward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.committing
NOW = START
ROOT = Path(__file__).parents[2]


def wide(core: Core, settings: Settings, connections: int) -> Core:
    """Return a core with as many connections as the race has threads."""
    return build_core(settings.model_copy(update={"pool_size": connections}), clock=core.clock)


def some_members(core: Core, number: int, *, having: int = 100) -> list[Any]:
    found = []
    for start in range(0, number, 50):
        with core.db.transaction() as session:
            found += [a_member(session, now=NOW, points=having) for _ in range(min(50, number - start))]
    return found


def at_once(core: Core, works: Sequence[Callable[[Any], Any]], threads: int) -> list[Any]:
    """Do every work in a transaction of its own, so many at a time, and return results or error codes in order."""
    gate, waiting = threading.Barrier(min(threads, len(works))), threading.local()

    def do(work: Callable[[Any], Any]) -> Any:
        if not getattr(waiting, "passed", False):
            waiting.passed = True
            gate.wait()
        try:
            return core.db.run(work, attempts=40)
        except DomainError as error:
            return error.code

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(do, works))


def redeeming(members, reward):
    return [lambda session, member=member: a_redemption(session, member, reward, now=NOW) for member in members]


def check_books(core, reward, *, standing: int, made: int, stock: int | None = None):
    """Stock, redemptions, transitions, events and the ledger tell the same number."""
    with core.db.reading() as session:
        view = queries.find_reward(session, reward)
        assert view.issued == standing
        if stock is not None:
            assert view.issued + view.left == stock
        rows = session.scalars(sa.select(RewardRedemption).where(RewardRedemption.reward_id == reward)).all()
        assert len(rows) == made
        assert sum(row.state != "cancelled" for row in rows) == standing
        begun = sa.select(sa.func.count()).select_from(RewardTransition).where(RewardTransition.from_state.is_(None))
        assert session.scalar(begun) == made
        for row in rows:
            moves = queries.transitions(session, row.id)
            assert moves[-1].to_state == row.state
            assert (row.entry_id is not None and row.return_entry_id is None) == (row.state in {"placed", "fulfilled"})
        assert points_queries.prove(session) == []


@pytest.mark.requirement("PTS5")
def test_sixty_four_members_race_for_the_last_piece(core: Core, settings: Settings):
    core = wide(core, settings, 64)
    members = some_members(core, 64)
    with core.db.transaction() as session:
        reward = a_reward(session, now=NOW, stock=1, daily_stock=5, per_member=1)
    results = at_once(core, redeeming(members, reward), 64)
    assert sorted(each for each in results if isinstance(each, str)) == ["sold_out"] * 63
    check_books(core, reward, standing=1, made=1, stock=1)
    with core.db.reading() as session:
        left = [points_queries.balance(session, member, now=NOW).available for member in members]
        placed = session.scalar(sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.topic == "rewards.placed"))
    assert sorted(left) == [0, *([100] * 63)]
    assert placed == 1
    core.close()


def test_one_member_with_many_hands_spends_no_point_twice_and_keeps_the_limit(core: Core, settings: Settings):
    core = wide(core, settings, 16)
    [member] = some_members(core, 1, having=1000)
    with core.db.transaction() as session:
        limited, dear = a_reward(session, now=NOW, per_member=2, stock=30), a_reward(session, now=NOW, points=400)
    results = at_once(core, redeeming([member] * 16, limited), 16)
    assert sorted(each for each in results if isinstance(each, str)) == ["redemption_limit_reached"] * 14
    results = at_once(core, redeeming([member] * 16, dear), 16)
    assert sorted(each for each in results if isinstance(each, str)) == ["insufficient_points"] * 14
    with core.db.reading() as session:
        assert points_queries.balance(session, member, now=NOW).available == 0
        assert queries.find_reward(session, limited).left == 28
        assert points_queries.prove(session) == []
    core.close()


def test_redeeming_and_cancelling_at_once_never_loses_a_piece(core: Core, settings: Settings):
    core = wide(core, settings, 16)
    members = some_members(core, 24, having=500)
    with core.db.transaction() as session:
        reward = a_reward(session, now=NOW, stock=6, daily_stock=6, per_member=1)
    first = at_once(core, redeeming(members[:6], reward), 6)
    cancels = [
        lambda session, one=one: service.cancel(session, one.id, actor=MemberActor(one.member_id), now=NOW, member_id=one.member_id)
        for one in first
    ]
    works = [work for pair in zip(redeeming(members[6:12], reward), cancels, strict=True) for work in pair]
    works += cancels + redeeming(members[12:], reward)
    results = at_once(core, works, 16)
    got = [each for each in results if not isinstance(each, str) and each.state == "placed"]
    assert len(got) <= 6
    assert {each for each in results if isinstance(each, str)} <= {"sold_out"}
    check_books(core, reward, standing=len(got), made=6 + len(got), stock=6)
    core.close()


def test_paying_cancelling_and_timing_out_at_once_ends_one_way_and_no_money_is_lost(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    members = some_members(core, 8)
    with core.db.transaction() as session:
        reward = a_reward(session, now=NOW, stock=8, cash_fen=1990)
    made = at_once(core, redeeming(members, reward), 8)
    late = NOW + timedelta(minutes=31)
    works: list[Callable[[Any], Any]] = []
    for number, one in enumerate(made):
        source = Source("partner:till", f"p{number}")
        works += [
            lambda session, one=one, source=source: service.pay(session, one.id, source=source, paid_fen=1990, actor=TILL, now=late),
            lambda session, one=one: service.cancel(session, one.id, actor=MemberActor(one.member_id), now=late, member_id=one.member_id),
            lambda session: service.time_out_due(session, late),
            lambda session, one=one, source=source: service.pay(session, one.id, source=source, paid_fen=1990, actor=TILL, now=late),
        ]
    at_once(core, works, 8)
    with core.db.reading() as session:
        ends = [queries.find(session, one.id) for one in made]
        assert all(each.paid_at is not None for each in ends)
        assert all(each.state == "placed" or each.refund_state == "due" for each in ends)
        assert {each.payment_ref for each in ends} == {f"p{number}" for number in range(8)}
        standing = sum(each.state == "placed" for each in ends)
    check_books(core, reward, standing=standing, made=8, stock=8)
    core.close()


def test_a_voucher_shown_at_two_counters_at_once_is_redeemed_once(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    [member] = some_members(core, 1)
    with core.db.transaction() as session:
        one = a_redemption(session, member, a_reward(session, now=NOW, kind=Kind.SERVICE), now=NOW)
    works = [lambda session: service.hand_over(session, one.id, store="S1", actor=TILL, now=NOW)] * 8
    results = at_once(core, works, 8)
    assert sorted(each for each in results if isinstance(each, str)) == ["redemption_state"] * 7
    core.close()


def test_a_merge_in_the_middle_loses_no_redemption_and_no_point(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    one, two = some_members(core, 2, having=600)
    with core.db.transaction() as session:
        rewards = [a_reward(session, now=NOW, stock=9, per_member=9) for _ in range(4)]
    works = [work for reward in rewards for work in redeeming([one, two], reward)]
    works.insert(3, lambda session: merge.merge(session, one, two, reason="same", actor=STAFF, now=NOW))
    results = at_once(core, works, 8)
    assert [each for each in results if isinstance(each, str)] == []
    with core.db.reading() as session:
        mine = session.scalars(sa.select(RewardRedemption.member_id)).all()
        assert mine == [two] * 8
        assert points_queries.balance(session, two, now=NOW).available == 400
        assert points_queries.prove(session) == []
    core.close()


class Killed(Exception):
    """The work ends here; nothing in the product catches it."""


def dies_at(core: Core, work: Callable[[Any], Any], die_at: int) -> bool:
    """Do a work in a transaction that dies after its ``die_at``-th statement; tell whether it came that far."""
    sent = 0

    def count(_connection: Any, _cursor: Any, statement: str, *_arguments: Any) -> None:
        nonlocal sent
        if statement.startswith("BEGIN"):  # SQLite's own; dying in it would leave a transaction that nobody knows of
            return
        sent += 1
        if sent == die_at:
            raise Killed

    event.listen(core.db.engine, "after_cursor_execute", count)
    try:
        with core.db.transaction() as session:
            work(session)
    except Killed:
        return True
    finally:
        event.remove(core.db.engine, "after_cursor_execute", count)
    return False


def everything(core: Core) -> dict[str, list[Any]]:
    """Return every row of what a redemption touches."""
    names = ("rewards", "reward_redemptions", "reward_transitions", "points_accounts", "points_entries", "points_lots", "coupons")
    names += ("coupon_templates", "points_reservations", "outbox_events", "audit_entries")
    with core.db.reading() as session:
        return {name: sorted(map(str, session.execute(sa.select(Base.metadata.tables[name])).all())) for name in names}


def test_a_command_that_dies_after_any_statement_has_done_nothing_and_can_be_done_again(core: Core):
    [member] = some_members(core, 1, having=1000)
    with core.db.transaction() as session:
        template = a_template(session, now=NOW, stock=9)
        coupon = a_reward(session, now=NOW, kind=Kind.COUPON, coupon_template_id=template, stock=5, per_member=5)
        cash = a_reward(session, now=NOW, cash_fen=1990, stock=5, per_member=5)
        reserved, unpaid = (a_redemption(session, member, cash, now=NOW) for _ in range(2))
    source = Source("partner:till", "p1")
    commands: list[Callable[[Any], Any]] = [
        lambda session: a_redemption(session, member, coupon, now=NOW),
        lambda session: service.pay(session, reserved.id, source=source, paid_fen=1990, actor=TILL, now=NOW),
        lambda session: service.cancel(session, reserved.id, reason="缺货", actor=STAFF, now=NOW),
        lambda session: service.refund(session, reserved.id, refund_ref="f1", actor=STAFF, now=NOW),
        lambda session: service.time_out_due(session, unpaid.pay_until),
    ]
    for command in commands:
        before, die_at = everything(core), 1
        while dies_at(core, command, die_at):
            assert everything(core) == before, f"half done after statement {die_at}"
            die_at += 1
            if die_at > 4:
                die_at += 3  # every fourth is enough to be hit in the middle of everything
        # The run that was not hit has committed.
        assert everything(core) != before
        with core.db.reading() as session:
            assert points_queries.prove(session) == []


KILLED = """
import sys, os, signal
from uuid import UUID
import sqlalchemy as sa
from sqlalchemy import event
from config.settings import load_settings
from server.bootstrap import build_core
from server.kernel.clock import MovableClock
from tests.conftest import START
from tests.factories.rewards import a_redemption

core = build_core(load_settings(database_url=sys.argv[1]), clock=MovableClock(START))
def die(_connection, _cursor, statement, *_):
    if "INTO reward_transitions" in statement:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(core.db.engine, "after_cursor_execute", die)
with core.db.transaction() as session:
    a_redemption(session, UUID(sys.argv[2]), UUID(sys.argv[3]), now=START)
"""


def test_kill_nine_in_the_middle_of_a_redemption_leaves_points_and_stock_as_they_were(core: Core):
    [member] = some_members(core, 1)
    with core.db.transaction() as session:
        reward = a_reward(session, now=NOW, stock=1, per_member=1)
    before = everything(core)
    url = core.db.engine.url.render_as_string(hide_password=False)
    process = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(member), str(reward)], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
    # The server notices the death of its client on its own; asking for the same locks waits for that.
    done = core.db.run(lambda session: a_redemption(session, member, reward, now=NOW), attempts=20)
    assert done.state == "placed"
    assert len(everything(core)["reward_redemptions"]) == len(before["reward_redemptions"]) + 1
    check_books(core, reward, standing=1, made=1, stock=1)


def test_the_points_sweep_and_ours_at_once_release_once(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    members = some_members(core, 6)
    with core.db.transaction() as session:
        reward = a_reward(session, now=NOW, stock=6, cash_fen=1990)
    at_once(core, redeeming(members, reward), 6)
    late = NOW + timedelta(hours=2)
    sweeps = [lambda session: service.time_out_due(session, late), lambda session: points.release_due(session, late)] * 4
    at_once(core, sweeps, 8)
    check_books(core, reward, standing=0, made=6, stock=6)
    with core.db.reading() as session:
        assert [points_queries.balance(session, member, now=late).available for member in members] == [100] * 6
        assert session.scalar(sa.select(Reward.day_issued)) == 0
    core.close()
