"""The web gets kill -9 while members and tills are at it: every command takes effect once, however often it has to be sent."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.audit import queries as audit
from server.audit import service as audit_service
from server.coupons.models import Coupon, CouponTemplate, CouponTransition
from server.kernel.actors import SystemActor
from server.kernel.outbox import OutboxEvent
from server.orders.models import Order, OrderException, OrderRefund
from server.partners import service as partners
from server.points import queries as points
from server.points import service as points_service
from server.points.models import PointsAccount, PointsEntry
from tests.factories.coupons import a_template
from tests.races.callers import Answer, Call, Line, ask_all, member_call, partner_call
from tests.races.crowd import Caller, a_crowd

if TYPE_CHECKING:
    from server.bootstrap import Core
    from tests.races.web import Web

pytestmark = [pytest.mark.committing, pytest.mark.xdist_group("web")]

COMMANDS = 9  # of each member
LOSES_EVERY = 6
SYSTEM = SystemActor("test")


@dataclass
class Shop:
    """A till, a shop and a claim centre, with what they need to make commands."""

    key_id: str
    secret: str
    template: UUID
    now: datetime
    sent: list[tuple[Call, Answer]] = field(default_factory=list)

    def call(self, path: str, key: str, body: Any) -> Call:
        return partner_call(self.key_id, self.secret, f"/partner/v1/{path}", key, body)

    async def day_of(self, caller: Caller, name: str, ask: Callable[[Call], Any]) -> None:
        """Let a member earn, spend, get back, claim, buy with a coupon and points, return all of it and redeem the coupon anew."""
        member = str(caller.member_id)
        fact = {"member_id": member, "reason": "Receipt"}
        earned = await ask(self.call("points/accruals", f"earn-{name}", fact | {"points": 500, "source": f"earn-{name}"}))
        spent = await ask(self.call("points/redemptions", f"spend-{name}", fact | {"points": 120, "source": f"spend-{name}"}))
        back = {"entry_id": spent["entry_id"], "source": f"back-{name}", "reason": "Refund"}
        await ask(self.call("points/reversals", f"back-{name}", back))
        part = {"entry_id": earned["entry_id"], "source": f"part-{name}", "reason": "Refund", "points": 80}
        await ask(self.call("points/reversals", f"part-{name}", part))
        coupon = (await ask(member_call(caller.token, f"/api/v1/coupon-templates/{self.template}/claims", f"claim-{name}")))["id"]
        sale = {
            "channel": "till",
            "external_no": f"R-{name}",
            "member": {"member_id": member},
            "placed_at": self.now.isoformat(),
            "paid_at": self.now.isoformat(),
            "lines": [{"sku": "SKU-1", "name": "商品", "quantity": 1, "discount_fen": 2000, "amount_fen": 8000}],
            "payable_fen": 8000,
            "coupon_ids": [coupon],
            "points_redeemed": 50,
        }
        taken = await ask(self.call("orders", f"sale-{name}", sale))
        assert taken["exceptions"] == []
        refund = {"event_id": f"refund-{name}", "kind": "refunded", "occurred_at": self.now.isoformat(), "refund_id": f"refund-{name}"}
        assert (await ask(self.call(f"orders/till/R-{name}/events", f"refund-{name}", refund)))["state"] == "refunded"
        receipt = {"channel": "till", "external_no": f"R2-{name}"}
        await ask(self.call(f"coupons/{coupon}/locks", f"lock-{name}", receipt))
        assert (await ask(self.call(f"coupons/{coupon}/redemptions", f"redeem-{name}", receipt)))["state"] == "redeemed"


def open_shop(core: Core, members: int) -> Shop:
    now = datetime.now(UTC) - timedelta(minutes=1)
    with core.db.transaction() as session:
        points_service.ensure_default_rules(session, actor=SYSTEM, now=now)
        scopes = ["points:write", "orders:write", "coupons:write"]
        key = partners.create(session, "Till", scopes, actor=SYSTEM, now=now)
        template = a_template(session, now=now, stock=members + 5, budget_fen=2000 * (members + 5))
    return Shop(key.key_id, key.secret, template, now)


class Day(threading.Thread):
    """The days of all members, over a few connections at once, in a thread of their own so that the test can kill meanwhile."""

    def __init__(self, web: Web, shop: Shop, crowd: list[Caller], *, connections: int) -> None:
        super().__init__(daemon=True)
        self.cut: Counter[str] = Counter()
        self._web, self._shop, self._crowd, self._connections = web, shop, crowd, connections
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as failure:  # noqa: BLE001 - raised again by the test
            self.failure = failure

    async def _work(self) -> None:
        waiting = iter(enumerate(self._crowd))

        async def one() -> None:
            with closing(Line(self._web.port, patience_seconds=240, cut=self.cut)) as line:

                async def ask(call: Call) -> Any:
                    answer = await line.ask(call, lose_answer=len(self._shop.sent) % LOSES_EVERY == 0)
                    assert answer.status == 201, (call.path, answer)
                    self._shop.sent.append((call, answer))
                    return answer.json

                for place, caller in waiting:
                    await self._shop.day_of(caller, f"{place}", ask)

        await asyncio.gather(*(one() for _ in range(self._connections)))


def counted(session, *columns) -> Counter:
    return Counter({tuple(row[:-1]): row[-1] for row in session.execute(sa.select(*columns, sa.func.count()).group_by(*columns))})


def check_everything(core: Core, members: int) -> None:
    """Every effect of every member's day is there, once."""
    with core.db.reading() as session:
        assert points.prove(session) == []
        balances = counted(session, PointsAccount.available, PointsAccount.pending, PointsAccount.reserved, PointsAccount.debt_owed)
        assert balances == {(420, 0, 0, 0): members}
        each = {("accrue", 500): 1, ("redeem", -120): 1, ("return", 120): 1, ("reverse", -80): 2, ("redeem", -50): 1, ("return", 50): 1}
        each[("accrue", 80)] = 1
        by_member = counted(session, PointsEntry.member_id, PointsEntry.kind, PointsEntry.points)
        assert len(by_member) == len(each) * members
        assert Counter((kind, count, times) for (_, kind, count), times in by_member.items()) == {
            (*entry, times): members for entry, times in each.items()
        }
        assert counted(session, Coupon.state, Coupon.external_no.like("R2-%")) == {("redeemed", True): members}
        steps = counted(session, CouponTransition.coupon_id, CouponTransition.event)
        assert Counter((event, times) for (_, event), times in steps.items()) == {
            ("issue", 1): members,
            ("redeem", 2): members,
            ("return", 1): members,
            ("lock", 1): members,
        }
        assert session.execute(sa.select(CouponTemplate.issued, CouponTemplate.budget_committed_fen)).one() == (members, 2000 * members)
        assert counted(session, Order.state, Order.refunded_fen, Order.points_earned, Order.points_taken_back) == {
            ("refunded", 8000, 80, 80): members
        }
        assert counted(session, OrderRefund.order_id) == {(one,): 1 for one in session.scalars(sa.select(Order.id))}
        assert counted(session, OrderException.rule) == {}
        topics = counted(session, OutboxEvent.topic)
        assert topics[("points.accrued",)] == topics[("points.redeemed",)] == topics[("points.reversed",)] == 2 * members
        assert topics[("coupons.redeemed",)] == 2 * members
        assert topics[("coupons.issued",)] == topics[("coupons.returned",)] == topics[("orders.refunded",)] == members


