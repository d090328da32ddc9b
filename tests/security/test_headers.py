"""The headers of every answer of every route: what is served and what is refused, to members, partners and nobody; staff in ``test_console.py``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.factories.calls import CALLS, as_itself, operations
from tests.factories.world import a_world
from wsgi import create_app

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

pytestmark = [pytest.mark.committing, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

# What may lie in a cache: files of our own that never change under their name, and a picture for its own browser until its address expires.
CACHED = re.compile(r"^/(docs/assets|admin/assets|admin/static)/")
ODD = ("/api/v1/nothing", "/partner/v1/nothing", "/callbacks/nothing", "/nothing", "/api/v1/orders/%00", "/admin/nothing")


def wrong_with(path: str, answer: TestResponse, *, production: bool) -> list[str]:
    headers, found = answer.headers, []
    policy = headers.get("Content-Security-Policy", "")
    inside = {part.strip().split(" ")[0]: part.strip() for part in policy.split(";")}
    if "default-src" not in inside or "unsafe-eval" in policy or "unsafe-inline" in inside.get("script-src", inside["default-src"]):
        found.append(f"policy: {policy}")
    # A picture is put into a sandbox in place of a rule on who frames it.
    if inside.get("frame-ancestors") != "frame-ancestors 'none'" and "sandbox" not in inside:
        found.append(f"framed: {policy}")
    wanted = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"}
    found += [f"{name}: {headers.get(name)}" for name, value in wanted.items() if headers.get(name) != value]
    if not headers.get("X-Request-Id"):
        found.append("no request id")
    cached = headers.get("Cache-Control", "")
    fit = "private" in cached if path.startswith("/files/") and answer.status_code == 200 else cached == "no-store"
    if not fit and not (CACHED.match(path) and answer.status_code in {200, 304}):
        found.append(f"cache: {cached}")
    if production != ("Strict-Transport-Security" in headers):
        found.append("tls")
    if production and "max-age=31536000" not in headers.get("Strict-Transport-Security", ""):
        found.append("tls for too short")
    answer.close()
    return found


@pytest.mark.parametrize("env", ["development", "production"])
def test_every_route_answers_with_the_headers_that_protect_it(core, env):
    object.__setattr__(core, "settings", core.settings.model_copy(update={"env": env}))
    client = create_app(core=core).test_client()
    world, guards = a_world(core), operations(client.application)
    wrong = {}
    for operation in CALLS:
        method, path = operation.split(" ")
        answers = {"as itself": as_itself(client, operation, world, guards[operation])}
        assert answers["as itself"].status_code < 300, operation
        somewhere = re.sub(r"{\w+}", str(world.owner.member_id), path)
        answers |= {"as nobody": client.open(somewhere, method=method), "by no method": client.open(somewhere, method="TRACE")}
        for who, answer in answers.items():
            if found := wrong_with(path, answer, production=env == "production"):
                wrong[operation, who] = found
    bare = [rule.rule for rule in client.application.url_map.iter_rules() if "GET" in rule.methods and "<" not in rule.rule]
    assert {"/livez", "/metrics", "/docs", "/openapi.json", "/admin/login/"} <= set(bare)
    for path in (*bare, *ODD, "/docs/assets/start.js", "/docs/assets/none.js", "/admin/assets/icons.svg"):
        if found := wrong_with(path, client.get(path), production=env == "production"):
            wrong[path] = found
    assert wrong == {}
