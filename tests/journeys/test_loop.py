"""The whole loop on the running product, over HTTP only: member, till, carrier and staff.

Runs embedded always, and on PostgreSQL + Redis and MariaDB + Redis where their test URLs are given.
"""

from __future__ import annotations

import os
import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
import sqlalchemy as sa
from PIL import Image

from server.kernel.engines import make_engine
from tasks.queues import connect
from tests.journeys.driver import Carrier, Member, Product, Staff, Till, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.full, pytest.mark.enable_socket]


# Two products may run at once in two test processes, each with a queue of its own.
QUEUES = {"postgresql": 4, "mariadb": 5}


def settings_of_engines() -> list[Any]:
    engines = ["embedded"]
    if os.environ.get("HUIBAN_TEST_REDIS_URL"):
        engines += [
            name
            for name, variable in (("postgresql", "HUIBAN_TEST_POSTGRES_URL"), ("mariadb", "HUIBAN_TEST_MARIADB_URL"))
            if os.environ.get(variable)
        ]
    # One process starts a product once for all its tests.
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"journey {name}")) for name in engines]


def queue_of(engine: str) -> str:
    address, _, database = os.environ["HUIBAN_TEST_REDIS_URL"].rpartition("/")
    return f"{address}/{int(database) - QUEUES[engine]}"


@pytest.fixture(scope="module", params=settings_of_engines())
def product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("product") / "data"
    folder.mkdir(mode=0o750)
    environment: dict[str, str] = {}
    drop = None
    if request.param != "embedded":
        variable = "HUIBAN_TEST_POSTGRES_URL" if request.param == "postgresql" else "HUIBAN_TEST_MARIADB_URL"
        name = f"huiban_journey_{uuid.uuid4().hex[:10]}"
        engine = make_engine(os.environ[variable]).execution_options(isolation_level="AUTOCOMMIT")
        charset = "" if request.param == "postgresql" else " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}{charset}")
        environment = {
            "HUIBAN_DATABASE_URL": sa.make_url(os.environ[variable]).set(database=name).render_as_string(hide_password=False),
            "HUIBAN_REDIS_URL": queue_of(request.param),
        }
        connect(environment["HUIBAN_REDIS_URL"]).flushdb()  # a run that was broken off leaves jobs and a token of its own
        force = " WITH (FORCE)" if request.param == "postgresql" else ""

        def drop() -> None:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
            engine.dispose()

    product = Product(folder, environment)
    try:
        product.start()
        product.work_off()
        yield product
    finally:
        product.stop()
        if drop is not None:
            drop()
    assert product.leftovers() == []


@pytest.fixture
def demo(product: Product) -> Iterator[dict[str, Any]]:
    yield product.demo
    print(product.log()[-6000:])  # shown with a test that failed


def a_phone() -> str:
    return f"139{secrets.randbelow(10**8):08d}"


def a_number(prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(6)}"


