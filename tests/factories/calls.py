"""One call of every operation of the HTTP API that does what it is for: of a member on their own things, of a partner, of who calls us back.

A new operation needs a line here; ``tests/security/test_calls.py`` says so until it has one. Each line makes the things it names anew, so
that the same call may be made again, by its owner or by somebody else.
"""

from __future__ import annotations

import io
import json
import secrets
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from miniprogram_api.auth import guard_of
from server.files import service as files
from server.kernel.clock import business_date
from server.logistics.kuaidi100 import sign
from server.notifications import unsubscribing
from server.notifications.templates import Topic
from server.orders.drafts import MemberRef
from server.partners.rules import signature_of, string_to_sign
from server.rewards.rules.terms import Kind
from server.wechat.push import signature_of as push_signature_of
from tests.factories.feedback import a_picture
from tests.factories.orders import a_draft, an_order
from tests.factories.world import OWNER, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from server.partners.service import NewKey
    from tests.factories.feedback import Caller

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_numbers = count(1)


@dataclass(frozen=True)
class Call:
    """A request: ``json`` or ``form`` (with files) as its body, or neither; ``leaving`` is for a member who waits to be deleted."""

    method: str
    path: str
    json: Any = None
    form: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    leaving: bool = False

    def with_key(self, key: str) -> Call:
        return replace(self, headers={**self.headers, "Idempotency-Key": key})


def _number(prefix: str) -> str:
    return f"{prefix}-{next(_numbers)}-{secrets.token_hex(3)}"


def _picture() -> tuple[io.BytesIO, str]:
    return io.BytesIO(a_picture()), "photo.png"


def a_sale(world: World, **changes: Any) -> dict[str, Any]:
    """Return the body of a paid order of the owner's."""
    line = {"line_no": 1, "sku": "SKU-1", "name": "咖啡豆", "quantity": 1, "unit_price_fen": 9900, "amount_fen": 9900}
    return {
        "channel": "shop",
        "external_no": _number("S"),
        "member": {"member_id": str(world.owner.member_id)},
        "placed_at": world.now.isoformat(),
        "paid_at": world.now.isoformat(),
        "lines": [line],
        "payable_fen": 9900,
        "receiver": {"name": OWNER.name, "phone": OWNER.receiver_phone, "address": OWNER.address},
        **changes,
    }


def _cart(**more: Any) -> dict[str, Any]:
    return {"channel": "till", "lines": [{"sku": "SKU-1", "quantity": 2, "unit_price_fen": 9900}], **more}


def _fact(world: World, **more: Any) -> dict[str, Any]:
    return {"member_id": str(world.owner.member_id), "points": 5, "source": _number("f"), "reason": "Gift", **more}


def _receipt(world: World) -> Call:
    return Call("POST", f"/api/v1/orders/{world.an_order().order_no}/receipt")


def _claim(world: World) -> Call:
    number = _number("R")
    sale = a_draft(now=world.now, channel="till", receiver=None, member=MemberRef(), external_no=number)
    world.run(lambda s: an_order(s, sale, now=world.now))
    day = business_date(sale.placed_at, ZoneInfo("Asia/Shanghai")).isoformat()
    return Call("POST", "/api/v1/points/receipt-claims", {"external_no": number, "amount_fen": sale.payable_fen, "placed_on": day})


def _event(world: World) -> Call:
    sale = world.an_order()
    body = {"event_id": _number("e"), "kind": "delivered", "occurred_at": world.now.isoformat()}
    return Call("POST", f"/partner/v1/orders/{sale.channel}/{sale.external_no}/events", body)


def _order_of_channel(world: World) -> Call:
    sale = world.an_order()
    return Call("GET", f"/partner/v1/orders/{sale.channel}/{sale.external_no}")


def _picture_seen(world: World) -> Call:
    return Call("GET", files.signed_address(world.an_upload(), secret_key=world.core.settings.secret_key, now=world.now))


