"""Giving a coupon to a friend over HTTP, and what the giver is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.coupons import queries
from server.kernel.outbox import OutboxEvent
from server.members import service as members
from server.members.models import Member
from server.notifications.models import NotificationMessage
from tasks.jobs import coupons as sweeps
from tasks.jobs import notifications as jobs
from tests.conftest import START
from tests.factories.coupons import STAFF, a_coupon, some_terms
from tests.factories.feedback import Caller, a_caller

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core

NOW = START
_keys = iter(range(1000))


def post(client: FlaskClient, who: Caller, path: str, **headers: str) -> Any:
    sent = {**who.headers, "Accept-Language": "zh-CN", "Idempotency-Key": f"gift-{next(_keys)}", **headers}
    return client.post(f"/api/v1/{path}", headers=sent)


def get(client: FlaskClient, who: Caller, path: str) -> Any:
    return client.get(f"/api/v1/{path}", headers={**who.headers, "Accept-Language": "zh-CN"})


def a_gift(core: Core, client: FlaskClient, giver: Caller) -> tuple[str, Any]:
    with core.db.transaction() as session:
        coupon = a_coupon(session, giver.member_id, now=NOW, terms=some_terms(giftable=True))
    return str(coupon.id), post(client, giver, f"coupons/{coupon.id}/gifts")


def told(core: Core) -> list[tuple[Any, str]]:
    """Handle the news of gifts; return whom it was told, and what."""
    with core.db.reading() as session:
        rows = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "coupons.gift_ended").order_by(OutboxEvent.id)).all()
        session.expunge_all()
    for event in [*rows, *rows]:
        # A row has what an event has.
        core.db.run(lambda session, event=event: jobs.on_coupon_gift_ended(session, event, core))
    with core.db.reading() as session:
        found = session.scalars(sa.select(NotificationMessage).where(NotificationMessage.template == "coupon_gift_ended")).all()
        return [(message.member_id, message.texts["outcome"]) for message in found]


def test_a_coupon_goes_to_a_friend_and_the_giver_hears_of_it(client, core):
    giver, friend, third = a_caller(core), a_caller(core, "openid-two"), a_caller(core, "openid-three")
    coupon_id, made = a_gift(core, client, giver)
    assert made.status_code == 201, made.text
    token = made.json["token"]
    assert (made.json["path"], made.json["coupon"]["state"], made.json["coupon"]["giftable"]) == (
        f"pages/gift/index?g={token}", "offered", False)  # fmt: skip
    assert made.json["coupon"]["template"]["sentence"] == "满100元减20元，可转赠好友。"
    shown = get(client, friend, f"coupon-gifts/{token}").json
    assert (shown["state"], shown["mine"], shown["offer"]) == ("open", False, "满100元减20元")
    assert shown["from_nickname"] is None
    with core.db.transaction() as session:
        session.execute(sa.update(Member).where(Member.id == giver.member_id).values(nickname="林间小路"))
    assert get(client, friend, f"coupon-gifts/{token}").json["from_nickname"] == "林**"
    assert "code" not in shown  # nobody redeems what they only look at
    got = post(client, friend, f"coupon-gifts/{token}/acceptance")
    assert got.status_code == 200, got.text
    assert get(client, friend, f"coupons/{got.json['id']}").json["code"] == got.json["code"]
    assert post(client, friend, f"coupon-gifts/{token}/acceptance").json["id"] == got.json["id"]
    late = post(client, third, f"coupon-gifts/{token}/acceptance")
    assert (late.status_code, late.json["code"], late.json["detail"]) == (409, "coupon_gift_ended", "该优惠券已被领取。")
    assert get(client, giver, "coupons?state=given").json["items"][0]["id"] == coupon_id
    assert [each["state"] for each in get(client, giver, "coupon-gifts").json["items"]] == ["accepted"]
    assert get(client, giver, "coupon-gifts?direction=received").json["items"] == []
    assert [each["mine"] for each in get(client, friend, "coupon-gifts?direction=received").json["items"]] == [False]
    assert told(core) == [(giver.member_id, "Your friend accepted it")]


def test_the_links_of_others_are_nobodys_list_and_strangers_coupons_stay(client, core):
    giver, friend = a_caller(core), a_caller(core, "openid-two")
    coupon_id, made = a_gift(core, client, giver)
    token = made.json["token"]
    assert post(client, friend, f"coupons/{coupon_id}/gifts").status_code == 404
    assert post(client, friend, f"coupons/{coupon_id}/gifts/withdrawal").status_code == 404
    assert get(client, friend, "coupon-gifts").json["items"] == []
    assert get(client, friend, "coupon-gifts/ABCDEFGHJKLMNPQRSTUVWXYZ").json["code"] == "coupon_gift_not_found"
    assert client.get(f"/api/v1/coupon-gifts/{token}").status_code == 401
    assert post(client, giver, f"coupon-gifts/{token}/acceptance").json["code"] == "own_coupon_gift"
    assert post(client, friend, f"coupon-gifts/{token}/refusal").json["state"] == "refused"
    assert get(client, giver, f"coupons/{coupon_id}").json["state"] == "issued"
    assert told(core) == [(giver.member_id, "Turned down, and back in your wallet")]
    again = post(client, giver, f"coupons/{coupon_id}/gifts").json
    assert post(client, giver, f"coupons/{coupon_id}/gifts/withdrawal").json["state"] == "issued"
    assert post(client, friend, f"coupon-gifts/{again['token']}/acceptance").json["detail"] == "好友已撤回转赠。"


def test_an_offer_that_lapses_comes_back_and_is_told(client, core, clock):
    giver = a_caller(core)
    coupon_id, _ = a_gift(core, client, giver)
    clock.move(timedelta(hours=24))
    assert sweeps.lapse_gifts(core, clock.now()) == 1
    with core.db.reading() as session:
        assert queries.find(session, UUID(coupon_id)).state == "issued"
    assert told(core) == [(giver.member_id, "Not accepted in time, and back in your wallet")]


def test_who_is_frozen_gives_nothing_away(client, core):
    giver, friend = a_caller(core), a_caller(core, "openid-two")
    _, made = a_gift(core, client, giver)
    with core.db.transaction() as session:
        members.set_status(session, giver.member_id, "frozen", reason="fraud", actor=STAFF, now=NOW)
    assert post(client, friend, f"coupon-gifts/{made.json['token']}/acceptance").json["code"] == "coupon_gift_ended"
