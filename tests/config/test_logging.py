"""Nothing personal and no secret reaches a log."""

from __future__ import annotations

import pytest

from config.logging import REDACTED, redact, redact_text


@pytest.mark.parametrize(
    "text",
    [
        "call 13800138000 now",
        "+8613800138000",
        "GET /cgi-bin/token?appid=wx1&secret=abcdef0123456789",
        "https://x/?access_token=72_abc&y=1",
        "Authorization: Bearer abcDEF123.-_",
        "openid oABCDEFGHIJKLMNOPQRSTUVWXYZ1 sent",
        "js_code=0a1b2c",
    ],
)
def test_texts_lose_what_is_secret(text):
    cleaned = redact_text(text)
    assert REDACTED in cleaned
    for canary in ("13800138000", "abcdef0123456789", "72_abc", "abcDEF123", "oABCDEFGHIJKLMNOPQRSTUVWXYZ1", "0a1b2c"):
        assert canary not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        'violates check "ck"\nDETAIL:  Failing row contains (1, 李\n四, x).\n[SQL: INSERT]',
        "violates unique\nDETAIL:  Key (nickname)=(李四) already exists.",
        "(1062, \"Duplicate entry '李'四-2' for key 'uq_x'\")",
    ],
)
def test_what_a_database_quotes_of_its_rows_is_dropped_and_its_message_stays(text):
    cleaned = redact_text(text)
    assert "四" not in cleaned
    assert REDACTED in cleaned
    assert "violates" in cleaned or "uq_x" in cleaned
    assert ("[SQL" in cleaned) == ("[SQL" in text)


def test_values_named_like_secrets_are_dropped_at_any_depth():
    cleaned = redact({"a": [{"phone": "1", "receiver_name": "张三"}], "nested": {"refresh_token": "x"}, "count": 3})
    assert cleaned == {"a": [{"phone": REDACTED, "receiver_name": REDACTED}], "nested": {"refresh_token": REDACTED}, "count": 3}


def test_ordinary_numbers_stay():
    assert redact_text("order 2606151234567890123 took 12 ms") == "order 2606151234567890123 took 12 ms"