def _push_query(world: World, **more: str) -> str:
    stamp, nonce = str(int(world.now.timestamp())), "n1"
    signature = push_signature_of(world.core.settings.wechat_push_token, stamp, nonce)
    return urlencode({"signature": signature, "timestamp": stamp, "nonce": nonce, **more})


def _push(world: World) -> Call:
    body = {
        "ToUserName": "gh_1",
        "FromUserName": OWNER.openid,
        "CreateTime": int(world.now.timestamp()),
        "MsgType": "event",
        "Event": "subscribe_msg_popup_event",
        "List": {"TemplateId": "demo-tmpl-ticket-answered", "SubscribeStatusString": "accept", "PopupScene": "0"},
    }
    return Call("POST", f"/callbacks/wechat/mini-program?{_push_query(world)}", body)


def _account_query(world: World, **more: str) -> str:
    stamp, nonce = str(int(world.now.timestamp())), "n1"
    signature = push_signature_of(world.core.settings.official_account_push_token, stamp, nonce)
    return urlencode({"signature": signature, "timestamp": stamp, "nonce": nonce, **more})


def _followed(world: World) -> Call:
    body = {"ToUserName": "gh_2", "FromUserName": "f1", "CreateTime": int(world.now.timestamp()), "MsgType": "event", "Event": "subscribe"}
    return Call("POST", f"/callbacks/wechat/official-account?{_account_query(world)}", body)


def _text_news() -> dict[str, Any]:
    at = "2026-06-15 12:00:00"
    return {"phone_number": "13800138999", "biz_id": "b1", "send_time": at, "report_time": at}


def _order_off(world: World) -> str:
    token = unsubscribing.token_of(world.core.settings.secret_key, world.owner.member_id, Topic.OFFERS)
    return f"/callbacks/unsubscribe/{token}"


def _parcel_news(world: World) -> Call:
    entry = {"ftime": f"{world.now:%Y-%m-%d %H:%M:%S}", "context": "已揽收", "statusCode": "1"}
    news = {"lastResult": {"com": "yuantong", "nu": world.an_order().tracking_no, "state": "0", "data": [entry]}}
    param = json.dumps(news, ensure_ascii=False)
    return Call("POST", "/callbacks/kuaidi100", form={"param": param, "sign": sign(param, world.core.settings.kuaidi100_salt)})


def _login(world: World) -> Call:
    return Call("POST", "/api/v1/auth/wechat", {"code": world.core.wechat.code_for(OWNER.openid), "policy_version": "1"})  # type: ignore[attr-defined]


def _phone(world: World) -> Call:
    return Call("POST", "/api/v1/me/phone", {"code": world.core.wechat.phone_code_for(OWNER.phone)})  # type: ignore[attr-defined]


def _link(world: World) -> str:
    """Return the token of a coupon that the other member offers to whoever has the link."""
    return world.a_giftable_coupon(of=world.other, offered=True)[1]


