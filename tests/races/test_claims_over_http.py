"""A rush for coupons over real connections to the real web: never one too many, never a failure, never another answer to the same key."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from server.coupons import queries
from server.coupons.models import Coupon, CouponTransition
from server.kernel.idempotency import IdempotencyRecord
from server.kernel.outbox import OutboxEvent
from tests.conftest import engines
from tests.factories.coupons import a_template
from tests.races.callers import Call, ask_all, member_call
from tests.races.crowd import Caller, a_crowd

if TYPE_CHECKING:
    from server.bootstrap import Core
    from tests.races.web import Web

# One group: the web is started once for the module, not once in each process of the tests.
pytestmark = [pytest.mark.committing, pytest.mark.xdist_group("web")]


def claim_of(caller: Caller, template: UUID, key: str) -> Call:
    return member_call(caller.token, f"/api/v1/coupon-templates/{template}/claims", key)


def open_template(core: Core, **limits: int) -> UUID:
    with core.db.transaction() as session:
        return a_template(session, now=datetime.now(UTC), **limits)


def count(session, model, *where) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(model).where(*where))


def check_books(core: Core, template: UUID, *, stock: int, given: int) -> None:
    """Stock, coupons, transitions, news and stored answers tell the same number, and no member has two."""
    with core.db.reading() as session:
        view = queries.find_template(session, template)
        assert (view.issued, view.left) == (given, stock - given)
        mine = sa.select(Coupon.id).where(Coupon.template_id == template)
        assert count(session, Coupon, Coupon.template_id == template) == given
        assert session.scalar(sa.select(sa.func.count(sa.distinct(Coupon.member_id))).where(Coupon.template_id == template)) == given
        assert count(session, CouponTransition, CouponTransition.coupon_id.in_(mine), CouponTransition.event == "issue") == given
        assert count(session, OutboxEvent, OutboxEvent.topic == "coupons.issued", OutboxEvent.aggregate_id.in_(mine)) == given
        # A refusal is rolled back with its key: what is stored are the answers that gave a coupon.
        stored = Counter(session.scalars(sa.select(IdempotencyRecord.status).where(IdempotencyRecord.route.like("%/claims"))))
        assert stored == Counter({201: given})


def race(core: Core, web: Web, *, members: int, stock: int, connections: int) -> None:
    crowd = a_crowd(core, members)
    template = open_template(core, stock=stock, budget_fen=2000 * stock)
    calls = [claim_of(caller, template, f"claim-{place}") for place, caller in enumerate(crowd)]
    answers = ask_all(web.port, calls, connections=connections)
    assert Counter(answer.status for answer in answers) == {201: stock, 409: members - stock}
    assert {answer.json["code"] for answer in answers if answer.status == 409} == {"sold_out"}
    assert not any(answer.replayed for answer in answers)
    won = {answer.json["id"] for answer in answers if answer.status == 201}
    assert len(won) == stock
    check_books(core, template, stock=stock, given=stock)
    # All of the winners and as many of the others ask again, as a telephone does that lost the answer.
    winners = [place for place, answer in enumerate(answers) if answer.status == 201]
    losers = [place for place, answer in enumerate(answers) if answer.status == 409][:stock]
    again = ask_all(web.port, [calls[place] for place in winners + losers], connections=connections)
    assert [(answer.status, answer.replayed, answer.body) for answer in again[:stock]] == [
        (201, True, answers[place].body) for place in winners
    ]
    assert {(answer.status, answer.replayed, answer.json["code"]) for answer in again[stock:]} == {(409, False, "sold_out")}
    check_books(core, template, stock=stock, given=stock)


def test_two_hundred_members_race_for_forty_coupons_at_32_connections(core: Core, web: Web):
    race(core, web, members=200, stock=40, connections=32)


@pytest.mark.full
@pytest.mark.parametrize("database_url", [engine for engine in engines() if engine != "mariadb"], indirect=True)
def test_twenty_thousand_members_race_for_a_thousand_coupons_at_64_connections(core: Core, web: Web):
    race(core, web, members=20_000, stock=1_000, connections=64)


@pytest.mark.parametrize("one_key", [True, False], ids=["one key", "a key each"])
def test_one_member_with_64_connections_gets_one_coupon(core: Core, web: Web, one_key: bool):
    (caller,) = a_crowd(core, 1)
    template = open_template(core, stock=100)
    answers = ask_all(web.port, [claim_of(caller, template, "once" if one_key else uuid4().hex) for _ in range(64)], connections=64)
    if one_key:
        assert Counter((answer.status, answer.replayed) for answer in answers) == {(201, False): 1, (201, True): 63}
        assert len({answer.body for answer in answers}) == 1
    else:
        assert Counter(answer.status for answer in answers) == {201: 1, 409: 63}
        assert {answer.json["code"] for answer in answers if answer.status == 409} == {"claim_limit_reached"}
    check_books(core, template, stock=100, given=1)
