"""Kuaidi100's callbacks are read only when signed, and parcels are subscribed with timeouts and known answers."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import permutations
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from server.kernel.ids import uuid7
from server.logistics.choice import tracking_gateway
from server.logistics.errors import CallbackMalformedError, CallbackSignatureError, TrackingRefusedError, TrackingUnavailableError
from server.logistics.gateway import DELIVERED, IN_TRANSIT, RETURNED, WAITING, ParcelEvent, parcel_state
from server.logistics.kuaidi100 import Kuaidi100Gateway, parse_callback, sign
from server.logistics.standin import LocalTracking
from server.orders import queries
from tasks.jobs.orders import follow_parcel
from tests.conftest import START
from tests.factories.orders import a_draft, an_event, an_order, told

SALT = "salt"


def a_param(**last):
    data = [{"time": "2026-06-15 20:00:00", "context": "已签收"}, {"time": "2026-06-15 08:00:00", "context": "已揽收", "statusCode": "103"}]
    return json.dumps({"lastResult": {"state": "3", "com": "YuanTong", "nu": "YT1", "data": data, **last}}, ensure_ascii=False)


def a_form(param, salt=SALT):
    return {"param": param, "sign": sign(param, salt)}


def test_a_signed_callback_is_read_in_chinese_time():
    update = parse_callback(a_form(a_param()), SALT)
    assert (update.carrier, update.tracking_no, update.state) == ("yuantong", "YT1", "delivered")
    assert update.events[0] == ParcelEvent(datetime(2026, 6, 15, 12, 0, tzinfo=UTC), "delivered", "已签收")
    assert update.events[1].state == "collected"


@pytest.mark.parametrize(
    "form", [{}, {"param": "{}"}, {"param": "{}", "sign": ""}, {"param": "{}", "sign": "签"}, a_form(a_param(), "other")]
)
def test_an_unsigned_callback_is_refused(form):
    with pytest.raises(CallbackSignatureError):
        parse_callback(form, SALT)


def test_without_a_salt_nothing_is_taken():
    with pytest.raises(CallbackSignatureError):
        parse_callback(a_form(a_param(), ""), "")


@pytest.mark.parametrize(
    "param", ["", "no json", "[]", "{}", a_param(com=""), a_param(nu="x" * 65), a_param(data=[{"time": "soon", "context": "x"}])]
)
def test_a_signed_callback_that_cannot_be_read_is_malformed(param):
    with pytest.raises((CallbackMalformedError, CallbackSignatureError)):
        parse_callback(a_form(param), SALT)


def test_a_parcels_state_is_the_same_for_every_order_of_its_events():
    at = START
    events = [
        ParcelEvent(at, "collected", "a"),
        ParcelEvent(at.replace(hour=9), "delivered", "b"),
        ParcelEvent(at.replace(hour=12), None, "c"),
        ParcelEvent(at.replace(hour=10), "in_transit", "late line"),
    ]
    assert {parcel_state(list(order)) for order in permutations(events)} == {(DELIVERED, at.replace(hour=9))}
    assert parcel_state([]) == (WAITING, None)
    assert parcel_state([ParcelEvent(at, None, "x")]) == (IN_TRANSIT, None)
    assert parcel_state([ParcelEvent(at, "returned", "x"), ParcelEvent(at.replace(hour=9), "in_transit", "y")]) == (RETURNED, None)


@pytest.fixture
def aggregator():
    answers, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            body = answers.pop(0)
            self.send_response(200 if body else 503)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    gateway = Kuaidi100Gateway(
        base_url=f"http://127.0.0.1:{server.server_port}/", key="k", salt=SALT, callback_url="https://shop.example/c"
    )
    yield SimpleNamespace(gateway=gateway, answers=answers, asked=asked)
    server.shutdown()
    server.server_close()


@pytest.mark.enable_socket
def test_a_parcel_is_subscribed_and_refusals_are_told_apart(aggregator):
    aggregator.answers[:] = [
        b'{"returnCode":"200"}',
        b'{"returnCode":"501"}',
        b'{"returnCode":"701"}',
        b'{"returnCode":"500"}',
        b"",
        b"no json",
    ]
    aggregator.gateway.subscribe("yuantong", "YT1")
    aggregator.gateway.subscribe("shunfeng", "SF1", phone="+8613800138000")
    with pytest.raises(TrackingRefusedError):
        aggregator.gateway.subscribe("yuantong", "YT2")
    for _ in range(3):
        with pytest.raises(TrackingUnavailableError):
            aggregator.gateway.subscribe("yuantong", "YT3")
    param = json.loads(aggregator.asked[0]["param"][0])
    assert (param["company"], param["number"], param["parameters"]["salt"]) == ("yuantong", "YT1", SALT)
    assert json.loads(aggregator.asked[1]["param"][0])["parameters"]["phone"] == "+8613800138000"


def test_the_settings_choose_the_adapter(settings):
    assert isinstance(tracking_gateway(settings), LocalTracking)
    assert isinstance(tracking_gateway(settings.model_copy(update={"kuaidi100_key": "k"})), Kuaidi100Gateway)


def test_a_shipped_parcel_is_followed(core):
    draft = a_draft(now=START)
    core.db.run(lambda s: an_order(s, draft, now=START))
    core.db.run(lambda s: told(s, draft, an_event("shipped", START, carrier="yuantong", tracking_no="YT5"), now=START))
    with core.db.reading() as session:
        order = queries.by_external(session, draft.channel, draft.external_no)
    gateway = LocalTracking()
    for part in (str(order.shipments[0].id), str(uuid7()), None):
        event = SimpleNamespace(payload={"part_id": part} if part else {}, aggregate_id=order.id)
        follow_parcel(replace(core, tracking=gateway), event)
    assert gateway.asked == [("yuantong", "YT5")]