CALLS: dict[str, Callable[[World], Call]] = {
    # Members
    "POST /api/v1/auth/wechat": _login,
    "POST /api/v1/auth/refresh": lambda w: Call("POST", "/api/v1/auth/refresh", {"refresh_token": w.a_refresh_token()}),
    "GET /api/v1/auth/sessions": lambda w: Call("GET", "/api/v1/auth/sessions"),
    "DELETE /api/v1/auth/sessions/{session_id}": lambda w: Call("DELETE", f"/api/v1/auth/sessions/{w.a_session()}"),
    "GET /api/v1/card": lambda w: Call("GET", "/api/v1/card"),
    "POST /api/v1/card/codes": lambda w: Call("POST", "/api/v1/card/codes"),
    "GET /api/v1/coupon-templates": lambda w: Call("GET", "/api/v1/coupon-templates"),
    "POST /api/v1/coupon-templates/{template_id}/claims": lambda w: Call("POST", f"/api/v1/coupon-templates/{w.a_template()}/claims"),
    "GET /api/v1/coupons": lambda w: Call("GET", "/api/v1/coupons?limit=5"),
    "GET /api/v1/coupons/{coupon_id}": lambda w: Call("GET", f"/api/v1/coupons/{w.a_coupon()}"),
    "POST /api/v1/coupons/{coupon_id}/gifts": lambda w: Call("POST", f"/api/v1/coupons/{w.a_giftable_coupon()[0]}/gifts"),
    "POST /api/v1/coupons/{coupon_id}/gifts/withdrawal": lambda w: Call(
        "POST", f"/api/v1/coupons/{w.a_giftable_coupon(offered=True)[0]}/gifts/withdrawal"
    ),
    "GET /api/v1/coupon-gifts": lambda w: Call("GET", "/api/v1/coupon-gifts?limit=5"),
    "GET /api/v1/coupon-gifts/{token}": lambda w: Call("GET", f"/api/v1/coupon-gifts/{_link(w)}"),
    "POST /api/v1/coupon-gifts/{token}/acceptance": lambda w: Call("POST", f"/api/v1/coupon-gifts/{_link(w)}/acceptance"),
    "POST /api/v1/coupon-gifts/{token}/refusal": lambda w: Call("POST", f"/api/v1/coupon-gifts/{_link(w)}/refusal"),
    "POST /api/v1/coupons/codes": lambda w: Call("POST", "/api/v1/coupons/codes", {"code": w.a_code()}),
    "POST /api/v1/coupons/quotes": lambda w: Call("POST", "/api/v1/coupons/quotes", _cart(coupon_ids=[w.a_coupon()], points=10)),
    "GET /api/v1/me": lambda w: Call("GET", "/api/v1/me"),
    "PUT /api/v1/me/avatar": lambda w: Call("PUT", "/api/v1/me/avatar", {"upload_id": w.an_upload("avatar")}),
    "GET /api/v1/me/benefits": lambda w: Call("GET", "/api/v1/me/benefits"),
    "GET /api/v1/me/consents": lambda w: Call("GET", "/api/v1/me/consents"),
    "PUT /api/v1/me/consents": lambda w: Call(
        "PUT", "/api/v1/me/consents", [{"purpose": "marketing", "policy_version": "1", "granted": True}]
    ),
    "GET /api/v1/me/growth": lambda w: Call("GET", "/api/v1/me/growth"),
    "GET /api/v1/me/notification-preferences": lambda w: Call("GET", "/api/v1/me/notification-preferences"),
    "GET /api/v1/me/email": lambda w: Call("GET", "/api/v1/me/email"),
    "PUT /api/v1/me/email": lambda w: Call("PUT", "/api/v1/me/email", {"address": "lin@example.com"}),
    "POST /api/v1/me/email/verification": lambda w: Call("POST", "/api/v1/me/email/verification", {"code": w.an_email_code()}),
    "DELETE /api/v1/me/email": lambda w: Call("DELETE", "/api/v1/me/email"),
    "PUT /api/v1/me/notification-preferences": lambda w: Call(
        "PUT", "/api/v1/me/notification-preferences", {"quiet_hours": {"from": "21:00", "until": "09:00"}, "topics": []}
    ),
    "POST /api/v1/me/phone": _phone,
    "GET /api/v1/me/profile": lambda w: Call("GET", "/api/v1/me/profile"),
    "PATCH /api/v1/me/profile": lambda w: Call("PATCH", "/api/v1/me/profile", {"city": "宁波", "interests": ["茶"]}),
    "GET /api/v1/me/tier": lambda w: Call("GET", "/api/v1/me/tier"),
    "GET /api/v1/messages": lambda w: Call("GET", f"/api/v1/messages?limit={len(w.a_message()) and 5}"),
    "POST /api/v1/messages/{message_id}/read": lambda w: Call("POST", f"/api/v1/messages/{w.a_message()}/read"),
    "POST /api/v1/messages/read": lambda w: Call("POST", "/api/v1/messages/read"),
    "GET /api/v1/orders": lambda w: Call("GET", "/api/v1/orders"),
    "GET /api/v1/orders/{order_no}": lambda w: Call("GET", f"/api/v1/orders/{w.an_order().order_no}"),
    "POST /api/v1/orders/{order_no}/receipt": _receipt,
    "GET /api/v1/orders/{order_no}/tracking": lambda w: Call("GET", f"/api/v1/orders/{w.an_order().order_no}/tracking"),
    "GET /api/v1/points": lambda w: Call("GET", "/api/v1/points"),
    "POST /api/v1/points/check-ins": lambda w: Call("POST", "/api/v1/points/check-ins"),
    "POST /api/v1/points/receipt-claims": _claim,
    "GET /api/v1/points/entries": lambda w: Call("GET", "/api/v1/points/entries"),
    "GET /api/v1/points/lots": lambda w: Call("GET", "/api/v1/points/lots"),
    "GET /api/v1/redemptions": lambda w: Call("GET", "/api/v1/redemptions"),
    "GET /api/v1/redemptions/{redemption_id}": lambda w: Call("GET", f"/api/v1/redemptions/{w.a_redemption().id}"),
    "POST /api/v1/redemptions/{redemption_id}/cancellation": lambda w: Call(
        "POST", f"/api/v1/redemptions/{w.a_redemption().id}/cancellation", {"reason": "不想要了"}
    ),
    "GET /api/v1/referral": lambda w: Call("GET", "/api/v1/referral"),
    "GET /api/v1/rewards": lambda w: Call("GET", f"/api/v1/rewards?limit={len(w.a_reward()) and 5}"),
    "GET /api/v1/rewards/{reward_id}": lambda w: Call("GET", f"/api/v1/rewards/{w.a_reward()}"),
    "POST /api/v1/rewards/{reward_id}/redemptions": lambda w: Call(
        "POST",
        f"/api/v1/rewards/{w.a_reward()}/redemptions",
        {"receiver": {"name": OWNER.name, "phone": OWNER.receiver_phone, "address": OWNER.address}},
    ),
    "POST /api/v1/subscribe-grants": lambda w: Call(
        "POST", "/api/v1/subscribe-grants", {"results": {"demo-tmpl-ticket-answered": "accept"}}
    ),
    "GET /api/v1/subscribe-templates": lambda w: Call("GET", "/api/v1/subscribe-templates?moment=ticket_opened"),
    "POST /api/v1/tickets": lambda w: Call(
        "POST",
        "/api/v1/tickets",
        {"category": "logistics", "content": "外箱破了", "order_no": w.an_order().order_no, "upload_ids": [w.an_upload()]},
    ),
    "GET /api/v1/tickets": lambda w: Call("GET", "/api/v1/tickets"),
    "GET /api/v1/tickets/{ticket_no}": lambda w: Call("GET", f"/api/v1/tickets/{w.a_ticket()}"),
    "POST /api/v1/tickets/{ticket_no}/messages": lambda w: Call(
        "POST", f"/api/v1/tickets/{w.a_ticket()}/messages", {"content": "还没有收到", "upload_ids": [w.an_upload()]}
    ),
    "POST /api/v1/tickets/{ticket_no}/rating": lambda w: Call(
        "POST", f"/api/v1/tickets/{w.a_ticket(answered=True)}/rating", {"score": 5, "comment": "很快"}
    ),
    "POST /api/v1/tickets/{ticket_no}/reopening": lambda w: Call(
        "POST", f"/api/v1/tickets/{w.a_ticket(answered=True)}/reopening", {"content": "还是没有"}
    ),
    "GET /api/v1/tiers": lambda w: Call("GET", "/api/v1/tiers"),
    "POST /api/v1/uploads": lambda w: Call("POST", "/api/v1/uploads", form={"file": _picture(), "purpose": "ticket"}),
    "GET /files/{upload_id}": _picture_seen,
    "POST /api/v1/me/deletion": lambda w: Call("POST", "/api/v1/me/deletion"),
    "GET /api/v1/me/deletion": lambda w: Call("GET", "/api/v1/me/deletion", leaving=True),
    "DELETE /api/v1/me/deletion": lambda w: Call("DELETE", "/api/v1/me/deletion", leaving=True),
    # It ends the log-in that all the others stand on, so it comes last.
    "POST /api/v1/auth/logout": lambda w: Call("POST", "/api/v1/auth/logout", {"all": False}),
    # Partners
    "POST /partner/v1/members/identify": lambda w: Call("POST", "/partner/v1/members/identify", {"member_code": w.a_member_code()}),
    "GET /partner/v1/members/{member_id}": lambda w: Call("GET", f"/partner/v1/members/{w.owner.member_id}"),
    "POST /partner/v1/orders": lambda w: Call("POST", "/partner/v1/orders", a_sale(w)),
    "POST /partner/v1/orders/batch": lambda w: Call("POST", "/partner/v1/orders/batch", {"orders": [a_sale(w), a_sale(w)]}),
    "GET /partner/v1/orders/{channel}/{external_no}": _order_of_channel,
    "POST /partner/v1/orders/{channel}/{external_no}/events": _event,
    "POST /partner/v1/points/accruals": lambda w: Call("POST", "/partner/v1/points/accruals", _fact(w, available_at=None)),
    "POST /partner/v1/points/redemptions": lambda w: Call("POST", "/partner/v1/points/redemptions", _fact(w)),
    "POST /partner/v1/points/reversals": lambda w: Call(
        "POST", "/partner/v1/points/reversals", {"entry_id": w.an_entry(), "points": 20, "source": _number("r"), "reason": "Mistake"}
    ),
    "POST /partner/v1/coupons/quotes": lambda w: Call(
        "POST", "/partner/v1/coupons/quotes", _cart(member_id=str(w.owner.member_id), coupon_ids=[w.a_coupon()])
    ),
    "POST /partner/v1/coupons/{coupon_id}/locks": lambda w: Call(
        "POST", f"/partner/v1/coupons/{w.a_coupon()}/locks", {"channel": "till", "external_no": _number("L")}
    ),
    "POST /partner/v1/coupons/{coupon_id}/redemptions": lambda w: Call(
        "POST", f"/partner/v1/coupons/{w.a_coupon()}/redemptions", {**_cart(), "external_no": _number("R")}
    ),
    "POST /partner/v1/coupons/{coupon_id}/returns": lambda w: Call(
        "POST", f"/partner/v1/coupons/{w.a_coupon(redeemed=True)}/returns", {"refund_id": _number("B")}
    ),
    "POST /partner/v1/rewards/redemptions/{redemption_no}/payments": lambda w: Call(
        "POST",
        f"/partner/v1/rewards/redemptions/{w.a_redemption(cash_fen=1990).redemption_no}/payments",
        {"payment_ref": _number("P"), "paid_fen": 1990},
    ),
    "POST /partner/v1/rewards/redemptions/{redemption_no}/refunds": lambda w: Call(
        "POST",
        f"/partner/v1/rewards/redemptions/{w.a_redemption(cash_fen=1990, paid=True, cancelled=True).redemption_no}/refunds",
        {"refund_id": _number("B")},
    ),
    "POST /partner/v1/rewards/redemptions/{redemption_no}/shipments": lambda w: Call(
        "POST",
        f"/partner/v1/rewards/redemptions/{w.a_redemption().redemption_no}/shipments",
        {"carrier": "顺丰速运", "tracking_no": _number("SF")},
    ),
    "POST /partner/v1/rewards/vouchers/redemptions": lambda w: Call(
        "POST", "/partner/v1/rewards/vouchers/redemptions", {"voucher_code": w.a_redemption(kind=Kind.SERVICE).voucher_code, "store": "S1"}
    ),
    "PUT /partner/v1/stock": lambda w: Call("PUT", "/partner/v1/stock", {"warehouse": "W1", "sku": "SKU-1", "available": 7}),
    "POST /partner/v1/tickets": lambda w: Call(
        "POST", "/partner/v1/tickets", {"member": {"member_id": str(w.owner.member_id)}, "content": "门店转来:外箱破了"}
    ),
    # Those who call us back
    "POST /callbacks/kuaidi100": _parcel_news,
    "GET /callbacks/wechat/mini-program": lambda w: Call("GET", f"/callbacks/wechat/mini-program?{_push_query(w, echostr='42')}"),
    "POST /callbacks/wechat/mini-program": _push,
    "GET /callbacks/wechat/official-account": lambda w: Call(
        "GET", f"/callbacks/wechat/official-account?{_account_query(w, echostr='42')}"
    ),
    "POST /callbacks/wechat/official-account": _followed,
    "POST /callbacks/sms/{provider}/{secret}/reports": lambda w: Call(
        "POST", f"/callbacks/sms/aliyun/{w.core.settings.sms_callback_secret}/reports", [_text_news() | {"success": True}]
    ),
    "POST /callbacks/sms/{provider}/{secret}/replies": lambda w: Call(
        "POST", f"/callbacks/sms/aliyun/{w.core.settings.sms_callback_secret}/replies", [_text_news() | {"content": "谢谢"}]
    ),
    "GET /callbacks/unsubscribe/{token}": lambda w: Call("GET", _order_off(w)),
    "POST /callbacks/unsubscribe/{token}": lambda w: Call("POST", _order_off(w), form={"List-Unsubscribe": "One-Click"}),
}


