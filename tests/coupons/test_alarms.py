"""Staff are told once of each threshold that a template's stock or budget passes, and no longer when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.coupons import alarm_queries, queries, service
from server.coupons.rules.alarms import GONE, LOW, percent_of, standing_percent
from server.coupons.rules.terms import Validity
from server.kernel.source import Source
from server.operations import queries as operations
from server.operations import service as incidents
from tasks.jobs.coupons import watch_limits
from tests.conftest import START
from tests.factories.coupons import STAFF, SYSTEM, a_draft, a_member, a_template, some_terms

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)

pytestmark = pytest.mark.requirement("CPN3", "CPN8")


def issue(session, template_id, count, tag="", now=NOW):
    member = a_member(session, now=now)
    return [
        service.issue(session, member, template_id, source=Source("test", f"{template_id.hex}{tag}:{number}"), actor=STAFF, now=now)
        for number in range(count)
    ]


def news(session, now=NOW):
    return sorted((each.code, each.what, each.percent, each.raised) for each in service.watch_limits(session, now))


def test_the_levels_are_where_they_are_said_to_be():
    assert [percent_of(taken, 10, 1) for taken in (7, 8, 9, 10)] == [0, LOW, LOW, GONE]
    assert percent_of(9900, 10000, 2000) == GONE  # a budget that pays for no further coupon is gone
    assert percent_of(0, 10, 11) == GONE
    held = {"raised": LOW, "raised_limit": 100}
    assert [standing_percent(taken, 100, 1, **held) for taken in (79, 75, 74)] == [LOW, LOW, 0]
    assert standing_percent(79, 99, 1, **held) == 0  # another limit is looked at anew
    gone = {"raised": GONE, "raised_limit": 100}
    assert [standing_percent(taken, 100, 1, **gone) for taken in (99, 95, 94, 75, 74)] == [GONE, GONE, LOW, LOW, 0]


def test_each_threshold_is_told_once_and_a_raised_stock_clears_it(session):
    template_id = a_template(session, now=NOW, code="ten", stock=10, per_member=None)
    issue(session, template_id, 7)
    assert news(session) == []
    issue(session, template_id, 1, "b")
    assert news(session) == [("ten", "stock", LOW, True)]
    assert news(session) == []
    issue(session, template_id, 2, "c")
    assert news(session) == [("ten", "stock", GONE, True)]
    assert [(each.code, each.what, each.percent, each.taken, each.limit_value) for each in alarm_queries.standing(session)] == [
        ("ten", "stock", GONE, 10, 10)
    ]
    service.update(session, template_id, a_draft(code="ten", stock=12, per_member=None), actor=STAFF, now=NOW)
    assert news(session) == [("ten", "stock", GONE, False)]
    service.update(session, template_id, a_draft(code="ten", stock=100, per_member=None), actor=STAFF, now=NOW)
    assert news(session) == [("ten", "stock", LOW, False)]
    assert alarm_queries.standing(session) == []


def test_a_budget_that_comes_back_a_little_does_not_ring_twice(session):
    worst = some_terms().worst_case_fen()
    template_id = a_template(session, now=NOW, code="money", budget_fen=100 * worst, per_member=None)
    coupons = issue(session, template_id, 80)
    assert news(session) == [("money", "budget", LOW, True)]
    for coupon in coupons[:5]:
        service.void(session, coupon.id, reason="wrong", actor=STAFF, now=NOW)
    assert news(session) == []
    issue(session, template_id, 5, "again")
    assert news(session) == []
    for coupon in coupons[5:11]:
        service.void(session, coupon.id, reason="wrong", actor=STAFF, now=NOW)
    assert news(session) == [("money", "budget", LOW, False)]


def test_what_nobody_can_have_any_more_has_no_alarm(session):
    until = NOW + timedelta(days=2)
    one = a_template(session, now=NOW, code="paused", stock=1)
    two = a_template(session, now=NOW, code="ending", stock=1, validity=Validity(valid_from=NOW, valid_until=until))
    for template_id in (one, two):
        issue(session, template_id, 1)
    assert len(news(session)) == 4
    service.pause(session, one, actor=STAFF, now=NOW)
    assert news(session) == [("paused", "stock", LOW, False), ("paused", "stock", GONE, False)]
    assert [each[0] for each in news(session, until)] == ["ending", "ending"]


def test_the_job_opens_an_incident_for_each_threshold_and_closes_it(core):
    template_id = core.db.run(lambda session: a_template(session, now=START, code="few", stock=5, per_member=None))
    core.db.run(lambda session: issue(session, template_id, 4, now=START))

    def open_ones():
        with core.db.reading() as session:
            return sorted((one.kind, one.subject, one.occurrences) for one in operations.incidents(session))

    assert (watch_limits(core, START), watch_limits(core, START)) == (1, 0)
    assert open_ones() == [("coupons.stock_low", "few:80", 1)]
    with core.db.reading() as session:
        incident = operations.incidents(session)[0].id
    core.db.run(lambda session: incidents.close_incident(session, incident, note="seen", actor=SYSTEM, now=START))
    assert (watch_limits(core, START), open_ones()) == (0, [])  # seen is seen: it does not ring again
    core.db.run(lambda session: issue(session, template_id, 1, "last", now=START))
    assert (watch_limits(core, START), open_ones()) == (1, [("coupons.stock_low", "few:100", 1)])
    core.db.run(
        lambda session: service.update(session, template_id, a_draft(code="few", stock=50, per_member=None), actor=STAFF, now=START)
    )
    assert (watch_limits(core, START), open_ones()) == (2, [])
    with core.db.reading() as session:
        assert queries.find_template(session, template_id).version  # the job never touched the template's row
