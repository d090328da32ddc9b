"""Building lists: resumed, raced, swapped whole, due when they should be, and forgotten with the member."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from server.audit import queries as audit
from server.kernel.actors import SystemActor
from server.kernel.pagination import PageRequest
from server.rosters import queries as rosters
from server.rosters import service as roster_service
from server.segments import queries, service
from server.segments.errors import SegmentChangedError, SegmentInvalidError, SegmentNotFoundError
from server.segments.rules import Condition, Fact, Group, Rule, Test
from tasks.jobs import segments as jobs
from tests.conftest import START
from tests.coupons.test_races import at_once, some_members
from tests.factories.coupons import STAFF
from tests.factories.segments import a_segment, all_of, at_least, at_most, build, one_of

pytestmark = [pytest.mark.committing, pytest.mark.requirement("CMP1")]
EVERYBODY = all_of(at_most(Fact.ORDERS, 0))
NOBODY = all_of(at_least(Fact.ORDERS, 1))


def written(core, rule=EVERYBODY, **more):
    return core.db.run(lambda session: a_segment(session, rule, now=core.clock.now(), **more))


def step(core, size=2):
    return core.db.run(lambda session: service.build_step(session, "some", now=core.clock.now(), size=size))


def roster(core):
    with core.db.reading() as session:
        return rosters.rosters(session)["some"]


def inside(core, member_id):
    with core.db.reading() as session:
        return rosters.memberships(session, member_id, ["some", "none-such"])


def rows(core):
    with core.db.reading() as session:
        return session.scalar(sa.text("SELECT count(*) FROM segment_members"))


def test_no_reader_sees_half_a_list_and_the_old_one_counts_until_the_new_one_is_whole(core):
    some = sorted(some_members(core, 5))
    written(core)
    assert inside(core, some[0]) == frozenset()
    assert step(core)
    assert step(core)
    assert (roster(core).filled, inside(core, some[0])) == (4, frozenset())
    assert not step(core)
    assert inside(core, some[0]) == {"some"}
    assert (roster(core).size, roster(core).version, roster(core).filling) == (5, 1, None)
    # A new version chooses nobody; while it is being built, the list of the one before counts.
    core.clock.move(timedelta(minutes=1))
    written(core, NOBODY, expected=1)
    assert step(core)
    assert inside(core, some[0]) == {"some"}
    build(core)
    assert inside(core, some[0]) == frozenset()
    assert (roster(core).size, roster(core).rule_version) == (0, 2)
    assert rows(core) == 5
    assert jobs.sweep(core, START) == 5
    assert rows(core) == 0


def test_a_version_written_meanwhile_begins_the_list_anew(core):
    some_members(core, 5)
    written(core)
    assert step(core)
    written(core, NOBODY, expected=1)
    assert build(core, size=2) == []
    assert (roster(core).version, roster(core).rule_version) == (2, 2)
    assert jobs.sweep(core, START) == 2


def test_who_builds_at_once_puts_nobody_in_twice(core):
    some = some_members(core, 40)
    written(core)
    work = partial(service.build_step, code="some", now=START, size=3)
    at_once(core, [work] * 14, 4)
    assert sorted(build(core, size=3)) == sorted(some)
    assert (roster(core).size, rows(core), roster(core).made) == (40, 40, 1)


def test_a_step_that_was_killed_is_done_again(core):
    some = some_members(core, 5)
    written(core)

    class KilledError(Exception):
        pass

    def killed(session):
        service.build_step(session, "some", now=START, size=2)
        raise KilledError

    for _ in range(3):
        with pytest.raises(KilledError):
            core.db.run(killed)
        step(core)
    assert sorted(build(core)) == sorted(some)


def test_the_job_builds_what_is_due_and_leaves_the_rest(core):
    some_members(core, 3)
    written(core, refresh_hours=24)
    assert jobs.build_due(core, START) == 1
    assert jobs.build_due(core, START) == 0
    core.clock.move(timedelta(hours=23, minutes=59))
    assert jobs.build_due(core, START) == 0
    core.clock.move(timedelta(minutes=1))
    assert jobs.build_due(core, START) == 1
    ask = partial(service.ask_for_build, code="some", reason="now", actor=STAFF, now=core.clock.now())
    core.db.run(ask)
    assert jobs.build_due(core, START) == 1
    stop = partial(service.set_enabled, code="some", enabled=False, expected=1, reason="over", actor=STAFF, now=core.clock.now())
    core.db.run(stop)
    core.clock.move(timedelta(days=30))
    assert jobs.build_due(core, START) == 0
    assert roster(core).size == 3
    with pytest.raises(SegmentInvalidError):
        core.db.run(ask)


def test_a_member_who_leaves_or_ends_is_on_no_list(core):
    first, second, third = sorted(some_members(core, 3))
    written(core)
    build(core)
    gone = partial(roster_service.forget_member, member_id=first, actor=SystemActor("test"), now=START)
    assert core.db.run(gone) == 1
    assert core.db.run(partial(roster_service.merge_members, from_id=second, into_id=third, now=START)) == 1
    assert [inside(core, each) for each in (first, second, third)] == [frozenset(), frozenset(), {"some"}]
    with core.db.reading() as session:
        assert rosters.members_in(session, [first, second, third], ["some"]) == {third}
        assert rosters.all_memberships(session, third) == ["some"]


def test_a_change_is_a_version_with_its_reason_and_never_over_anothers(core):
    written(core)
    with pytest.raises(SegmentInvalidError) as taken:
        written(core, expected=0)
    assert "code" in taken.value.fields
    written(core, NOBODY, expected=1)
    with pytest.raises(SegmentChangedError):
        written(core, expected=1)
    with core.db.reading() as session:
        assert [view.version for view in queries.versions(session, "some")] == [2, 1]
        assert queries.names(session) == {"some": "一些会员"}
        entry = audit.list_entries(session, PageRequest(1), audit.EntryFilter(action="segment.save")).items[0]
        assert entry.reason == "for the test"
    with pytest.raises(SegmentNotFoundError):
        core.db.run(partial(service.set_enabled, code="x", enabled=False, expected=None, reason="r", actor=STAFF, now=START))


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        (Rule(()), "groups"),
        (Rule((Group(()),)), "group.1"),
        (Rule((Group((at_least(Fact.ORDERS, 1),) * 7),)), "group.1"),
        (Rule((Group((at_least(Fact.ORDERS, 1),)),) * 5), "groups"),
        (all_of(Condition(Fact.TIER, Test.AT_LEAST, number=1)), "group.1.1"),
        (all_of(one_of(Fact.TIER)), "group.1.1"),
        (all_of(one_of(Fact.TIER, *(str(each) for each in range(51)))), "group.1.1"),
        (all_of(at_least(Fact.ORDERS, -1)), "group.1.1"),
        (all_of(at_least(Fact.POINTS, 1, days=3)), "group.1.1"),
        (all_of(at_least(Fact.ORDERS, 1), at_least(Fact.ORDERS, 1, days=0)), "group.1.2"),
        (all_of(one_of(Fact.BIRTHDAY_MONTH, "13")), "group.1.1"),
        (all_of(one_of(Fact.GENDER, "other")), "group.1.1"),
        (all_of(Condition(Fact.TIER, Test.ONE_OF, ("a",), number=1)), "group.1.1"),
        (all_of(Condition(Fact.ORDERS, Test.AT_LEAST, ("a",), number=1)), "group.1.1"),
        (all_of(Condition(Fact.JOINED, Test.WITHIN, number=3651)), "group.1.1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_at_its_place(rule, place):
    assert list(rule.problems()) == [place]


def test_a_rule_reads_back_as_it_was_written():
    rule = Rule(
        (
            Group((one_of(Fact.CITY, "上海", negated=True), at_least(Fact.PAID, 10_000, days=30)), "any", negated=True),
            Group((at_most(Fact.ORDERS, 0),)),
        ),
        "any",
    )
    assert rule.problems() == {}
    assert Rule.of_document(rule.to_document()) == rule