def operation_of(method: str, rule: str) -> str:
    """Return an operation's name as in ``CALLS``: the method, and the path as OpenAPI writes it."""
    parts = [part.split(":")[-1].rstrip(">") if part.startswith("<") else part for part in rule.split("/")]
    named = [
        "{" + part.strip("<") + "}" if rule_part.startswith("<") else part for part, rule_part in zip(parts, rule.split("/"), strict=True)
    ]
    return f"{method} {'/'.join(named)}"


def operations(app: Flask) -> dict[str, str]:
    """Return every operation of the API and its guard, as the application itself knows them."""
    return {
        operation_of(method, rule.rule): guard_of(app.view_functions[rule.endpoint]) or ""
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/partner/", "/callbacks/", "/files/"))
        for method in sorted((rule.methods or set()) & set(METHODS))
    }


def as_member(client: FlaskClient, call: Call, who: Caller | None) -> TestResponse:
    """Make a call as a member, with a new ``Idempotency-Key`` unless it has one; None is nobody."""
    headers = {"Idempotency-Key": secrets.token_hex(12), **(who.headers if who else {}), **call.headers}
    if call.form is not None:
        return client.open(call.path, method=call.method, data=dict(call.form), headers=headers)
    return client.open(call.path, method=call.method, json=call.json, headers=headers)


