"""Every way in is guarded, every topic has a reader, every text has a translation."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from config.locale import parts, read_parts
from miniprogram_api.auth import guard_of
from wsgi import create_app

ROOT = Path(__file__).parents[2]
SOURCES = ("server", "admin", "miniprogram_api", "tasks", "config")


def is_api(rule) -> bool:
    return rule.rule.startswith(("/api/", "/partner/", "/callbacks/"))


def test_every_route_of_the_api_carries_a_guard(core):
    app = create_app(core=core)
    bare = [rule.rule for rule in app.url_map.iter_rules() if is_api(rule) and guard_of(app.view_functions[rule.endpoint]) is None]
    assert bare == []


def test_only_these_routes_are_public(core):
    app = create_app(core=core)
    public = {rule.rule for rule in app.url_map.iter_rules() if is_api(rule) and guard_of(app.view_functions[rule.endpoint]) == "public"}
    assert public == {"/api/v1/auth/wechat", "/api/v1/auth/refresh"}


def test_every_partner_route_names_its_scope(core):
    app = create_app(core=core)
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/partner/"):
            assert re.fullmatch(r"partner:\w+:\w+", guard_of(app.view_functions[rule.endpoint]) or ""), rule.rule


def test_a_member_route_refuses_who_is_nobody(core):
    app = create_app(core=core)
    app.testing = True
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if is_api(rule) and guard_of(app.view_functions[rule.endpoint]) == "member":
            path = re.sub(r"<(?:uuid:)[^>]+>", "00000000-0000-7000-8000-000000000000", rule.rule)
            path = re.sub(r"<[^>]+>", "1", path)
            for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
                answer = client.open(path, method=method)
                assert answer.status_code == 401, f"{method} {path}"
                assert answer.json["code"] == "token_invalid"


def test_every_published_topic_has_a_subscription_or_a_reason():
    from tasks.subscriptions import SUBSCRIPTIONS, UNHEARD

    topics = set()
    for path in (ROOT / "server").rglob("events.py"):
        for node in ast.parse(path.read_text()).body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and re.fullmatch(r"[a-z_]+\.[a-z_]+", value.value):
                topics.add(value.value)
    assert topics
    silent = topics - set(SUBSCRIPTIONS) - set(UNHEARD)
    assert silent == set()
    assert not set(SUBSCRIPTIONS) & set(UNHEARD)


def messages() -> set[str]:
    found = set()
    keywords = {"gettext": None, "_": None, "N_": None, "L_": None, "lazy_gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
    for part in SOURCES:
        for _file, _line, message, _comments, _context in extract_from_dir(
            ROOT / part, method_map=[("**/templates/**.html", "jinja2"), ("**.py", "python")], keywords=keywords
        ):
            # A catalogue holds singular and plural as one message, under the singular.
            found.add(message[0] if isinstance(message, tuple) else message)
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    for inner in node.body:
                        named = (
                            isinstance(inner, (ast.Assign, ast.AnnAssign)) and "message" in ast.unparse(inner).split("=")[0].split(":")[0]
                        )
                        if named and isinstance(inner.value, ast.Constant) and isinstance(inner.value.value, str):
                            found.add(inner.value.value)
    return {message for message in found if message}


def test_every_text_is_english_in_the_code_and_has_its_chinese():
    catalogue = read_parts()
    texts = messages()
    chinese = sorted(text for text in texts if re.search(r"[\u4e00-\u9fff]", text))
    assert chinese == []
    missing = sorted(text for text in texts if catalogue.get(text) is None)
    assert missing == []


def test_a_translation_keeps_the_places_of_its_message():
    for message in read_parts():
        if isinstance(message.id, str) and message.id:
            places = re.findall(r"%\(\w+\)[sd]", message.id)
            assert sorted(places) == sorted(re.findall(r"%\(\w+\)[sd]", str(message.string))), message.id


@pytest.mark.parametrize("word", ["consume", "deduct"])
def test_banned_words_name_nothing(word):
    for part in SOURCES:
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                name = getattr(node, "name", None)
                assert not (isinstance(name, str) and word in name.lower()), f"{path}: {name}"


def test_a_message_has_one_chinese_text():
    texts: dict[str, set[str]] = {}
    for part in parts():
        with part.open("rb") as file:
            for message in read_po(file, locale="zh_CN"):
                if isinstance(message.id, str) and message.id and message.string:
                    texts.setdefault(message.id, set()).add(str(message.string))
    assert {message: found for message, found in texts.items() if len(found) > 1} == {}
