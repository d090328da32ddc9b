"""A text that is cut for WeChat reads well: never half a sign, half a number or half a word."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.notifications.fields import ELLIPSIS, fitted, shorten

pytestmark = pytest.mark.requirement("NTF1")

PARTS = st.sampled_from(
    [
        "您好",
        "，",
        "已为您补发",
        "满200减30元",
        " ",
        "SF1234567",
        "1,280.50",
        "¥99.9",
        "New Year",
        "e\u0301",
        "👩‍👧",
        "👍🏽",
        "🇨🇳",
        "❤️",
        "2026-06-15",
        "50%",
        "。",
    ]
)
TEXTS = st.lists(PARTS, min_size=1, max_size=14).map("".join)
# A busy machine is no slow generator.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RUN = re.compile(r"[A-Za-z0-9]")


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("满200减30元优惠券", 20, "满200减30元优惠券"),
        ("满200减30元优惠券", 5, "满200…"),
        ("满200减30元优惠券", 7, "满200减…"),
        ("积分1,280.50已到账", 8, "积分…"),
        ("快递SF1234567890已发出", 10, "快递…"),
        ("SF1234567890", 6, "SF123…"),
        ("祝您New Year快乐每一天", 9, "祝您New…"),
        ("国旗🇨🇳🇨🇳", 5, "国旗🇨🇳…"),
        ("好👩‍👧好好", 4, "好…"),
        ("赞👍🏽啊啊", 3, "赞…"),
        ("价格¥99.9元起售", 5, "价格…"),
        ("您好，已为您补发一件，预计明天送达。", 10, "您好，已为您补发一…"),
    ],
)
def test_cuts_as_a_reader_would_make_them(text: str, limit: int, shown: str) -> None:
    assert shorten(text, limit) == shown


@PATIENT
@given(TEXTS, st.integers(min_value=2, max_value=24))
def test_no_cut_parts_a_sign_a_number_or_a_word(text: str, limit: int) -> None:
    shown = shorten(text, limit)
    assert len(shown) <= limit
    if len(text) <= limit:
        assert shown == text
        return
    assert shown.endswith(ELLIPSIS)
    kept = shown.removesuffix(ELLIPSIS)
    assert text.startswith(kept)
    rest = text[len(kept) :]
    if not kept:
        return
    assert not unicodedata.category(rest[0]).startswith("M")
    assert rest[0] not in "\u200d\ufe0f"
    assert kept[-1] != "\u200d"
    # Only a word that is all that fits is cut.
    if RUN.match(kept[-1]) and RUN.match(rest[0]):
        assert re.fullmatch(r"[\w.,:/¥\- ]+", kept)
        assert " " not in kept.strip()


@PATIENT
@given(TEXTS)
def test_whatever_is_said_fits_the_field_of_words(text: str) -> None:
    try:
        assert 1 <= len(fitted("thing1", text)) <= 20
    except ValueError:
        assert not text.strip()
