from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.notifications import fields
from server.notifications.fields import fitted, shorten
from server.notifications.templates import REGISTRY, FieldSpec, MessageTemplate, Topic, wechat_data
from server.wechat.emulator.platform import FIELD_RULES, TEMPLATES

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.requirement("NTF1")
@pytest.mark.parametrize("code", sorted(REGISTRY))
def test_every_message_passes_the_platforms_checks(code: str) -> None:
    template = REGISTRY[code]
    keys = {spec.name: spec.default_key for spec in template.specs}
    data = wechat_data(template, keys, template.sample().checked(ZONE))
    assert set(data) == set(TEMPLATES[template.demo_template_id]["fields"])
    for key, value in data.items():
        assert FIELD_RULES[key.rstrip("0123456789")](value), (key, value)
    parameters = {spec.name: "x" for spec in template.specs}
    assert template.body % parameters
    assert template.page.format_map(parameters)


@given(st.text())
def test_a_thing_always_fits_once_it_says_anything(text: str) -> None:
    cleaned = fields.clean(text)
    if not cleaned:
        with pytest.raises(ValueError):
            fitted("thing1", text)
        return
    value = fitted("thing1", text)
    assert 1 <= len(value) <= 20
    assert not any(ord(char) < 32 for char in value)


def test_a_cut_shows_and_never_splits_a_joined_sign() -> None:
    assert shorten("一二三四五六七八九十", 10) == "一二三四五六七八九十"
    assert shorten("一二三四五六七八九十甲", 10) == "一二三四五六七八九…"
    family = "👨\u200d👩\u200d👧"
    assert shorten("一二三四五六" + family + "尾巴", 10) == "一二三四五六…"
    assert shorten("一二三四五六七八e\u0301再说", 10) == "一二三四五六七八…"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("name1", "欧阳娜娜·迪丽热巴·马", "欧阳娜娜·迪丽热巴…"),
        ("name1", "Bartholomew Fitzgerald", "Bartholomew Fitzgera"),
        ("character_string1", "订单 A-1 号", "A-1"),
        ("thing1", "第一行\n第二行\t尾", "第一行 第二行 尾"),
        ("phrase1", "已经发货了呀", "已经发货…"),
        ("number1", "12.5", "12.5"),
        ("amount1", "¥12.50元", "¥12.50元"),
        ("time1", "2026年06月15日 12:00", "2026年06月15日 12:00"),
        ("date1", "2026-06-15", "2026-06-15"),
        ("letter1", "abc", "abc"),
    ],
)
def test_texts_are_made_to_fit(key: str, text: str, value: str) -> None:
    assert fitted(key, text) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("number1", "12a"),
        ("amount1", "12,50"),
        ("time1", "明天"),
        ("date1", "2026年6月"),
        ("phrase1", "ok"),
        ("letter1", "字"),
        ("character_string1", "全是汉字"),
        ("symbol1", "!!!!!!"),
        ("phone_number1", "电话"),
        ("car_number1", "京A123456789"),
        ("unknown1", "x"),
        ("thing", "x"),
    ],
)
def test_what_cannot_fit_is_refused(key: str, text: str) -> None:
    with pytest.raises(ValueError):
        fitted(key, text)


def test_instants_are_told_on_the_shops_clock() -> None:
    assert fields.moment(datetime(2026, 6, 15, 16, 30, tzinfo=UTC), ZONE) == "2026年06月16日 00:30"
    assert fields.day(date(2026, 1, 2)) == "2026年01月02日"


def test_a_malformed_template_stops_the_import() -> None:
    with pytest.raises(TypeError):

        class _Broken(MessageTemplate):
            code = "broken"
            topic = Topic.SERVICE
            specs = (FieldSpec("a", "number", "A", "phrase1"),)

    assert "broken" not in REGISTRY
