"""A claim before Flask writes and answers what Flask's way does, in one statement; all that is out of the ordinary is Flask's."""

from __future__ import annotations

import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from miniprogram_api import operation
from server.coupons import events, queries, service
from server.coupons.models import Coupon, CouponTemplate, CouponTransition
from server.coupons.rules.terms import Kind, Limits, Scope, TemplateDraft, Terms, Validity
from server.kernel.actors import SystemActor
from server.kernel.idempotency import IdempotencyRecord
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.members.models import Member
from server.risk.models import RiskHold, RiskRefusal
from wsgi import create_app

CREATED, CONFLICT, NOT_LET_IN, FORBIDDEN, INVALID, TOO_OFTEN = 201, 409, 401, 403, 422, 429
STAFF = SystemActor("test")
UUIDS = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


@pytest.fixture
def postgres(core):
    """Run on the engine that has this way."""
    if core.db.engine.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL writes to several tables in one statement")


@pytest.fixture
def both_ways(core):
    """Give a client that is answered before Flask, and one that is never."""
    before, after = create_app(core=core).test_client(), create_app(core=core)
    after.wsgi_app = after.wsgi_app._wsgi
    return before, after.test_client()


def a_template(core, *, code="rush", stock=10, scope=None, **limits):
    now = core.clock.now()
    terms = Terms("满100减20", Kind.AMOUNT_OFF, amount_off_fen=2000, threshold_fen=10000, scope=scope or Scope())
    with core.db.transaction() as session:
        template = service.create_template(
            session, TemplateDraft(code, terms, Validity(days=30), Limits(stock=stock, **limits)), actor=STAFF, now=now
        )
        service.publish_template(session, template, actor=STAFF, now=now)
    return template


def claim(client, template, token, key="k1", **headers):
    return client.post(
        f"/api/v1/coupon-templates/{template}/claims",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key, "X-Request-Id": "abcdef-123"} | headers,
    )


def watched(core, call):
    """Return an answer and the statements it took."""
    seen = []

    def watch(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    event.listen(core.db.engine, "before_cursor_execute", watch)
    try:
        return call(), seen
    finally:
        event.remove(core.db.engine, "before_cursor_execute", watch)


def traces(core):
    """Return every row a claim leaves, ids and codes taken out."""
    found = {}
    with core.db.reading() as session:
        for model in (Coupon, CouponTransition, OutboxEvent, IdempotencyRecord):
            table = model.__table__
            chosen = table.c.topic == events.ISSUED if model is OutboxEvent else sa.true()
            rows = session.execute(sa.select(table).where(chosen).order_by(table.c.id)).mappings().all()
            found[table.name] = [
                {name: UUIDS.sub("id", str(value)) for name, value in row.items() if name not in {"code", "request_hash", "body"}}
                for row in rows
            ]
        found["bodies"] = [json.loads(body) for body in session.scalars(sa.select(IdempotencyRecord.body).order_by(IdempotencyRecord.id))]
        found["templates"] = session.execute(
            sa.select(CouponTemplate.issued, CouponTemplate.day, CouponTemplate.day_issued, CouponTemplate.budget_committed_fen)
        ).all()
    return found


@pytest.mark.usefixtures("postgres")
def test_both_ways_answer_and_write_the_same(core, log_in, both_ways):
    template = a_template(core, stock=None, budget_fen=1_000_000, daily_stock=7)
    first, second = log_in("one").access_token, log_in("two").access_token
    claim(both_ways[0], template, log_in("warm").access_token)
    counted = operation.REQUESTS.labels("/api/v1/coupon-templates/<uuid:template_id>/claims", "POST", CREATED)._value
    start = counted.get()
    here, seen = watched(core, lambda: claim(both_ways[0], template, first, **{"Accept-Language": "en"}))
    assert len(seen) == 1, "guard, key, stock, coupon and all its traces in one statement"
    there, usual = watched(core, lambda: claim(both_ways[1], template, second, **{"Accept-Language": "en"}))
    assert len(usual) > 1
    assert counted.get() == start + 2
    assert here.status_code == there.status_code == CREATED
    changing = {"id", "code", "issued_at"}
    assert {k: v for k, v in here.json.items() if k not in changing} == {k: v for k, v in there.json.items() if k not in changing}
    assert sorted(name for name, _ in here.headers) == sorted(name for name, _ in there.headers)
    assert here.json["template"]["sentence"] == "¥20 off on ¥100 or more."
    left = traces(core)
    for name in ("coupons", "coupon_transitions", "outbox_events", "idempotency_records"):
        assert len(left[name]) == 3, name
        assert left[name][1] == left[name][2], name
    assert left["bodies"][1:] == [here.json, there.json]
    assert left["templates"] == [(3, core.clock.now().date(), 3, 6000)]
    with core.db.reading() as session:
        told = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == events.ISSUED).order_by(OutboxEvent.id)).all()
        coupons = {row.id: row for row in session.scalars(sa.select(Coupon))}
    for fact in told:
        coupon = coupons[fact.aggregate_id]
        assert fact.payload == {"coupon_id": str(coupon.id), "member_id": str(coupon.member_id)}