def check_the_audit_chain(core: Core) -> None:
    core.db.run(lambda session: audit_service.seal(session, datetime.now(UTC), limit=100_000))
    with core.db.reading() as session:
        found = audit.verify(session)
    assert (found.faults, found.pending) == ((), 0)
    assert found.checked > 0


def same_fact_under_new_keys(calls: list[Call]) -> list[Call]:
    return [Call(call.path, call.body, f"again-{call.key}", call.sign) for call in calls]


def run_days(core: Core, web: Web, *, members: int, connections: int, kill_every: int, least_kills: int) -> None:
    seed = random.Random(20260616)
    crowd, shop = a_crowd(core, members), open_shop(core, members)
    day = Day(web, shop, crowd, connections=connections)
    day.start()
    kills: Counter[str] = Counter()
    kill_at = kill_every
    while day.is_alive():
        if len(shop.sent) >= kill_at and web.serves():
            if sum(kills.values()) % 3 < 2:
                web.kill()
                kills["web"] += 1
            else:
                kills["process of the web"] += web.kill_a_worker(seed)
            kill_at = len(shop.sent) + kill_every
        web.tend()
        time.sleep(seed.uniform(0.01, 0.05))
    if day.failure is not None:
        raise day.failure
    assert len(shop.sent) == COMMANDS * members
    assert kills["web"] >= least_kills
    check_everything(core, members)
    web.tend()
    web.wait()
    seed.shuffle(shop.sent)
    calls = [call for call, _ in shop.sent]
    again = ask_all(web.port, calls, connections=connections)
    assert [(answer.status, answer.replayed, answer.body) for answer in again] == [(201, True, answer.body) for _, answer in shop.sent]
    check_everything(core, members)
    # A till that forgot its keys as well: the fact's own name still makes it happen once, where it has one.
    named = [(call, answer.json) for call, answer in shop.sent if "/points/" in call.path or "/orders" in call.path]
    forgetful = ask_all(web.port, same_fact_under_new_keys([call for call, _ in named]), connections=connections)
    identity = ("entry_id", "order_no")
    assert [(answer.status, answer.replayed, *(answer.json.get(name) for name in identity)) for answer in forgetful] == [
        (200, False, *(first.get(name) for name in identity)) for _, first in named
    ]
    claims = [call for call in calls if call.path.endswith("/claims")]
    assert Counter(
        (answer.status, answer.json["code"]) for answer in ask_all(web.port, same_fact_under_new_keys(claims), connections=8)
    ) == {(409, "claim_limit_reached"): members}
    check_everything(core, members)
    check_the_audit_chain(core)
    print(f"{dict(kills)}; broken connections: {dict(day.cut)}; answered as repetitions: {sum(answer.replayed for _, answer in shop.sent)}")


# Embedded only; the run at size is made on every engine.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_twelve_members_days_survive_kills_of_the_web(core: Core, web: Web):
    run_days(core, web, members=12, connections=6, kill_every=40, least_kills=1)


@pytest.mark.full
def test_sixty_members_days_survive_kills_of_the_web(core: Core, web: Web):
    run_days(core, web, members=60, connections=12, kill_every=90, least_kills=3)
