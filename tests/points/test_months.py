"""A closed month stays as it was read: late facts belong to the open one, the closes add up to the ledger, and what does not hold is found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from server.flows import month_close
from server.kernel.amounts import Points
from server.kernel.ids import uuid7
from server.operations import queries as operations
from server.points import controls, month_queries, months, queries, service
from server.points.control_rules import Controls
from server.points.errors import MonthOrderError
from server.points.models import PointsEntry, PointsPosting
from tasks.jobs import points as points_jobs
from tasks.jobs import points_months as jobs
from tests.conftest import START
from tests.factories.points import SYSTEM, a_member, a_source

DAY = timedelta(days=1)
JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)


def accrue(session, member_id, count, now=START, **more):
    return service.accrue(session, member_id, Points(count), source=a_source(), reason="Gift", actor=SYSTEM, now=now, **more)


def a_busy_month(session):
    """Issue 160, of which 20 stay pending; redeem 40 and return 10 of them, expire 30, take 50 back of which 10 are forgiven."""
    member_id = a_member(session, now=START)
    common = {"reason": "Test", "actor": SYSTEM}
    accrue(session, member_id, 20, available_at=START + 90 * DAY)
    accrue(session, member_id, 30, expires_at=START + DAY)
    taken = accrue(session, member_id, 110)
    service.expire_due(session, START + DAY)
    spent = service.redeem(session, member_id, Points(40), source=a_source(), now=START + DAY, **common)
    service.return_redemption(session, spent.id, Points(10), source=a_source(), now=START + DAY, **common)
    service.adjust(session, member_id, Points(-40), source=a_source(), now=START + DAY, **common)
    service.reverse(session, taken.id, Points(50), source=a_source(), now=START + DAY, **common)
    return member_id


def close(session, month, per_yuan=100):
    closing = months.work_out(session, month, cutoff=uuid7())
    return months.close(session, closing, points_per_yuan=per_yuan, actor=SYSTEM, now=START)


def rows(session, month):
    return {row.account: row for row in month_queries.account_rows(session, month)}


def test_a_month_is_written_as_the_ledger_says_and_late_facts_belong_to_the_open_one(session):
    member_id = a_busy_month(session)
    assert close(session, JUNE, per_yuan=300)
    june = rows(session, JUNE)
    available = june["available"]
    moves = (available.issued, available.redeemed, available.expired, available.reversed, available.adjusted, available.closing)
    assert moves == (140, -30, -30, -40, -40, 0)
    assert (june["forgiven"].forgiven, june["issuer"].forgiven, june["pending"].closing) == (-10, 10, 20)
    view = month_queries.closed_month(session, JUNE)
    assert (view.liability_points, view.liability_fen, view.entries) == (20, 7, 8)
    (cohort,) = month_queries.cohorts(session)
    assert (cohort.cohort, cohort.issued, cohort.redeemed, cohort.expired, cohort.reversed) == (JUNE, 160, 30, 30, 80)
    # Recorded after the close: about a day of June, and about one of July.
    accrue(session, member_id, 5, now=START)
    accrue(session, member_id, 7, now=START + 20 * DAY)
    assert rows(session, JUNE) == june
    assert {row.account: row.closing for row in month_queries.open_month(session)}["available"] == 12
    for wrong in (JUNE, date(2026, 8, 1), date(2026, 7, 2)):
        with pytest.raises(MonthOrderError):
            close(session, wrong)
    assert close(session, JULY)
    assert rows(session, JULY)["available"].issued == 12
    assert month_queries.closed_month(session, JULY).entries == 2
    assert month_queries.prove_months(session) == []


def slip_in(session, member_id, entry_id):
    """Write an entry as if it had been recorded long before it was committed: nothing the product does."""
    values = {
        "id": entry_id, "member_id": member_id, "kind": "accrue", "points": 9, "source_namespace": "test", "source_key": entry_id.hex,
        "fingerprint": "0" * 64, "reason": "x", "available_after": 9, "pending_after": 0, "occurred_at": START,
        "business_day": START.date(), "actor_kind": "system", "actor_ref": "x",
    }  # fmt: skip
    session.execute(sa.insert(PointsEntry).values(**values))
    sides = [("available", member_id, 9), ("issuer", None, -9)]
    session.execute(
        sa.insert(PointsPosting),
        [
            {"entry_id": entry_id, "line": line, "account": account, "member_id": owner, "amount": amount}
            for line, (account, owner, amount) in enumerate(sides, start=1)
        ],
    )


def test_an_entry_that_slips_into_a_closed_month_is_found_by_number_sum_and_hash(session):
    early = uuid7()
    member_id = a_busy_month(session)
    close(session, JUNE)
    slip_in(session, member_id, early)
    drifts = {drift.name: drift.expected - drift.found for drift in month_queries.prove_months(session) if drift.check == "month"}
    assert (drifts["entries"], drifts["available.issued"], drifts["issuer.issued"]) == (1, 9, -9)
    assert drifts["digest"] != 0
    assert {drift.name for drift in month_queries.prove_months(session) if drift.check == "months_ledger"} == {"closing"}


def test_what_a_point_is_worth_is_declared_or_follows_paying_with_points(session):
    assert month_close.points_per_yuan(session) == 100
    controls.declare(session, Controls(points_per_yuan=250), actor=SYSTEM, now=START)
    assert month_close.points_per_yuan(session) == 250


@pytest.mark.committing
def test_the_job_closes_a_month_once_and_drift_of_any_kind_opens_an_incident_that_the_console_shows(core, clock, monkeypatch):
    monkeypatch.setattr(jobs, "SETTLED_AFTER", timedelta(0))
    early = uuid7()
    member_id = core.db.run(a_busy_month)
    clock.set(START + 16 * DAY)  # the first of July: facts of June may still come in
    assert jobs.close_months(core, START) == 0
    clock.set(START + 17 * DAY)
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(lambda _: jobs.close_months(core, START), range(2))) == 1
    assert jobs.close_months(core, START) == 0
    assert (jobs.prove_months(core, START), points_jobs.prove(core, START)) == (0, 0)
    core.db.run(lambda session: slip_in(session, member_id, early))
    assert jobs.prove_months(core, START) > 0
    assert points_jobs.prove(core, START) > 0
    with core.db.reading() as session:
        assert {one.kind for one in operations.incidents(session)} == {"points.drifted", "points.month_drifted"}
        assert queries.prove(session) != []