@pytest.mark.usefixtures("postgres")
def test_a_replay_gets_the_first_answer_whichever_way_it_comes(core, log_in, both_ways):
    template, token = a_template(core), log_in().access_token
    first = claim(both_ways[0], template, token)
    for client in both_ways:
        again = claim(client, template, token)
        assert (again.status_code, again.data) == (CREATED, first.data)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert claim(client, template, token, key="k2").json["code"] == "claim_limit_reached"
    other = a_template(core, code="other")
    assert claim(both_ways[0], other, token).status_code == INVALID, "the key stands for another template"


@pytest.mark.usefixtures("postgres")
def test_refusals_are_those_of_flask_and_leave_nothing(core, log_in, both_ways):
    template = a_template(core, stock=1)
    winner, loser = log_in("one").access_token, log_in("two").access_token
    assert claim(both_ways[0], template, winner).status_code == CREATED
    for token, code in ((winner, "claim_limit_reached"), (loser, "sold_out")):
        for language in ("zh-CN", "en-US,en;q=0.9"):
            asked = (template, token, "k9")
            here, seen = watched(core, partial(claim, both_ways[0], *asked, **{"Accept-Language": language}))
            there = claim(both_ways[1], *asked, **{"Accept-Language": language})
            assert len(seen) == 1
            assert here.json["code"] == code
            assert (here.status_code, here.json, here.content_type) == (CONFLICT, there.json, there.content_type)
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(IdempotencyRecord)) == 1
        assert queries.find_template(session, template).issued == 1


@pytest.mark.usefixtures("postgres")
def test_an_edit_and_a_pause_hold_at_once_although_the_template_is_remembered(core, log_in, both_ways):
    template = a_template(core)
    client = both_ways[0]
    assert claim(client, template, log_in("one").access_token).status_code == CREATED
    with core.db.transaction() as session:
        view = queries.find_template(session, template)
        dearer = Terms("满100减30", Kind.AMOUNT_OFF, amount_off_fen=3000, threshold_fen=10000)
        service.update(
            session, template, TemplateDraft("rush", dearer, Validity(days=30), view.draft.limits), actor=STAFF, now=core.clock.now()
        )
    assert claim(client, template, log_in("two").access_token).json["template"]["amount_off_fen"] == 3000
    with core.db.transaction() as session:
        service.pause(session, template, actor=STAFF, now=core.clock.now())
    assert claim(client, template, log_in("three").access_token).json["code"] == "not_in_window"


@pytest.mark.usefixtures("postgres")
def test_whoever_is_not_let_in_is_refused_by_flask(core, log_in, both_ways, clock):
    template, token = a_template(core), log_in().access_token
    client = both_ways[0]
    assert claim(client, template, f"{token}x").status_code == NOT_LET_IN
    assert client.post(f"/api/v1/coupon-templates/{template}/claims", headers={"Authorization": f"Bearer {token}"}).json["code"] == (
        "idempotency_key_required"
    )
    for status, code in (("frozen", "member_frozen"), ("deleting", "member_leaving")):
        with core.db.transaction() as session:
            session.execute(sa.update(Member).values(status=status))
        answer = claim(client, template, token)
        assert (answer.status_code, answer.json["code"]) == (FORBIDDEN, code)
    with core.db.transaction() as session:
        session.execute(sa.update(Member).values(status="active"))
    clock.move(timedelta(hours=3))
    assert claim(client, template, token).status_code == NOT_LET_IN
    with core.db.reading() as session:
        assert queries.find_template(session, template).issued == 0


