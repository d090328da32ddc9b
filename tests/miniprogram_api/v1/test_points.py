"""The member's points over HTTP."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from apiflask import APIFlask
from flask_babel import Babel

from miniprogram_api import problems
from miniprogram_api.v1 import orders, points, tiers
from server.kernel.amounts import Points
from server.members import service as members
from server.orders.drafts import MemberRef
from server.points import service
from server.tiers import service as tier_service
from tests.conftest import START
from tests.factories.orders import a_draft, a_line, a_till_draft, an_order
from tests.factories.points import STAFF, SYSTEM, a_source


@pytest.fixture
def member(core):
    """Give a member's phone: call(method, path, body, **headers)."""
    app = APIFlask("api", json_errors=False)
    app.extensions["huiban"] = core
    Babel(app, default_locale="en")
    problems.init_app(app)
    app.register_blueprint(orders.bp)
    app.register_blueprint(points.bp)
    app.register_blueprint(tiers.bp)
    app.testing = True
    client = app.test_client()

    class Phone:
        def log_in(self):
            self.login = core.db.run(
                lambda session: members.login_with_wechat(
                    session, appid="wxdemo0000000000", openid="o-points", unionid=None, now=core.clock.now()
                )
            )

        @property
        def id(self):
            return self.login.member_id

        def call(self, method, path, body=None, **headers):
            named = {
                "Authorization": f"Bearer {self.login.access_token}",
                **{key.replace("_", "-"): value for key, value in headers.items()},
            }
            return client.open(path, method=method, json=body, headers=named)

        def get(self, path):
            answer = self.call("GET", path)
            assert answer.status_code == 200, answer.text
            return answer.json

        def anonymous(self, path):
            return client.get(path)

    phone = Phone()
    phone.log_in()
    return phone


def give(core, member_id, count, **more):
    return core.db.run(
        lambda session: service.accrue(
            session, member_id, Points(count), source=a_source(), reason="Daily check-in", actor=SYSTEM, now=START, **more
        )
    )


def test_nobody_reads_points_without_logging_in(member):
    for path in ("/api/v1/points", "/api/v1/points/entries", "/api/v1/points/lots", "/api/v1/tiers", "/api/v1/me/tier"):
        assert member.anonymous(path).status_code == 401


def test_the_balance_tells_what_expires_soon(core, member):
    give(core, member.id, 10, expires_at=START + timedelta(days=20))
    give(core, member.id, 5, expires_at=START + timedelta(days=40))
    give(core, member.id, 7, available_at=START + timedelta(days=3))
    body = member.get("/api/v1/points")
    assert body["available"] == 15
    assert body["pending"] == 7
    assert body["expiring_soon"] == 10
    assert body["expiring_at"].startswith("2026-07-05")
    assert body["check_in"] == {"checked_in_today": False, "streak_days": 0}


def test_a_balance_without_an_account_is_zero(member):
    assert member.get("/api/v1/points")["available"] == 0
    assert member.get("/api/v1/points/lots") == {"items": [], "next_cursor": None}