def signed_headers(call: Call, body: bytes, key: NewKey, *, stamp: int, nonce: str | None = None) -> dict[str, str]:
    """Return the four headers of a partner's call."""
    nonce = nonce or secrets.token_hex(16)
    signature = signature_of(key.secret, string_to_sign(call.method, call.path, str(stamp), nonce, body))
    return {
        "X-Huiban-Key": key.key_id,
        "X-Huiban-Timestamp": str(stamp),
        "X-Huiban-Nonce": nonce,
        "X-Huiban-Signature": signature,
    }


def body_of(call: Call) -> bytes:
    return b"" if call.json is None else json.dumps(call.json).encode()


def as_partner(client: FlaskClient, call: Call, key: NewKey, *, world: World) -> TestResponse:
    """Make a call as a partner, signed."""
    body = body_of(call)
    headers = {
        "Idempotency-Key": secrets.token_hex(12),
        **signed_headers(call, body, key, stamp=int(world.now.timestamp())),
        **call.headers,
    }
    return client.open(call.path, method=call.method, data=body, content_type="application/json", headers=headers)


def as_itself(client: FlaskClient, operation: str, world: World, guard: str) -> TestResponse:
    """Make an operation's own call as who it is for; a member who waits to be deleted stays after all."""
    call = CALLS[operation](world)
    if guard.startswith("partner"):
        return as_partner(client, call, world.till, world=world)
    if call.leaving:
        world.leave()
    answer = as_member(client, call, world.owner if guard == "member" else None)
    world.stay()
    return answer
