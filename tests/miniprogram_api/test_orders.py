"""Orders over HTTP: partners report, carriers push, members look."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask_babel import Babel

from miniprogram_api import problems
from miniprogram_api.callbacks import kuaidi100
from miniprogram_api.partner import orders as partner_orders
from miniprogram_api.v1 import orders
from server.catalogue import service as catalogue
from server.catalogue.rules import PlaceDraft
from server.members import service as members
from server.orders import queries
from server.orders.models import Order, OrderEventRow, TrackingEvent
from server.points import service as points_service
from tests.conftest import START
from tests.factories.members import APPID, SYSTEM, a_partner, signed_call

NOW = START
_keys = count(1)


@pytest.fixture
def api(core):
    app = APIFlask("orders", json_errors=False)
    app.extensions["huiban"] = core
    Babel(app, default_locale="en")
    problems.init_app(app)
    for module in (orders, partner_orders, kuaidi100):
        app.register_blueprint(module.bp)
    app.testing = True
    return app.test_client()


@pytest.fixture
def till(api, core):
    def prepare(session):
        points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
        return a_partner(session, now=NOW, scopes=("orders:write", "stock:write"))

    key = core.db.run(prepare)

    def call(method, path, body=None, idempotency_key=None, keyed=True):
        headers = {"Idempotency-Key": idempotency_key or f"k-{next(_keys)}"} if keyed else {}
        return signed_call(api, method, f"/partner/v1/{path}", body, key=key, now=core.clock.now(), headers=headers)

    return call


@pytest.fixture
def member(api, core):
    login = core.db.run(lambda s: members.login_with_wechat(s, appid=APPID, openid="o-1", unionid=None, now=NOW))

    def call(method, path, key=None):
        headers = {"Authorization": f"Bearer {login.access_token}", "Idempotency-Key": key or f"m-{next(_keys)}"}
        return api.open(f"/api/v1/{path}", method=method, headers=headers)

    call.openid = "o-1"
    return call


def a_sale(number="1", **fields):
    body = {
        "channel": "shop",
        "external_no": f"S-{number}",
        "member": {"openid": "o-1"},
        "placed_at": "2026-06-15T11:00:00+08:00",
        "paid_at": "2026-06-15T11:01:00+08:00",
        "lines": [{"sku": "A", "name": "咖啡豆", "quantity": 2, "amount_fen": 20000}],
        "payable_fen": 20000,
        "receiver": {"name": "王小明", "phone": "13800138000", "address": "上海市静安区南京西路 1 号"},
    }
    return body | fields


def push(api, number, events, *, state="3", salt="demo-kuaidi100-salt", sign=None):
    data = [{"time": at, "ftime": at, "context": text} for at, text in reversed(events)]
    param = json.dumps(
        {"status": "polling", "lastResult": {"state": state, "com": "yuantong", "nu": number, "data": data}}, ensure_ascii=False
    )
    digest = sign or hashlib.md5((param + salt).encode(), usedforsecurity=False).hexdigest().upper()
    return api.post("/callbacks/kuaidi100", data={"param": param, "sign": digest})


STEPS = [("2026-06-15 12:30:00", "已收件"), ("2026-06-16 09:00:00", "已签收")]


def test_a_sale_is_taken_in_once_and_other_content_is_refused(till, core):
    first = till("POST", "orders", a_sale())
    assert (first.status_code, first.json["state"], first.json["exceptions"]) == (201, "paid", ["member_unknown"])
    again = till("POST", "orders", a_sale())
    assert (again.status_code, again.json["order_no"]) == (200, first.json["order_no"])
    other = till("POST", "orders", a_sale(payable_fen=1))
    assert (other.status_code, other.json["code"]) == (409, "order_conflict")
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Order)) == 1


def test_a_key_replays_byte_for_byte_and_none_is_refused(till):
    first = till("POST", "orders", a_sale(), "key-1")
    again = till("POST", "orders", a_sale(), "key-1")
    assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (201, first.data, "true")
    without = till("POST", "orders", a_sale("2"), keyed=False)
    assert (without.status_code, without.json["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize(
    "wrong",
    [{"lines": []}, {"payable_fen": -1}, {"payable_fen": 1.5}, {"placed_at": "2026-06-15T11:00:00"}, {"channel": "a b"}, {"nonsense": 1}],
)
def test_a_sale_that_cannot_be_is_invalid(till, wrong):
    answer = till("POST", "orders", a_sale(**wrong))
    assert (answer.status_code, answer.json["code"]) == (422, "invalid")


def test_two_lines_of_one_number_are_refused(till):
    line = {"line_no": 1, "sku": "A", "name": "A", "quantity": 1, "amount_fen": 1}
    answer = till("POST", "orders", a_sale(lines=[line, line], payable_fen=2))
    assert (answer.status_code, answer.json["code"]) == (422, "order_invalid")


def test_no_item_of_a_batch_blocks_another(till):
    till("POST", "orders", a_sale("1"))
    items = [a_sale("1", payable_fen=5), a_sale("2"), {"channel": "shop"}, a_sale("1"), a_sale("3", payable_fen=1)]
    answer = till("POST", "orders/batch", {"orders": items}, "batch-1")
    assert answer.status_code == 200
    assert [(item["status"], item["code"]) for item in answer.json["items"]] == [
        (409, "order_conflict"),
        (201, None),
        (422, "invalid"),
        (200, None),
        (201, None),
    ]
    assert answer.json["items"][4]["exceptions"] == ["amounts_differ", "member_unknown"]
    again = till("POST", "orders/batch", {"orders": items}, "batch-1")
    assert (again.data, again.headers["Idempotency-Replayed"]) == (answer.data, "true")
    other = till("POST", "orders/batch", {"orders": [a_sale("9")]}, "batch-1")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert till("GET", "orders/shop/S-9").status_code == 404


def test_the_member_follows_the_order_to_the_door(till, member, api, core):
    order_no = till("POST", "orders", a_sale()).json["order_no"]
    listed = member("GET", "orders?stage=pending").json
    assert [(item["order_no"], item["stage"], item["first_line"]) for item in listed["items"]] == [(order_no, "pending", "咖啡豆")]
    early = member("POST", f"orders/{order_no}/receipt")
    assert (early.status_code, early.json["code"]) == (409, "receipt_not_possible")
    shipped = {"event_id": "e1", "kind": "shipped", "occurred_at": "2026-06-15T11:30:00+08:00", "carrier": "yuantong", "tracking_no": "YT1"}
    assert till("POST", "orders/shop/S-1/events", shipped).status_code == 201
    assert till("POST", "orders/shop/S-1/events", shipped).status_code == 200
    assert push(api, "YT1", STEPS).json == {"result": True, "returnCode": "200", "message": "Received."}
    assert push(api, "YT1", STEPS).json["result"] is True
    tracking = member("GET", f"orders/{order_no}/tracking").json
    assert (tracking["state"], [event["description"] for event in tracking["events"]]) == ("delivered", ["已签收", "已收件"])
    detail = member("GET", f"orders/{order_no}").json
    assert (detail["state"], detail["receiver"]["name"], detail["points_earned"]) == ("delivered", "王**", 200)
    assert "13800138000" not in json.dumps(detail)
    assert member("POST", f"orders/{order_no}/receipt").json["state"] == "completed"
    assert member("GET", "orders?stage=done").json["items"][0]["order_no"] == order_no


def test_a_wrong_signature_changes_nothing(api, core):
    refused = push(api, "YT1", STEPS, sign="0" * 32)
    assert (refused.status_code, refused.json["result"], refused.json["code"]) == (401, False, "bad_signature")
    assert push(api, "YT1", STEPS, salt="other").status_code == 401
    assert api.post("/callbacks/kuaidi100", data={}).status_code == 401
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(TrackingEvent)) == 0


def test_a_callback_that_cannot_be_read_is_refused(api):
    param = '{"lastResult": {}}'
    digest = hashlib.md5((param + "demo-kuaidi100-salt").encode(), usedforsecurity=False).hexdigest().upper()
    answer = api.post("/callbacks/kuaidi100", data={"param": param, "sign": digest})
    assert (answer.status_code, answer.json["result"]) == (400, False)


def test_an_order_of_somebody_else_is_not_found(till, member):
    order_no = till("POST", "orders", a_sale(member={"phone": "13911112222"})).json["order_no"]
    for path in (f"orders/{order_no}", f"orders/{order_no}/tracking"):
        assert member("GET", path).status_code == 404
    assert member("POST", f"orders/{order_no}/receipt").status_code == 404


def test_the_partner_sees_the_order_as_it_stands(till, member):
    till("POST", "orders", a_sale())
    refund = {"event_id": "r", "kind": "refunded", "occurred_at": "2026-06-15T12:30:00+08:00", "refund_id": "R1", "refund_fen": 5000}
    assert till("POST", "orders/shop/S-1/events", refund).status_code == 201
    conflict = till("POST", "orders/shop/S-1/events", refund | {"refund_fen": 6000})
    assert (conflict.status_code, conflict.json["code"]) == (409, "event_conflict")
    seen = till("GET", "orders/shop/S-1").json
    assert (seen["refunded_fen"], seen["points_earned"], seen["points_taken_back"]) == (5000, 200, 50)
    early = till("POST", "orders/shop/none/events", refund)
    assert (early.status_code, early.json) == (202, {"order_no": None, "state": "waiting", "exceptions": []})


def test_stock_is_the_last_word(till, core):
    assert till("PUT", "stock", {"warehouse": "W1", "sku": "A", "available": 5}).status_code == 404
    core.db.run(lambda s: catalogue.upsert_warehouse(s, PlaceDraft("W1", "上海仓"), actor=SYSTEM, now=NOW))
    for available in (5, 3):
        assert till("PUT", "stock", {"warehouse": "W1", "sku": "A", "available": available}).status_code == 200
    from server.catalogue.queries import stock_of

    with core.db.reading() as session:
        assert stock_of(session, "A") == {"W1": 3}


@pytest.mark.committing
def test_the_same_sale_from_many_tills_at_once_is_one_order(core):
    from tests.factories.orders import a_till_draft, an_order

    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    draft = a_till_draft(now=NOW)
    created, failures = [], []

    def take():
        try:
            created.append(core.db.run(lambda s: an_order(s, draft, now=NOW)).created)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
            failures.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, sorted(created)) == ([], [False] * 7 + [True])
    with core.db.reading() as session:
        found = queries.by_external(session, draft.channel, draft.external_no)
        assert (found.points_earned, session.scalar(sa.select(sa.func.count()).select_from(OrderEventRow))) == (100, 2)


@pytest.mark.committing
def test_refunds_from_many_threads_take_back_exactly_what_was_earned(core):
    from server.orders.drafts import RefundLine
    from tests.factories.orders import a_line, a_till_draft, an_event, an_order, told

    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    draft = a_till_draft(now=NOW, lines=(a_line(1, amount_fen=7777, quantity=7),))
    core.db.run(lambda s: an_order(s, draft, now=NOW))
    events = [an_event("refunded", NOW + timedelta(minutes=place), refund_id=f"r{place}", lines=(RefundLine(1, 1),)) for place in range(7)]
    failures = []

    def refund(event):
        try:
            core.db.run(lambda s: told(s, draft, event, now=NOW))
        except Exception as error:  # noqa: BLE001 - as above
            failures.append(error)

    threads = [threading.Thread(target=refund, args=(event,)) for event in (*events, *events)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with core.db.reading() as session:
        found = queries.by_external(session, draft.channel, draft.external_no)
        assert (found.state, found.refunded_fen, found.points_earned, found.points_taken_back) == ("refunded", 7777, 77, 77)
