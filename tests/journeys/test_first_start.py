"""A deployment from an empty database to the first points, without any demonstration."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from server.flows import first_start
from server.kernel.actors import SystemActor
from server.orders import queries as orders
from server.points.models import PointsRule
from server.staff import queries as staff
from server.tiers import queries as tiers
from tests.admin.conftest import open_account, sign_in, token_of
from tests.factories.orders import a_line, a_till_draft, an_order
from wsgi import create_app

pytestmark = pytest.mark.committing


@pytest.fixture
def app(core):
    return create_app(core=core)


def a_sale(core, amount_fen=12_000):
    """Take a sale in over the counter and return the points its buyer has for it."""
    draft = a_till_draft(now=core.clock.now(), lines=(a_line(amount_fen=amount_fen),))
    core.db.run(lambda s: an_order(s, draft, now=core.clock.now()))
    with core.db.reading() as session:
        return sum(line.points for line in orders.by_external(session, draft.channel, draft.external_no).lines)


def test_from_an_empty_database_to_the_first_points_by_a_rule_set_in_the_console(core, app):
    assert a_sale(core) == 0, "without rules a sale is taken in and earns nothing"
    runner = app.test_cli_runner()
    first, again = runner.invoke(args=["init"]), runner.invoke(args=["init"])
    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    assert "tiers defined: 4, earning rules written: 2" in first.output
    assert "tiers defined: 0, earning rules written: 0" in again.output
    assert "staff create" in again.output
    created = runner.invoke(
        args=[
            "staff",
            "create",
            "--email",
            "sec@example.com",
            "--name",
            "Sec",
            "--role",
            "security",
            "--password",
            "correct horse 77 battery",
        ]
    )
    assert created.exit_code == 0, created.output
    assert "staff create" not in runner.invoke(args=["init"]).output
    assert a_sale(core) == 120
    with core.db.reading() as session:
        assert [tier.code for tier in tiers.definitions(session)] == ["standard", "silver", "gold", "black"]
        assert staff.login_account(session, "sec@example.com") is not None
    open_account(core, "operations")
    console = sign_in(app.test_client(), core, "operations")
    path = "/admin/points-rules/purchase/edit"
    form = {
        "code": "purchase",
        "name": "消费积分",
        "enabled": "y",
        "fen_per_point": "0.50",
        "expiry_kind": "never",
        "rounding": "floor",
        "reason": "开业",
    }
    assert console.post(path, data={**form, "csrf_token": token_of(console, path)}).status_code == 302
    assert a_sale(core) == 240, "the staff's version counts from now on"
    assert "earning rules written: 0" in runner.invoke(args=["init"]).output, "and no later start undoes it"
    assert a_sale(core) == 240


def test_hosts_that_start_at_once_make_everything_once(core):
    barrier = threading.Barrier(6)

    def start(_):
        barrier.wait(30)
        made = core.db.run(lambda s: first_start.prepare(s, actor=SystemActor("tests"), now=core.clock.now()))
        return made.tiers, made.rules

    with ThreadPoolExecutor(6) as pool:
        made = sorted(pool.map(start, range(6)))
    assert made == [(0, 0)] * 5 + [(4, 2)]
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(PointsRule)) == 2


def test_what_breaks_off_half_way_leaves_nothing(core, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(first_start.points, "ensure_default_rules", broken)
        with pytest.raises(RuntimeError):
            core.db.run(lambda s: first_start.prepare(s, actor=SystemActor("tests"), now=core.clock.now()))
    with core.db.reading() as session:
        assert tiers.definitions(session) == []
    made = core.db.run(lambda s: first_start.prepare(s, actor=SystemActor("tests"), now=core.clock.now()))
    assert (made.tiers, made.rules, made.staffed, made.templates) == (4, 2, False, 0)
