"""Walks over every page of the console that is installed: permission, headers, inline scripts. New pages are walked too.

Role by rule and CSRF, with things that are there, stand in ``tests/security/test_console.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from admin.base import ENDPOINT_PREFIX, ConsoleView
from admin.readonly import ReadOnlyModelView
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.routing import Rule

OPEN = {"login", "assets"}


def rules(app: Flask) -> list[Rule]:
    return [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/admin/") and not rule.endpoint.endswith(".static")]


def address(rule: Rule) -> str:
    """Return an address of a rule, its parts filled in with an id that nobody has."""
    return re.sub(r"<[^>]+>", str(uuid4()), rule.rule)


def view_of(app: Flask, rule: Rule):
    slug = rule.endpoint.split(".")[0].removeprefix(ENDPOINT_PREFIX)
    return next((view for view in app.extensions["console_views"] if view.slug == slug), None), rule.endpoint.split(".")[1]


def needed(app: Flask, rule: Rule) -> tuple[Permission | None, bool]:
    view, method = view_of(app, rule)
    if isinstance(view, ConsoleView):
        permission, anyone = view.needed(method)
        return permission, anyone or (view.everyone and permission is None)
    assert isinstance(view, ReadOnlyModelView), rule
    return view.permission, False


def test_every_view_names_a_permission_or_says_that_it_is_open(app):
    for view in app.extensions["console_views"]:
        if isinstance(view, ConsoleView) and (view.slug in OPEN or view.everyone):
            continue
        assert view.permission in set(Permission), view.slug


def test_every_change_names_a_permission_of_its_own(app):
    for rule in rules(app):
        view, name = view_of(app, rule)
        if view is None or isinstance(view, ReadOnlyModelView) or "POST" not in rule.methods or view.slug in OPEN or name == "nothing":
            continue
        assert getattr(type(view), name).console_permission in set(Permission), rule.endpoint


@pytest.mark.committing
def test_a_stranger_is_sent_to_the_log_in_and_changes_nothing(app, core):
    client = app.test_client()
    for rule in rules(app):
        view, _ = view_of(app, rule)
        if view is None or view.slug in OPEN:
            continue
        if "GET" in rule.methods:
            answer = client.get(address(rule))
            assert answer.status_code == 302, rule
            assert answer.headers["Location"].startswith("/admin/login/"), rule
        if "POST" in rule.methods:
            assert client.post(address(rule)).status_code in {302, 401, 403}, rule


@pytest.mark.committing
def test_every_answer_carries_the_security_headers_and_no_inline_script(app, signed_in_as):
    client = signed_in_as("operations")
    for rule in [*rules(app)]:
        if "GET" not in rule.methods or rule.endpoint.startswith("console_assets"):
            continue
        answer = client.get(address(rule))
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "script-src 'self' 'nonce-" in policy
        assert answer.headers["Cache-Control"] == "no-store", rule
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        if answer.mimetype == "text/html":
            html = answer.get_data(as_text=True)
            assert not re.search(r"<[a-z][^>]*\son[a-z]+=", html), f"inline handler in {rule}"
            assert not re.search(r"<script(?![^>]*(\bsrc=|\bnonce=))", html), f"inline script in {rule}"
            assert "javascript:" not in html


@pytest.mark.committing
def test_the_two_languages_both_render_every_first_page(app, signed_in_as):
    client = signed_in_as("operations")
    for code, word in (("en", "Workbench"), ("zh", "工作台")):
        assert client.get(f"/admin/language/{code}?next=/admin/").headers["Location"] == "/admin/"
        for view in app.extensions["console_views"]:
            if isinstance(view, ConsoleView) and view.group:
                with app.test_request_context():
                    path = view.url_to("index")
                answer = client.get(path)
                assert answer.status_code in {200, 403}, (view.slug, answer.status_code)
                if view.slug == "workbench":
                    assert word in answer.get_data(as_text=True)


def test_the_language_switch_leads_nowhere_else(app):
    client = app.test_client()
    for evil in ("https://evil.example", "//evil.example/admin", "/\\evil.example", "javascript:alert(1)", "/other"):
        assert client.get("/admin/language/en", query_string={"next": evil}).headers["Location"] == "/admin/"
