"""The home page before Flask is the one that Flask gives, and only the good answer is given there."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from miniprogram_api import operation
from miniprogram_api.hot import home as hot_home
from server.members.models import Member
from wsgi import create_app

TOO_OFTEN, NOT_LET_IN = 429, 401


@pytest.fixture
def both_ways(core):
    """Give a client that is answered before Flask, and one that is never."""
    app = create_app(core=core)
    before, after = app.test_client(), create_app(core=core)
    after.wsgi_app = after.wsgi_app._wsgi
    return before, after.test_client()


def test_both_ways_give_the_same_answer_and_the_same_headers(core, log_in, both_ways):
    headers = {"Authorization": f"bearer  {log_in().access_token}", "X-Request-Id": "abcdef-123"}
    with core.db.transaction() as session:
        session.execute(sa.update(Member).values(nickname="小满", status="frozen"))
    counted = operation.REQUESTS.labels("/api/v1/me", "GET", 200)._value
    start = counted.get()
    seen = []

    def watch(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    event.listen(core.db.engine, "before_cursor_execute", watch)
    first = both_ways[0].get("/api/v1/me", headers=headers)
    event.remove(core.db.engine, "before_cursor_execute", watch)
    assert len(seen) == 1, "guard and page in one statement"
    second = both_ways[1].get("/api/v1/me", headers=headers)
    assert counted.get() == start + 2
    assert first.status_code == 200
    assert first.data == second.data
    assert sorted(first.headers) == sorted(second.headers)


def test_whoever_is_not_let_in_gets_the_refusal_of_flask(core, log_in, both_ways, clock):
    token = log_in().access_token
    for shown in ("", "Bearer", "Basic abc", f"Bearer {token}x"):
        answers = [client.get("/api/v1/me", headers={"Authorization": shown}) for client in both_ways]
        assert [(answer.status_code, answer.json["code"]) for answer in answers] == [(NOT_LET_IN, "token_invalid")] * 2
    clock.move(timedelta(hours=3))
    assert both_ways[0].get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == NOT_LET_IN


def test_good_answers_count_towards_the_rate_once(core, log_in):
    object.__setattr__(core, "settings", core.settings.model_copy(update={"rate_limit": "3 per minute"}))
    client, headers = create_app(core=core).test_client(), {"Authorization": f"Bearer {log_in().access_token}"}
    assert [client.get("/api/v1/me", headers=headers).status_code for _ in range(5)] == [200, 200, 200, TOO_OFTEN, TOO_OFTEN]


def test_a_failure_is_told_and_recorded_by_flask(core, log_in, both_ways, monkeypatch):
    def broken(*_given, **_named):
        raise RuntimeError

    monkeypatch.setattr(hot_home.home_flow, "of_token", broken)
    assert both_ways[0].get("/api/v1/me", headers={"Authorization": f"Bearer {log_in().access_token}"}).status_code == 200
