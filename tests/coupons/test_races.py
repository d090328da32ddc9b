"""Many at once: never one coupon too many, never one twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from config.settings import Settings
from server.bootstrap import Core, build_core
from server.coupons import queries, service
from server.coupons.models import Coupon, CouponTransition
from server.coupons.rules import fingerprint
from server.coupons.rules.cart import CartLine
from server.kernel.actors import MemberActor
from server.kernel.db import Base
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.source import Source
from tests.conftest import START
from tests.factories.coupons import STAFF, SYSTEM, TILL, a_coupon, a_member, a_template, percent_terms, some_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

pytestmark = pytest.mark.committing
NOW = START


def some_members(core: Core, number: int) -> list[UUID]:
    """Insert members in bulk: the race is about coupons."""
    ids = [uuid7() for _ in range(number)]
    table = Base.metadata.tables["members"]
    for start in range(0, number, 1000):
        with core.db.transaction() as session:
            rows = [
                {
                    "id": each,
                    "interests": [],
                    "joined_via": "test",
                    "joined_at": NOW,
                    "updated_at": NOW,
                    "status": "active",
                    "gender": "unknown",
                }
                for each in ids[start : start + 1000]
            ]
            session.execute(sa.insert(table), rows)
    return ids


def at_once(core: Core, works: Sequence[Callable[[Any], Any]], threads: int) -> list[Any]:
    """Do every work in a transaction of its own, so many at a time, and return results or error codes in order."""
    gate = threading.Barrier(min(threads, len(works)))
    waiting = threading.local()

    def do(work: Callable[[Any], Any]) -> Any:
        if not getattr(waiting, "passed", False):
            waiting.passed = True
            gate.wait()
        try:
            return core.db.run(work, attempts=20)
        except DomainError as error:
            return error.code

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(do, works))


def claims(members: Sequence[UUID], template: UUID) -> list[Callable[[Any], Any]]:
    def of(member: UUID) -> Callable[[Any], Any]:
        return lambda session: service.claim(session, member, template, actor=MemberActor(member), now=NOW)

    return [of(member) for member in members]


def check_books(core: Core, template: UUID, stock: int, given: int) -> None:
    """Stock, coupons, transitions and events tell the same number."""
    with core.db.reading() as session:
        view = queries.find_template(session, template)
        assert view.issued == given
        assert view.left is not None
        assert view.issued + view.left == stock
        for model, where in (
            (Coupon, Coupon.template_id == template),
            (CouponTransition, CouponTransition.event == "issue"),
            (OutboxEvent, OutboxEvent.topic == "coupons.issued"),
        ):
            assert session.scalar(sa.select(sa.func.count()).select_from(model).where(where)) == given
        most = session.scalar(
            sa.select(sa.func.count()).select_from(Coupon).group_by(Coupon.member_id).order_by(sa.func.count().desc()).limit(1)
        )
        assert most == 1


def wide(core: Core, settings: Settings, connections: int) -> Core:
    """Return a core with as many connections as the race has threads."""
    return build_core(settings.model_copy(update={"pool_size": connections}), clock=core.clock)


def test_two_hundred_members_race_for_forty_coupons(core: Core, settings: Settings):
    core = wide(core, settings, 16)
    members = some_members(core, 200)
    with core.db.transaction() as session:
        template = a_template(session, now=NOW, stock=40, budget_fen=2000 * 200)
    results = at_once(core, claims(members, template), 16)
    refused = [each for each in results if isinstance(each, str)]
    assert set(refused) == {"sold_out"}
    assert len(results) - len(refused) == 40
    check_books(core, template, 40, 40)
    core.close()


def test_one_member_with_many_hands_gets_one(core: Core, settings: Settings):
    core = wide(core, settings, 12)
    member = some_members(core, 1)[0]
    with core.db.transaction() as session:
        template = a_template(session, now=NOW, stock=40)
    results = at_once(core, claims([member] * 24, template), 12)
    assert sorted(each for each in results if isinstance(each, str)) == ["claim_limit_reached"] * 23
    check_books(core, template, 40, 1)
    core.close()


def test_the_same_source_issues_one_coupon_however_often_it_comes(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    member = some_members(core, 1)[0]
    with core.db.transaction() as session:
        template = a_template(session, now=NOW, stock=40, per_member=None)
    source = Source("birthday", "once")
    works = [lambda session: service.issue(session, member, template, source=source, actor=SYSTEM, now=NOW)] * 16
    assert len({each.id for each in at_once(core, works, 8)}) == 1
    check_books(core, template, 40, 1)
    core.close()


def test_two_orders_cannot_both_redeem_a_coupon(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    with core.db.transaction() as session:
        coupon = a_coupon(session, a_member(session, now=NOW), now=NOW)

    def of(number: int) -> Callable[[Any], Any]:
        return lambda session: service.redeem(
            session, coupon.id, channel="till", external_no=f"{number}", discount_fen=1, actor=TILL, now=NOW
        )

    results = at_once(core, [of(number) for number in range(16)], 8)
    assert sorted(each for each in results if isinstance(each, str)) == ["coupon_not_available"] * 15
    with core.db.reading() as session:
        assert [each.event for each in queries.transitions(session, coupon.id)] == ["issue", "redeem"]
    core.close()


def test_of_two_orders_quoted_the_same_coupons_one_gets_them(core: Core, settings: Settings):
    line = CartLine("TEA-1", 2, 6000, "tea")
    secret = settings.secret_key
    for _ in range(3):
        with core.db.transaction() as session:
            member = a_member(session, now=NOW)
            ids = [a_coupon(session, member, now=NOW, terms=terms).id for terms in (some_terms(), percent_terms(exclusion_group="more"))]
            found = service.quote(session, member, [line], now=NOW, channel="till")
        digest = fingerprint.cart_digest([line], channel="till", store=None, shipping_fen=0)
        quote_id = fingerprint.sign(fingerprint.promise_of(member, digest, found, NOW), secret)

        def keep(coupon_id: UUID, number: str, quote_id: str = quote_id) -> Callable[[Any], Any]:
            order = service.QuotedOrder(quote_id, (line,), "till", number)
            return lambda session: service.lock_as_quoted(session, coupon_id, order, secret_key=secret, actor=TILL, now=NOW).external_no

        got = at_once(core, [keep(ids[0], "1"), keep(ids[1], "2")], 2)
        assert max(got) == "quote_changed"
        winner = min(got)
        assert winner in {"1", "2"}
        assert at_once(core, [keep(each, winner) for each in ids], 1) == [winner, winner]


def test_voiding_redeeming_and_expiring_at_once_ends_one_way(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    for _ in range(4):
        with core.db.transaction() as session:
            coupon = a_coupon(session, a_member(session, now=NOW), now=NOW, stock=3, budget_fen=9000)
        works = [
            lambda session, coupon=coupon: service.void(session, coupon.id, reason="x", actor=STAFF, now=NOW),
            lambda session, coupon=coupon: service.redeem(
                session, coupon.id, channel="till", external_no="1", discount_fen=1, actor=TILL, now=NOW
            ),
            lambda session, coupon=coupon: service.expire_due(session, coupon.valid_until),
        ]
        at_once(core, works, 3)
        with core.db.reading() as session:
            ends = [each.to_state for each in queries.transitions(session, coupon.id)]
            template = queries.find_template(session, coupon.template_id)
        assert len(ends) == 2
        assert template.budget_committed_fen == (2000 if ends[-1] == "redeemed" else 0)
    core.close()


def test_a_merge_during_claims_loses_no_coupon(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    one, two = some_members(core, 2)
    with core.db.transaction() as session:
        templates = [a_template(session, now=NOW, stock=9) for _ in range(6)]
    works = [work for template in templates for work in claims([one, two], template)]
    works.insert(5, lambda session: service.merge_members(session, one, two, now=NOW))
    results = at_once(core, works, 8)
    with core.db.transaction() as session:
        service.merge_members(session, one, two, now=NOW)
    given = sum(isinstance(each, queries.CouponView) for each in results)
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Coupon).where(Coupon.member_id == two)) == given
        assert sum(queries.find_template(session, each).issued for each in templates) == given
    core.close()