def test_the_statement_reads_on_page_by_page(core, member):
    for _ in range(5):
        give(core, member.id, 1)
    first = member.get("/api/v1/points/entries?limit=3")
    rest = member.get(f"/api/v1/points/entries?limit=3&cursor={first['next_cursor']}")
    assert [entry["balance_after"] for entry in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None
    assert set(first["items"][0]) >= {"id", "kind", "points", "balance_after", "reason", "rule", "source", "occurred_at"}
    assert member.get("/api/v1/points/entries?kind=redeem")["items"] == []
    assert member.call("GET", "/api/v1/points/entries?kind=theft").status_code == 422
    assert member.call("GET", "/api/v1/points/entries?limit=1000").status_code == 422


def test_an_entry_names_no_staff_and_nothing_of_the_inside(core, member):
    details = {"approval_id": "a1", "asked_by": "Lin Xiaowen", "approved_by": "Wei"}
    core.db.run(
        lambda session: service.adjust(
            session, member.id, Points(5000), source=a_source(), reason="Lost parcel", actor=STAFF, now=START, details=details
        )
    )
    (entry,) = member.get("/api/v1/points/entries")["items"]
    assert (entry["points"], entry["reason"], entry["details"]) == (5000, "Lost parcel", None)


def test_entries_and_lines_of_orders_say_why_in_words(core, member):
    lines = (a_line(1, amount_fen=1234), a_line(2, amount_fen=0, sku="FREE"))

    def sell(session):
        service.ensure_default_rules(session, actor=SYSTEM, now=START)
        buyer = MemberRef(member_id=member.id)
        paid = an_order(session, a_till_draft(now=START, member=buyer, lines=lines), now=START)
        open_ = an_order(session, a_draft(now=START, member=buyer, paid_at=None), now=START)
        free = an_order(session, a_till_draft(now=START, member=buyer, lines=lines[1:]), now=START)
        return [taken.order_no for taken in (paid, open_, free)]

    paid, open_, free = core.db.run(sell)
    (entry,) = member.get("/api/v1/points/entries")["items"]
    assert entry["why"] == [
        "Line 2: nothing was paid in cash, so nothing is earned",
        "“Purchase points”: ¥12.34 paid for line 1, 1 point for every ¥1: 12 points",
    ]
    told = [[line["why"] for line in member.get(f"/api/v1/orders/{number}")["lines"]] for number in (paid, open_, free)]
    nothing = ["nothing was paid in cash, so nothing is earned"]
    assert told == [
        [["“Purchase points”: 1 point for every ¥1"], nothing],
        [["points are worked out once it is paid"]],
        [nothing],
    ]


def test_the_lots_show_when_points_unlock_and_expire(core, member):
    give(core, member.id, 4, available_at=START + timedelta(days=7), expires_at=START + timedelta(days=365))
    (lot,) = member.get("/api/v1/points/lots")["items"]
    assert (lot["amount"], lot["left"], lot["state"]) == (4, 4, "pending")
    assert lot["unlock_at"].startswith("2026-06-22")


def test_check_in_once_a_day(core, member, clock):
    core.db.run(lambda session: service.ensure_default_rules(session, actor=SYSTEM, now=START))
    assert member.call("POST", "/api/v1/points/check-ins").json["code"] == "idempotency_key_required"
    key = secrets.token_hex(8)
    first = member.call("POST", "/api/v1/points/check-ins", Idempotency_Key=key)
    assert (first.status_code, first.json) == (201, {"points": 2, "streak_days": 1})
    again = member.call("POST", "/api/v1/points/check-ins", Idempotency_Key=key)
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    second = member.call("POST", "/api/v1/points/check-ins", Idempotency_Key=secrets.token_hex(8))
    assert (second.status_code, second.json["code"]) == (409, "already_checked_in")
    assert member.get("/api/v1/points")["check_in"] == {"checked_in_today": True, "streak_days": 1}
    clock.move(timedelta(days=1))
    member.log_in()
    third = member.call("POST", "/api/v1/points/check-ins", Idempotency_Key=secrets.token_hex(8))
    assert third.json == {"points": 2, "streak_days": 2}
    assert member.get("/api/v1/points")["available"] == 4


def test_check_in_is_refused_while_no_rule_is_active(member):
    answer = member.call("POST", "/api/v1/points/check-ins", Idempotency_Key="12345678")
    assert (answer.status_code, answer.json["code"]) == (409, "check_in_closed")


def test_a_member_sees_tier_next_tier_and_benefits(core, member):
    core.db.run(tier_service.ensure_default_tiers)
    assert [tier["code"] for tier in member.get("/api/v1/tiers")["items"]] == ["standard", "silver", "gold", "black"]
    mine = member.get("/api/v1/me/tier")
    assert (mine["tier"]["code"], mine["next"]["code"], mine["since"], mine["changes"]) == ("standard", "silver", None, [])
    core.db.run(lambda session: tier_service.assign(session, member.id, "black", reason="Opening gift", actor=STAFF, now=START))
    mine = member.get("/api/v1/me/tier")
    assert (mine["tier"]["code"], mine["next"]) == ("black", None)
    assert [change["reason"] for change in mine["changes"]] == ["Opening gift"]
    assert member.get("/api/v1/me/benefits")["items"][0] == {
        "kind": "points_multiplier",
        "text": "Points multiplier",
        "value": 150,
        "why": "assigned",
        "reason": "Because 黑金会员 was given to you",
    }
