"""A sale that is taken in while its buyer's record is being merged ends with the survivor, whoever is first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from threading import Barrier, Event

import pytest
import sqlalchemy as sa

from server.flows import merge
from server.flows.history import CREATED, HistoryIntake
from server.members import queries as members
from server.members import service as members_service
from server.orders import intake
from server.orders.drafts import MemberRef
from server.orders.models import Order
from server.points import proofs
from server.points import queries as points
from server.points import service as points_service
from tests.conftest import START
from tests.factories.members import PHONES, an_unclaimed_member
from tests.factories.orders import SHOP, SYSTEM, a_till_draft, an_order

NOW = START
LATER = NOW + timedelta(minutes=1)
pytestmark = pytest.mark.committing


def two_records(session):
    """Return a record that is known at the till, and the one it is going to be merged into."""
    ending = members_service.enrol_unclaimed(session, phone=None, external_ids={"till": "buyer-7"}, actor=SYSTEM, now=NOW)
    return ending, an_unclaimed_member(session, now=NOW, phone=PHONES[1])


def merged(core, ending, staying):
    return core.db.run(lambda s: merge.merge(s, ending, staying, reason="same person", actor=SYSTEM, now=LATER))


def a_sale(number):
    return a_till_draft(now=LATER, external_no=f"R-{number}", member=MemberRef(external_id="buyer-7"))


def one_by_one(session, number):
    return an_order(session, a_sale(number), now=LATER)


def in_a_chunk(session, number):
    (outcome,) = HistoryIntake(SHOP).take_in(session, [a_sale(number)], now=LATER)
    assert outcome.result == CREATED


def check(core, ending, staying, count):
    with core.db.reading() as session:
        owners = {owner: count for owner, count in session.execute(sa.select(Order.member_id, sa.func.count()).group_by(Order.member_id))}  # noqa: C416 - rows are no pairs to mypy
        assert owners == {staying: count}
        assert points.balance(session, staying, now=LATER).available == 100 * count
        assert points.balance(session, ending, now=LATER).available == 0
        assert proofs.prove(session) == []


@pytest.mark.requirement("MEM6")
@pytest.mark.parametrize("take_in", [one_by_one, in_a_chunk])
def test_a_merge_between_look_up_and_sale_is_seen(core, monkeypatch, take_in):
    """The buyer is looked up, the merge commits, then the sale is written."""
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    ending, staying = core.db.run(two_records)
    look_up, resolve_many = members.by_external, members.resolve_many
    looked_up, may_go_on = Event(), Event()

    def pausing(found):
        # Only the taking in pauses; on SQLite the merge cannot begin before it is over, so it is not waited for without end.
        looked_up.set()
        may_go_on.wait(1)
        return found

    monkeypatch.setattr(members, "by_external", lambda *arguments: pausing(look_up(*arguments)))
    monkeypatch.setattr(members, "resolve_many", lambda *arguments: resolve_many(pausing(arguments[0]), *arguments[1:]))
    with ThreadPoolExecutor(2) as pool:
        sale = pool.submit(core.db.run, lambda s: take_in(s, 1))
        assert looked_up.wait(10)
        joined = pool.submit(merged, core, ending, staying)
        wait([joined], timeout=0.9)
        may_go_on.set()
        assert joined.result(20).into_id == staying
        sale.result(20)
    check(core, ending, staying, 1)


@pytest.mark.requirement("MEM6")
@pytest.mark.parametrize("take_in", [one_by_one, in_a_chunk])
def test_a_merge_waits_for_a_sale_that_is_being_written(core, take_in):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    ending, staying = core.db.run(two_records)
    written, may_commit = Event(), Event()

    def work(session):
        take_in(session, 1)
        written.set()
        may_commit.wait(1)

    with ThreadPoolExecutor(2) as pool:
        sale = pool.submit(core.db.run, work)
        assert written.wait(10)
        joined = pool.submit(merged, core, ending, staying)
        done, _ = wait([joined], timeout=0.5)
        assert not done
        may_commit.set()
        sale.result(20)
        joined.result(20)
    check(core, ending, staying, 1)


def test_many_sales_at_once_with_a_merge_among_them(core):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    ending, staying = core.db.run(two_records)
    start = Barrier(9)

    def sell(number):
        start.wait()
        core.db.run(lambda s: (one_by_one if number % 2 else in_a_chunk)(s, number), attempts=20)

    with ThreadPoolExecutor(9) as pool:
        sales = [pool.submit(sell, number) for number in range(8)]
        start.wait()
        merged(core, ending, staying)
        for sale in sales:
            sale.result(60)
    check(core, ending, staying, 8)


def test_the_order_that_named_a_merged_record_is_the_survivors(session):
    ending, staying = two_records(session)
    merge.merge(session, ending, staying, reason="same person", actor=SYSTEM, now=NOW)
    draft = a_till_draft(now=NOW, member=MemberRef(member_id=ending))
    taken = intake.take_in(session, draft, actor=SHOP, now=NOW)
    assert session.scalar(sa.select(Order.member_id).where(Order.id == taken.order_id)) == staying
