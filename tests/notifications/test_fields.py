from __future__ import annotations

import dataclasses
import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.notifications import fields
from server.notifications.fields import fitted, shorten
from server.notifications.templates import REGISTRY, BirthdayGreeting, FieldSpec, MessageTemplate, Topic, wechat_data
from server.wechat.emulator.approved import FIELD_RULES, TEMPLATES

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


VALUES = {
    "str": st.one_of(
        st.text(max_size=600), st.text(" \n\u200d🎁👨字a1-", max_size=60), st.sampled_from(["", " ", "\x00", "全是汉字", "🎁" * 40])
    ),
    "int": st.integers(0, 10**15),
    "datetime": st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    "date": st.dates(date(2000, 1, 1), date(2100, 1, 1)),
}


def _values_of(fact: dataclasses.Field[object]) -> st.SearchStrategy[object]:
    # Numbers of our own are there and well-formed, or the message is refused as its caller's mistake.
    if fact.name.endswith("_no") and fact.name != "tracking_no":
        return st.from_regex(r"[A-Z0-9-]{1,40}", fullmatch=True)
    return VALUES[str(fact.type)]


@pytest.mark.requirement("NTF1")
@pytest.mark.parametrize("code", sorted(REGISTRY))
@settings(deadline=None)  # what fits is under test, not how fast this machine is
@given(data=st.data())
def test_whatever_a_message_says_the_platform_takes_it_in_every_field_that_may_carry_it(code: str, data: st.DataObject) -> None:
    template = REGISTRY[code]
    facts = {one.name: data.draw(_values_of(one), label=one.name) for one in dataclasses.fields(template)}
    texts = template(**facts).checked(ZONE)
    for spec in template.specs:
        # A nickname that WeChat's template has as a name, an order number it has as a thing: whatever the brand chose.
        for kind in fields.CARRIERS[spec.kind]:
            value = spec.fitted(f"{kind}1", texts[spec.name])
            assert value
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]", value)
            assert FIELD_RULES[kind](value), (spec.name, kind, value)
    keys = {spec.name: spec.default_key for spec in template.specs}
    assert set(wechat_data(template, keys, texts)) == set(TEMPLATES[template.demo_template_id]["fields"])


def test_pictures_are_left_out_of_a_name_and_a_name_of_pictures_is_a_member() -> None:
    spec = next(spec for spec in BirthdayGreeting.specs if spec.name == "nickname")
    assert spec.fitted("name1", "小满🎁") == "小满"
    assert spec.fitted("name1", "🎁🎂") == "会员"
    assert spec.fitted("thing1", "🎁🎂") == "🎁🎂"


def test_a_date_is_never_made_up() -> None:
    spec = next(spec for spec in BirthdayGreeting.specs if spec.name == "valid_until")
    with pytest.raises(ValueError, match="date"):
        spec.fitted("date1", "soon")
