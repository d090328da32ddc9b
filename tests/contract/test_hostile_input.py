"""Input that no honest client sends meets a refusal, on every engine: never a failure, never half a change."""

from __future__ import annotations

import pytest

from tests.contract.test_openapi import prepared

NUL, SURROGATE, HUGE = "a\\u0000b", "\\ud800", "9" * 400
DEEP = "[" * 100_000
ORDER = (
    '{"channel": "till", "external_no": "%(text)s", "member": {"phone": "%(text)s"}, "placed_at": "%(at)s", "payable_fen": %(number)s,'
    ' "lines": [{"sku": "%(text)s", "name": "%(text)s", "quantity": %(number)s, "amount_fen": %(number)s}]}'
)
EVENT = '{"event_id": "%(text)s", "kind": "refunded", "occurred_at": "%(at)s", "refund_fen": %(number)s}'
BODIES = {
    ("POST", "/partner/v1/orders"): ORDER,
    ("POST", "/partner/v1/orders/batch"): '{"orders": [' + ORDER + "]}",
    ("POST", "/partner/v1/orders/till/1/events"): EVENT,
    ("POST", "/partner/v1/members/identify"): '{"card_no": "%(text)s"}',
    ("POST", "/partner/v1/tickets"): '{"member": {"openid": "%(text)s"}, "content": "%(text)s"}',
    ("PUT", "/partner/v1/stock"): '{"warehouse": "%(text)s", "sku": "%(text)s", "available": %(number)s}',
    ("PATCH", "/api/v1/me/profile"): '{"nickname": "%(text)s", "interests": ["%(text)s"]}',
    ("PUT", "/api/v1/me/consents"): '[{"purpose": "%(text)s", "policy_version": "%(text)s", "granted": true}]',
    ("POST", "/api/v1/tickets"): '{"content": "%(text)s", "order_no": "%(text)s"}',
    ("POST", "/api/v1/subscribe-grants"): '{"results": {"%(text)s": "accept"}}',
    ("PUT", "/api/v1/me/notification-preferences"): '{"topics": [{"topic": "%(text)s", "channel": "%(text)s", "allowed": true}]}',
    ("POST", "/api/v1/coupons/quotes"): '{"lines": [{"sku": "%(text)s", "quantity": %(number)s, "unit_price_fen": %(number)s}]}',
    ("POST", "/api/v1/auth/refresh"): '{"refresh_token": "%(text)s"}',
}
VALUES = [
    {"text": text, "number": number, "at": at}
    for text, number, at in (
        (NUL, "1", "2026-01-01T00:00:00Z"),
        (SURROGATE, "1", "2026-01-01T00:00:00Z"),
        ("一二三", HUGE, "2026-01-01T00:00:00Z"),
        ("١٢٣", "NaN", "2026-01-01T00:00:00Z"),
        ("a", "1e400", "2026-01-01T00:00:00Z"),
        ("a", "1", "0001-01-01T00:00:00+14:00"),
        ("a", "1", "9999-12-31T23:59:59-12:00"),
        ("a", "1000000000000", "2026-01-01T00:00:00+23:59"),
        ("😀" * 12, "9007199254740993", "2199-12-31T23:59:59-23:59"),
    )
]
PATHS = (
    "/api/v1/orders/%00",
    "/api/v1/tickets/a%00b",
    "/partner/v1/orders/%00/1",
    "/partner/v1/orders/till/%ed%a0%80",
    "/api/v1/tickets/%ff",
)
QUERIES = (
    "/api/v1/subscribe-templates?moment=%00",
    "/api/v1/messages?cursor=%00",
    "/api/v1/points/entries?limit=" + HUGE,
    "/api/v1/tickets?cursor=٣",
)


@pytest.mark.committing
def test_no_hostile_body_or_address_makes_the_product_fail(core):
    object.__setattr__(core, "settings", core.settings.model_copy(update={"rate_limit": ""}))
    client = prepared(core).test_client()
    failed = []
    for (method, path), template in BODIES.items():
        texts = [template % values for values in VALUES]
        for text in [*texts, DEEP, HUGE, "null", "[]", "[1]", '"a"', "{", "\ufeff{}", ""]:
            answer = client.open(path, method=method, data=text.encode(), content_type="application/json")
            if answer.status_code >= 500:
                failed.append((method, path, text[:160], answer.status_code))
        answer = client.open(path, method=method, data=b'{"a": "\xff\xfe"}', content_type="application/json")
        assert answer.status_code in {400, 422}, (method, path)
    for address in (*PATHS, *QUERIES):
        answer = client.get(address)
        if answer.status_code >= 500:
            failed.append(("GET", address[:80], "", answer.status_code))
    assert not failed, "\n".join(map(str, failed))