def at(minutes: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def a_sale(channel: str, number: str, member: dict[str, str], amount_fen: int, **more: Any) -> dict[str, Any]:
    return {
        "channel": channel,
        "external_no": number,
        "member": member,
        "placed_at": at(-5),
        "paid_at": at(-4),
        "lines": [
            {
                "line_no": 1,
                "sku": "SKU-J1",
                "name": "手冲咖啡豆 250g",
                "quantity": 2,
                "unit_price_fen": amount_fen // 2,
                "amount_fen": amount_fen,
            }
        ],
        "payable_fen": amount_fen,
        **more,
    }


def test_the_product_starts_in_under_three_minutes(product: Product) -> None:
    print(f"\nserved after {product.seconds_to_start:.1f} s")
    assert product.seconds_to_start < 180


def test_the_whole_loop(demo: dict[str, Any]) -> None:
    member, till, carrier = Member(demo), Till(demo), Carrier(demo)

    # A member logs in through WeChat and carries a card.
    first = member.log_in()
    assert first["member"]["is_new"] is True
    assert member.log_in()["member"]["is_new"] is False
    phone = a_phone()
    assert member.bind_phone(phone)["phone_masked"].startswith("139****")
    # The demonstration's rule gives 20 points to whoever joins; they come by the queue.
    eventually(lambda: member.get("me")["points"]["available"] == 20, what="the welcome")
    card_no = member.get("card")["card_no"]
    assert len(card_no) == 12

    # The till recognises the member by the dynamic code, once.
    code = member.post("card/codes")["code"]
    known = till.post("members/identify", {"member_code": code})
    assert known["card_no"] == card_no
    replay = till.call("POST", "members/identify", {"member_code": code})
    assert (replay.status_code, replay.json()["code"]) == (409, "member_code_expired")

    # A coupon is claimed, quoted, and used with the sale.
    templates = [template for template in member.get("coupon-templates")["items"] if template["claimable"]]
    assert templates
    coupon = None
    for template in templates:
        claimed = member.call("POST", f"coupon-templates/{template['id']}/claims")
        assert claimed.status_code == 201, claimed.text
        quote = member.post(
            "coupons/quotes", {"lines": [{"sku": "SKU-J1", "quantity": 2, "unit_price_fen": 50000}], "coupon_ids": [claimed.json()["id"]]}
        )
        if quote["discount_fen"] > 0:
            coupon = claimed.json()
            break
    assert coupon is not None
    assert quote["payable_fen"] == 100000 - quote["discount_fen"]
    till_number = a_number("T")
    sale = a_sale("till", till_number, {"member_id": known["member_id"]}, quote["payable_fen"], store=None, coupon_ids=[coupon["id"]])
    sale.pop("store")
    taken = till.call("POST", "orders", sale)
    assert taken.status_code == 201, taken.text
    assert taken.json()["exceptions"] == []
    assert till.call("POST", "orders", sale).json()["order_no"] == taken.json()["order_no"]
    changed = till.call("POST", "orders", sale | {"payable_fen": 1, "lines": [sale["lines"][0] | {"amount_fen": 1}]})
    assert (changed.status_code, changed.json()["code"]) == (409, "order_conflict")
    assert member.get(f"coupons/{coupon['id']}")["state"] == "redeemed"

    # A paid order earns points; a shipped one is followed to the door; a refund takes the points back.
    points = member.get("points")
    assert points["available"] + points["pending"] > 20
    shop_number = a_number("S")
    online = a_sale(
        "shop", shop_number, {"phone": phone}, 20000, receiver={"name": "王小明", "phone": phone, "address": "上海市静安区南京西路 1 号"}
    )
    order_no = till.post("orders", online)["order_no"]
    before = member.get("points")
    tracking_no = f"YT{secrets.randbelow(10**13):013d}"
    template_id = next(iter(member.get("subscribe-templates", moment="order_paid")["items"]))["template_id"]
    member.accept(template_id)
    till.post(
        f"orders/shop/{shop_number}/events",
        {"event_id": a_number("e"), "kind": "shipped", "occurred_at": at(-3), "carrier": "yuantong", "tracking_no": tracking_no},
    )
    now = datetime.now()
    steps = [
        ((now - timedelta(minutes=3)).strftime("%F %T"), "【上海市】已收件"),
        ((now - timedelta(minutes=1)).strftime("%F %T"), "【上海市】已签收，感谢使用"),
    ]
    assert carrier.push("yuantong", tracking_no, "3", steps, sign="0" * 32).json()["result"] is False
    assert carrier.push("yuantong", tracking_no, "3", steps).json()["result"] is True
    assert carrier.push("yuantong", tracking_no, "3", steps).json()["result"] is True
    tracking = member.get(f"orders/{order_no}/tracking")
    assert len(tracking["events"]) == 2
    assert member.get(f"orders/{order_no}")["stage"] in {"processing", "done"}
    till.post(
        f"orders/shop/{shop_number}/events",
        {
            "event_id": a_number("e"),
            "kind": "refunded",
            "occurred_at": at(),
            "refund_id": a_number("r"),
            "refund_fen": 20000,
            "lines": [{"line_no": 1, "quantity": 2, "refund_fen": 20000}],
        },
    )
    eventually(
        lambda: member.get("points")["pending"] + member.get("points")["available"] < before["pending"] + before["available"],
        what="taking back the points",
    )

    # A complaint with a photo is answered by staff in the console, and rated.
    picture = Image.new("RGB", (40, 30), "orange")
    from io import BytesIO

    buffer = BytesIO()
    picture.save(buffer, "PNG")
    upload = member.session.post(
        f"{member.base}/api/v1/uploads",
        files={"file": ("photo.png", buffer.getvalue(), "image/png")},
        data={"purpose": "ticket"},
        headers={"Idempotency-Key": secrets.token_hex(12)},
        timeout=20,
    )
    assert upload.status_code == 201, upload.text
    key = secrets.token_hex(12)
    complaint = {
        "category": "logistics",
        "content": "包裹外箱破了，咖啡豆洒了一地，请处理。",
        "order_no": order_no,
        "upload_ids": [upload.json()["upload_id"]],
    }
    ticket = member.post("tickets", complaint, key=key)
    assert member.post("tickets", complaint, key=key)["ticket_no"] == ticket["ticket_no"]
    stranger = Member(demo)
    stranger.log_in()
    assert stranger.call("GET", f"tickets/{ticket['ticket_no']}").status_code == 404
    assert stranger.call("GET", f"orders/{order_no}").status_code == 404
    assert stranger.call("GET", f"coupons/{coupon['id']}").status_code == 404

    agent = Staff(demo, "service")
    agent.log_in()
    desk = agent.page("/admin/feedback/?q=" + ticket["ticket_no"])
    assert ticket["ticket_no"] in desk
    answered = answer_in_console(agent, ticket["ticket_no"], "非常抱歉，已为您补发一袋，明天送达。")
    assert answered.status_code == 200
    seen = eventually(
        lambda: [message for message in member.get(f"tickets/{ticket['ticket_no']}")["messages"] if "补发" in message["content"]],
        what="the answer",
    )
    assert seen
    member.post(f"tickets/{ticket['ticket_no']}/rating", {"score": 5, "comment": "处理很快"})
    again = member.call("POST", f"tickets/{ticket['ticket_no']}/rating", {"score": 1})
    assert again.status_code == 409

    # The messages they agreed to arrive: in the inbox, and the granted one in WeChat.
    titles = eventually(
        lambda: len(member.get("messages")["items"]) >= 2 and [item["title"] for item in member.get("messages")["items"]], what="the inbox"
    )
    assert titles
    eventually(
        lambda: member.openid in requests.get(f"{member.emulator}/_emulator/messages", timeout=20).text, what="the subscribe message"
    )
    assert member.get("me")["unread"] >= 2

    # Check-in once a day.
    assert member.post("points/check-ins")["points"] > 0
    twice = member.call("POST", "points/check-ins")
    assert (twice.status_code, twice.json()["code"]) == (409, "already_checked_in")


def test_a_birthday_brings_points_a_coupon_and_a_greeting_once(demo: dict[str, Any]) -> None:
    # The demonstration's first member was born on the day it was made.
    member = Member(demo, openid="demo-openid-000")
    member.log_in()

    def greetings() -> list[Any]:
        return [item for item in member.get("messages", limit=100)["items"] if item["code"] == "birthday_greeting"]

    eventually(greetings, within_seconds=90, what="the greeting")
    assert len(greetings()) == 1
    gifts = [entry for entry in member.get("points/entries", limit=100)["items"] if entry["source"].startswith("campaigns/birthday:")]
    assert [entry["kind"] for entry in gifts] == ["accrue"]
    assert gifts[0]["points"] > 0
    coupons = [coupon for coupon in member.get("coupons", limit=100)["items"] if "生日" in coupon["template"]["name"]]
    assert len(coupons) == 1


def answer_in_console(agent: Staff, ticket_no: str, text: str) -> requests.Response:
    """Answer a ticket through the console's own form, found from the desk's link to it."""
    import re
    from html import unescape

    desk = agent.page("/admin/feedback/?q=" + ticket_no)
    link = next(
        unescape(href)
        for href in re.findall(r'href="([^"]+)"', desk)
        if ("/feedback/" in href and "id=" in href) or f"/{ticket_no}" in href
    )
    return agent.submit(link, {"content": text}, holding="content")


def test_refusals_of_the_partner_api_change_nothing(demo: dict[str, Any]) -> None:
    till = Till(demo)
    body = {"phone": a_phone()}
    cases = [
        ({"signature": "0" * 64}, "bad_signature"),
        ({"timestamp": str(int(time.time()) - 301)}, "stale_timestamp"),
    ]
    for replaced, code in cases:
        answer = till.call("POST", "members/identify", body, **replaced)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
    nonce = secrets.token_hex(16)
    till.call("POST", "members/identify", body, nonce=nonce)
    again = till.call("POST", "members/identify", body, nonce=nonce)
    assert (again.status_code, again.json()["code"]) == (401, "nonce_reused")
    till.key = "nobody"
    unknown = till.call("POST", "members/identify", body)
    assert (unknown.status_code, unknown.json()["code"]) == (401, "unknown_key")


def test_a_session_can_be_refreshed_once_and_a_replay_ends_the_family(demo: dict[str, Any]) -> None:
    member = Member(demo)
    tokens = member.log_in()
    refreshed = requests.post(f"{member.base}/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}, timeout=20)
    assert refreshed.status_code == 200, refreshed.text
    replay = requests.post(f"{member.base}/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}, timeout=20)
    assert replay.status_code == 401
    member.session.headers["Authorization"] = f"Bearer {refreshed.json()['access_token']}"
    assert member.call("GET", "me").status_code == 401


def test_documentation_and_health_are_served(demo: dict[str, Any]) -> None:
    base = demo["base_url"]
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/docs/assets/swagger-ui-bundle.js"):
        assert requests.get(base + path, timeout=20).status_code == 200, path
    document = requests.get(base + "/openapi.json", timeout=20).json()
    assert document["openapi"].startswith("3.1")
