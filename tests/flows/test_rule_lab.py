"""A dry run computes what drafts would have given, by the very function that gives points."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.flows import rule_lab
from server.orders.drafts import MemberRef
from server.orders.models import Order
from server.points import drafts, dry_runs
from server.points import queries as points
from server.points import service as points_service
from server.points.errors import DraftChangedError, DryRunUnderWayError, NothingToTryError, ReasonRequiredError
from server.points.models import PointsEntry
from server.points.rulebook import RuleDraft
from server.points.rules import MULTIPLIER, PER_AMOUNT
from server.transfers import queries as transfers
from tasks.jobs import rule_lab as job
from tests.conftest import START
from tests.factories.orders import SYSTEM, a_draft, a_line, a_till_draft, an_event, an_order, told

NOW = START  # 15 June 2026, a Monday
TODAY = NOW.date()
pytestmark = pytest.mark.requirement("CMP6")


def sales(session):
    """Four buyers, one sale a day each from 11 June on; the last one's is refunded whole, and one sale is out of the range."""
    points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW - timedelta(days=60))
    for place in range(4):
        at = NOW - timedelta(days=4 - place)
        buyer = MemberRef(external_id=f"buyer-{place}")
        an_order(session, a_till_draft(now=at, placed_at=at, member=buyer, lines=(a_line(amount_fen=1000 * (place + 1)),)), now=at)
    told_back = a_draft(now=NOW, member=MemberRef(external_id="buyer-9"))
    an_order(session, told_back, now=NOW)
    told(session, told_back, an_event("refunded", NOW, refund_id="r", refund_fen=10_000), now=NOW)
    old = NOW - timedelta(days=40)
    an_order(session, a_till_draft(now=old, placed_at=old, member=MemberRef(external_id="buyer-0")), now=old)


def a_plan(session):
    """Half a point for each yuan at most 15 a day, and the points of Saturdays (13 June, the third buyer's day) tenfold."""
    drafts.save(session, RuleDraft("purchase", PER_AMOUNT, "P", {"fen_per_point": 200, "max_points_per_day": 150}), actor=SYSTEM, now=NOW)
    drafts.save(session, RuleDraft("day", MULTIPLIER, "D", {"percent": 1000, "weekdays": [6]}), actor=SYSTEM, now=NOW)


def test_a_dry_run_tells_who_gains_and_who_loses_and_survives_being_killed(core, monkeypatch):
    monkeypatch.setattr(rule_lab.look_at, "__kwdefaults__", None)
    monkeypatch.setattr(rule_lab.look_at, "__defaults__", (2,))  # two members in a chunk
    core.db.run(sales)
    core.db.run(a_plan)
    entries = core.db.run(lambda session: session.scalar(sa.select(sa.func.count()).select_from(PointsEntry)))
    run_id = core.db.run(lambda session: dry_runs.ask(session, TODAY - timedelta(days=10), TODAY, actor=SYSTEM, now=NOW))
    with pytest.raises(DryRunUnderWayError):
        core.db.run(lambda session: dry_runs.ask(session, TODAY, TODAY, actor=SYSTEM, now=NOW))
    assert job._chunk(core, run_id)  # and here its process is killed
    with core.db.reading() as session:
        run = dry_runs.find(session, run_id)
        assert (run.state, transfers.find(session, run.transfer_id).percent) == ("running", 50)
        stale = (run, rule_lab.Sums(**run.progress))
    assert job._chunk(core, run_id)
    # A second worker that had begun from the same chunk changes nothing.
    assert not core.db.run(lambda session: rule_lab.carry_on(session, *stale, looked=2, total=None, now=NOW))
    event = SimpleNamespace(payload={"run_id": str(run_id)})
    job.on_dry_run_asked(core, event)
    job.on_dry_run_asked(core, event)
    with core.db.reading() as session:
        run = dry_runs.find(session, run_id)
        result, progress = run.result, transfers.find(session, run.transfer_id)
        buyers = session.execute(sa.select(Order.placed_at, Order.member_id).where(Order.points_earned > 0).order_by(Order.placed_at)).all()
        count = session.scalar(sa.select(sa.func.count()).select_from(PointsEntry))
    assert (run.state, progress.state, progress.done, progress.total) == ("done", "done", 4, 4)
    assert count == entries  # nothing was given
    # 10, 20, 30, 40 yuan: 1 point each, against 5, 10, 15 × 10 = 150 capped at 150, and 20.
    assert (result["orders"], result["members"], result["before"], result["after"]) == (4, 4, 100, 185)
    assert (result["gain"], result["lose"], result["same"]) == (1, 3, 0)
    assert (result["before_fen"], result["after_fen"]) == (100, 185)
    assert result["days"] == [["2026-06-11", 10, 5], ["2026-06-12", 20, 10], ["2026-06-13", 30, 150], ["2026-06-14", 40, 20]]
    third, fourth = buyers[3].member_id, buyers[4].member_id
    assert result["gainers"] == [[str(third), 30, 150]]
    assert result["losers"][0] == [str(fourth), 40, 20]
    (tier,) = result["tiers"]
    assert {name: tier[name] for name in ("members", "before", "after", *rule_lab.MOVES)} == {
        "members": 4,
        "before": 100,
        "after": 185,
        "gain": 1,
        "lose": 3,
        "same": 0,
    }


def test_a_draft_is_published_with_a_reason_as_its_publisher_saw_it(session):
    with pytest.raises(NothingToTryError):
        dry_runs.ask(session, TODAY, TODAY, actor=SYSTEM, now=NOW)
    a_plan(session)
    run = dry_runs.find(session, dry_runs.ask(session, TODAY, TODAY, codes=["day"], actor=SYSTEM, now=NOW))
    assert [draft["code"] for draft in run.drafts] == ["day"]
    dry_runs.finish(session, run, {}, now=NOW)
    assert points.rule_versions(session) == []
    a_plan(session)  # changed once more: the dry run was of another draft
    with pytest.raises(DraftChangedError):
        drafts.publish(session, "day", edits=1, reason="June", actor=SYSTEM, now=NOW)
    with pytest.raises(ReasonRequiredError):
        drafts.publish(session, "day", edits=2, reason=" ", actor=SYSTEM, now=NOW)
    drafts.publish(session, "day", edits=2, reason="June", actor=SYSTEM, now=NOW)
    again = dry_runs.find(session, dry_runs.ask(session, TODAY, TODAY, actor=SYSTEM, now=NOW))
    assert [draft["code"] for draft in again.drafts] == ["purchase"]
    dry_runs.finish(session, again, {}, now=NOW)
    published = drafts.publish(session, "purchase", edits=2, reason="cheaper", actor=SYSTEM, now=NOW)
    versions = {rule.code: (rule.reason, rule.dry_run_id) for rule in points.rule_versions(session)}
    assert versions == {"day": ("June", None), "purchase": ("cheaper", again.id)}
    assert isinstance(published, UUID)
    assert drafts.all_drafts(session) == []
