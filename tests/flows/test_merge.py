from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.flows import home, merge
from server.kernel.actors import MemberActor
from server.kernel.amounts import Points
from server.kernel.db import Base
from server.kernel.errors import DomainError
from server.kernel.source import Source
from server.members import merge_queries
from server.members.models import MemberMerge
from server.points import queries as points_queries
from server.points import service as points
from tests.factories.members import PHONES, SYSTEM, a_member, an_unclaimed_member


def give(session, member_id, count, key, now):
    points.accrue(session, member_id, Points(count), source=Source("test", key), reason="Gift", actor=SYSTEM, now=now)


@pytest.mark.requirement("MEM6")
def test_points_of_both_records_belong_to_the_survivor_and_still_prove_out(session, clock):
    now = clock.now()
    till = an_unclaimed_member(session, now=now, phone=PHONES[1])
    clock.move(timedelta(days=1))
    mine = a_member(session, now=clock.now())
    give(session, till, 120, "a", now)
    give(session, mine, 30, "b", now)
    bound = merge.bind_phone(session, mine, PHONES[1], actor=MemberActor(mine), now=clock.now())
    assert (bound.member_id, bound.merge.from_id) == (till, mine)
    assert points_queries.balance(session, till, now=clock.now()).available == 150
    page = home.of_member(session, till, now=clock.now())
    assert (page.points_available, page.phone_masked) == (150, "138****8001")
    entry = merge_queries.merges_of(session, till)[0]
    assert "points" in entry.carried


@pytest.mark.committing
def test_two_log_ins_that_bind_one_phone_at_once_merge_it_once(core, clock):
    def prepare(session):
        till = an_unclaimed_member(session, now=clock.now(), phone=PHONES[1])
        give(session, till, 100, "a", clock.now())
        return till, [a_member(session, now=clock.now() + timedelta(seconds=number + 1)) for number in range(4)]

    till, members = core.db.run(prepare)

    def bind(member_id):
        try:
            later = clock.now() + timedelta(minutes=1)
            return core.db.run(lambda s: merge.bind_phone(s, member_id, PHONES[1], actor=MemberActor(member_id), now=later)).member_id
        except DomainError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(bind, members))
    assert results.count(till) == 1
    assert set(results) <= {till, "merge_needs_staff", "phone_taken", "merge_refused"}
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(MemberMerge)) == 1
        assert points_queries.balance(session, till, now=clock.now()).available == 100


def test_every_domain_whose_tables_name_a_member_takes_part_in_a_merge():
    owners = {
        mapper.class_.__module__.split(".")[1]
        for mapper in Base.registry.mappers
        for key in mapper.local_table.foreign_keys
        if key.column.table.name == "members"
    }
    assert owners - {"members"} <= set(merge.MOVERS)