@pytest.mark.usefixtures("postgres")
def test_what_asks_more_of_a_member_takes_the_usual_way(core, log_in, both_ways):
    client, token = both_ways[0], log_in().access_token
    tiered = a_template(core, code="tiered", scope=Scope(tiers=("gold",)))
    assert claim(client, tiered, token).json["code"] == "tier_not_eligible"
    twice = a_template(core, code="twice", per_member=2)
    assert [claim(client, twice, token, key).status_code for key in ("a", "b", "c")] == [CREATED, CREATED, CONFLICT]
    later = a_template(core, code="later", claim_from=core.clock.now() + timedelta(hours=1))
    assert claim(client, later, token, "d").json["code"] == "not_in_window"
    daily = a_template(core, code="daily", daily_stock=1)
    assert claim(client, daily, token, "e").status_code == CREATED
    assert claim(client, daily, log_in("two").access_token, "e").json["detail"] == "今日份已领完，请明天再来。"
    budget = a_template(core, code="budget", budget_fen=2500)
    assert claim(client, budget, token, "f").status_code == CREATED
    assert claim(client, budget, log_in("two").access_token, "f").json["code"] == "sold_out"


@pytest.mark.usefixtures("postgres")
def test_a_body_is_part_of_the_request_and_put_back(core, log_in, both_ways):
    template, token = a_template(core), log_in().access_token
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k1"}
    address = f"/api/v1/coupon-templates/{template}/claims"
    first, seen = watched(core, lambda: both_ways[0].post(address, headers=headers, json={}))
    assert (first.status_code, first.headers.get("Idempotency-Replayed")) == (CREATED, None)
    assert seen[-1].startswith("WITH who"), "before Flask"
    assert both_ways[1].post(address, headers=headers, json={}).data == first.data
    assert both_ways[0].post(address, headers=headers, json={}).headers["Idempotency-Replayed"] == "true"
    assert both_ways[0].post(address, headers=headers).status_code == INVALID


@pytest.mark.usefixtures("postgres")
def test_claims_count_towards_the_rate_once(core, log_in):
    object.__setattr__(core, "settings", core.settings.model_copy(update={"rate_limit": "3 per minute"}))
    client, template, token = create_app(core=core).test_client(), a_template(core), log_in().access_token
    seen = [claim(client, template, token, f"k{n}").status_code for n in range(5)]
    assert seen == [CREATED, CONFLICT, CONFLICT, TOO_OFTEN, TOO_OFTEN]


@pytest.mark.usefixtures("postgres")
def test_a_race_of_many_and_of_one_with_themselves_stays_exact(core, log_in):
    template, members = a_template(core, stock=7), [log_in(f"m{n}").access_token for n in range(12)]
    app = create_app(core=core)
    asked = [(token, f"k{n % 2}") for token in members for n in range(6)]
    random.Random(5).shuffle(asked)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: (each, claim(app.test_client(), template, *each)), asked))
    given = {}
    for (token, key), answer in answers:
        if answer.status_code == CREATED:
            given.setdefault(token, set()).add((key, answer.data))
        else:
            assert (answer.status_code, answer.json["code"]) in {(CONFLICT, "sold_out"), (CONFLICT, "claim_limit_reached")}
    assert len(given) == 7
    assert all(len(bodies) == 1 for bodies in given.values()), "one coupon, under one key, told the same each time"
    with core.db.reading() as session:
        coupons = session.scalar(sa.select(sa.func.count()).select_from(Coupon))
        records = session.scalar(sa.select(sa.func.count()).select_from(IdempotencyRecord))
        assert (queries.find_template(session, template).issued, coupons, records) == (7, 7, 7)
        assert session.scalar(sa.select(sa.func.count()).select_from(CouponTransition)) == 7
        assert session.scalar(sa.select(sa.func.count()).where(OutboxEvent.topic == events.ISSUED)) == 7


def test_a_held_member_claims_nothing_and_it_is_listed(core, log_in, both_ways):
    template, token = a_template(core), log_in().access_token
    for client in both_ways:
        with core.db.transaction() as session:
            member_id = session.scalar(sa.select(Member.id))
            session.execute(sa.delete(RiskHold))
            session.add(
                RiskHold(
                    id=uuid7(),
                    member_id=member_id,
                    scope="coupons",
                    cause="entry:test",
                    entry_id=None,
                    until=None,
                    created_at=core.clock.now(),
                )
            )
        answer = claim(client, template, token, key=uuid7().hex)
        assert (answer.status_code, answer.json["code"]) == (CONFLICT, "risk_held")
    with core.db.reading() as session:
        assert queries.find_template(session, template).issued == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(RiskRefusal)) == len(both_ways)
