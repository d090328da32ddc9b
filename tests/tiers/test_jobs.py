"""The handlers, jobs, commands and demonstration of growth."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.flows import intake
from server.kernel.outbox import Event, OutboxEvent
from server.notifications.models import NotificationMessage
from server.operations import queries as operations
from server.points import service as points
from server.tiers import proofs, queries, service
from server.tiers.models import GrowthAccount
from server.tiers.qualifying import CHECK_IN
from tasks.demo import DemoContext
from tasks.demo import tiers as demo_tiers
from tasks.jobs import tier_messages
from tasks.jobs import tiers as jobs
from tasks.subscriptions import SUBSCRIPTIONS
from tests.conftest import START
from tests.factories.orders import SHOP
from tests.factories.points import SYSTEM, a_member
from tests.factories.tiers import a_rule, a_sale, a_sale_draft

pytestmark = pytest.mark.committing


def deliver(core, *topics, times=1):
    """Let every listener of the topics hear all their news, each in a transaction of its own, as the worker does."""
    with core.db.reading() as session:
        rows = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic.in_(topics)).order_by(OutboxEvent.id)).all()
    for row in list(rows) * times:
        event = Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at)
        for subscription in SUBSCRIPTIONS[row.topic]:
            handler = subscription.load()
            core.db.run(lambda session, run=handler, event=event: run(session, event, core))


def messages(core):
    with core.db.reading() as session:
        return {row.template: row.texts for row in session.scalars(sa.select(NotificationMessage)) if row.template.startswith("tier_")}


def test_a_paid_order_is_heard_and_leads_to_growth_tier_gift_and_message_once_each(core):
    def prepare(session):
        a_rule(session, now=START)
        member_id = a_member(session, now=START)
        intake.take_in_order(session, a_sale_draft(member_id, 1_500, at=START), actor=SHOP, now=START)
        return member_id

    member_id = core.db.run(prepare)
    deliver(core, "orders.paid", times=2)
    deliver(core, "tiers.changed", times=2)
    with core.db.reading() as session:
        assert queries.progress(session, member_id, now=START).growth == 1_500
        assert [gift.points for gift in queries.gifts(session, member_id)] == [50]
    assert messages(core) == {"tier_upgraded": {"tier": "银卡会员", "before": "普通会员", "changed_at": "2026年06月15日 12:00"}}


def test_check_ins_bring_growth_and_other_points_do_not(core):
    def prepare(session):
        points.ensure_default_rules(session, actor=SYSTEM, now=START)
        a_rule(session, now=START, activities={CHECK_IN: 7})
        member_id = a_member(session, now=START, points=100)
        points.check_in(session, member_id, actor=SYSTEM, now=START)
        return member_id

    member_id = core.db.run(prepare)
    deliver(core, "points.accrued", times=2)
    with core.db.reading() as session:
        assert queries.progress(session, member_id, now=START).growth == 7


def test_a_member_is_warned_and_told_when_the_tier_is_lost_and_not_when_growth_came_in_between(core, clock):
    def prepare(session):
        a_rule(session, now=START, grace_days=0)
        one, other = a_member(session, now=START), a_member(session, now=START)
        for member_id in (one, other):
            service.assign(session, member_id, "silver", reason="VIP", actor=SYSTEM, now=START)
        return one, other

    one, other = core.db.run(prepare)
    clock.set(START + timedelta(days=350))
    assert jobs.reassess_due(core, clock.now()) == 2
    core.db.run(lambda session: a_sale(session, other, 1_200, at=clock.now()))
    deliver(core, "tiers.at_risk", times=2)
    assert messages(core) == {"tier_at_risk": {"tier": "银卡会员", "missing": "1000", "ends_on": "2027年06月14日"}}
    with core.db.reading() as session:
        assert {row.member_id for row in session.scalars(sa.select(NotificationMessage))} >= {one}
    clock.set(START + timedelta(days=366))
    jobs.reassess_due(core, clock.now())
    deliver(core, "tiers.changed")
    assert messages(core)["tier_downgraded"]["tier"] == "普通会员"
    with core.db.reading() as session:
        assert (queries.of_member(session, one).code, queries.of_member(session, other).code) == ("standard", "silver")


def test_older_news_without_a_cause_leads_to_nothing(core):
    event = Event(UUID(int=1), "k", "tiers.changed", "member", UUID(int=2), 0, {"member_id": str(UUID(int=2)), "upgrade": True}, START)
    core.db.run(lambda session: jobs.on_tier_changed(session, event, core))
    core.db.run(lambda session: tier_messages.on_tier_changed(session, event, core))
    assert messages(core) == {}


def test_the_proof_finds_a_cache_that_was_altered_and_opens_an_incident_until_it_is_right(core):
    def prepare(session):
        a_rule(session, now=START)
        member_id = a_member(session, now=START)
        a_sale(session, member_id, 100, at=START)
        return member_id

    member_id = core.db.run(prepare)
    alter = sa.update(GrowthAccount).where(GrowthAccount.member_id == member_id)
    core.db.run(lambda session: session.execute(alter.values(growth=99)))
    assert jobs.prove(core, START) == 1
    with core.db.reading() as session:
        assert [incident.kind for incident in operations.incidents(session)] == ["tiers.drifted"]
    core.db.run(lambda session: session.execute(alter.values(growth=100)))
    assert jobs.prove(core, START) == 0
    with core.db.reading() as session:
        assert operations.incidents(session) == []


def test_the_commands_build_and_prove(core):
    from wsgi import create_app

    def prepare(session):
        a_rule(session, now=START)
        intake.take_in_order(session, a_sale_draft(a_member(session, now=START), 10, at=START), actor=SHOP, now=START)

    core.db.run(prepare)
    runner = create_app(core=core).test_cli_runner()
    assert runner.invoke(args=["tiers", "build"]).output == "1 orders were worked out\n"
    assert runner.invoke(args=["tiers", "build"]).output == "0 orders were worked out\n"
    proved = runner.invoke(args=["tiers", "prove"])
    assert (proved.exit_code, proved.output) == (0, "growth = ledger for every member\n")


def test_the_demonstration_has_growth_a_lock_members_at_risk_and_a_draft(core, tmp_path):
    import random

    from server.kernel.actors import SystemActor
    from server.tiers import overview

    def load(session):
        service.ensure_default_tiers(session)
        people = [a_member(session, now=START) for _ in range(12)]
        for member_id in people[:4]:
            intake.take_in_order(session, a_sale_draft(member_id, 500, at=START - timedelta(days=20)), actor=SHOP, now=START)
        demo = DemoContext(START, random.Random(1), SystemActor("demo"), tmp_path, core, members=people)
        demo_tiers.load(session, demo)
        demo_tiers.load(session, demo)

    core.db.run(load)
    with core.db.reading() as session:
        assert overview.at_risk(session, now=START)
        assert [rule.state for rule in overview.rule_versions(session)] == ["draft", "published"]
        assert proofs.prove(session) == []
        assert session.scalar(sa.select(sa.func.count()).select_from(GrowthAccount).where(GrowthAccount.locked_until.is_not(None))) == 1
