"""What those who run the product look at: health, metrics, documentation; and failures that tell a caller nothing but their id."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import RequestTimeout

from miniprogram_api.problems import problem_of
from server.kernel.db import Database
from server.kernel.errors import InvalidError
from wsgi import create_app

ROOT = Path(__file__).parents[2]


class DeadlockDetected(Exception):
    sqlstate = "40P01"


class DiskFull(Exception):
    sqlstate = "53100"


@pytest.fixture
def application(core):
    return create_app(core=core)


def test_the_process_says_that_it_lives_and_that_its_database_answers(application):
    client = application.test_client()
    assert client.get("/livez").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ok", "database": "ok"}


def test_without_its_database_a_process_lives_but_is_not_ready(core):
    dead = sa.create_engine("sqlite:////nowhere/at/all/huiban.db")
    without = create_app(core=replace(core, db=Database(dead, core.db.vault, core.db.zone)))
    client = without.test_client()
    assert client.get("/livez").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"status": "unavailable", "database": "unreachable"})


def test_metrics_tell_routes_and_never_paths_and_how_the_outbox_stands(application):
    client = application.test_client()
    secret_path = "/api/v1/orders/20260601000017"
    assert client.get(secret_path).status_code == 401
    text = client.get("/metrics").text
    assert 'route="/api/v1/orders/<order_no>"' in text
    assert "20260601000017" not in text
    for state in ("pending", "dispatched", "dead", "uncertain"):
        assert f'huiban_outbox_deliveries{{state="{state}"}} 0.0' in text
    assert "huiban_outbox_oldest_pending_seconds 0.0" in text


def test_the_documentation_is_served_from_here_and_loads_nothing_from_elsewhere(application):
    client = application.test_client()
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    script = client.get("/docs/assets/swagger-ui-bundle.js")
    assert script.status_code == 200
    assert "max-age" in script.headers["Cache-Control"]
    script.close()
    assert client.get("/docs/assets/../openapi.py").status_code == 404
    assert client.get("/").headers["Location"] == "/admin/"
    assert client.get("/favicon.ico").status_code == 302


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (RuntimeError("the secret of 13800138000"), 500, "internal_error"),
        (OperationalError("SELECT 1", {}, DeadlockDetected()), 503, "unavailable"),
        (OperationalError("SELECT 1", {}, DiskFull()), 500, "internal_error"),
        (RecursionError(), 500, "internal_error"),
        (RequestTimeout(), 408, "request_timeout"),
    ],
    ids=("bug", "deadlock", "disk", "recursion", "other"),
)
def test_a_failure_answers_with_a_problem_that_tells_only_its_id(application, monkeypatch, raised, status, code):
    def broken(**_path):
        raise raised

    # A route of the product fails, whichever guard it has.
    monkeypatch.setitem(application.view_functions, "v1_tiers.tiers", broken)
    application.testing = False
    application.config["PROPAGATE_EXCEPTIONS"] = False
    answer = application.test_client().get("/api/v1/tiers", headers={"X-Request-Id": "abcdef123456", "Accept-Language": "en"})
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.json["code"] == code
    assert answer.json["request_id"] == "abcdef123456"
    assert "13800138000" not in answer.text
    assert "SELECT" not in answer.text


def test_json_nested_beyond_reason_is_malformed_not_a_failure(application):
    deep = "[" * 200_000
    answer = application.test_client().post("/api/v1/auth/wechat", data=deep, content_type="application/json")
    assert answer.status_code in {400, 422}
    assert answer.json["code"] in {"malformed", "invalid"}


def test_an_address_with_nul_does_not_exist(application):
    answer = application.test_client().get("/api/v1/orders?stage=%00")
    assert answer.status_code == 404


def test_the_metrics_of_every_web_process_are_added_up(settings, tmp_path):
    (tmp_path / "metrics").mkdir()
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "HUIBAN_DATABASE_URL": settings.resolved_database_url,
        "HUIBAN_DATA_DIR": str(settings.data_dir),
        "HUIBAN_LOG_LEVEL": "ERROR",
    }
    program = (
        "from wsgi import create_app\n"
        "client = create_app().test_client()\n"
        "for _ in range(3): client.get('/livez')\n"
        "print(client.get('/metrics').text)\n"
    )
    told = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for _ in range(2)
    ]
    for number, text in enumerate(told, start=1):
        assert f'huiban_http_requests_total{{method="GET",route="/livez",status="200"}} {3.0 * number}' in text
        assert 'huiban_outbox_deliveries{state="pending"} 0.0' in text


def test_what_is_wrong_with_a_field_is_told_in_the_readers_language(core):
    app = create_app(core=core)
    for language, text in (("zh-CN", "券模板编码创建后不能修改。"), ("en", "The code of a template never changes.")):
        with app.test_request_context(headers={"Accept-Language": language}):
            answer = problem_of(InvalidError(fields={"code": "The code of a template never changes.", "days": "1–3650", "odd": "100 %"}))
        assert {each["field"]: each["message"] for each in answer.json["errors"]} == {"code": text, "days": "1–3650", "odd": "100 %"}
