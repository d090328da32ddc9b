"""Callers who knock too often are told when to come again."""

from __future__ import annotations

import pytest

from wsgi import create_app


@pytest.fixture
def limited(core):
    object.__setattr__(
        core, "settings", core.settings.model_copy(update={"rate_limit": "3 per minute", "login_rate_limit": "2 per minute"})
    )
    app = create_app(core=core)
    app.testing = True
    return app.test_client()


def test_a_caller_is_refused_with_the_time_to_wait_and_another_caller_is_not(limited):
    def ask(token):
        return limited.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})

    assert [ask("one").status_code for _ in range(3)] == [401, 401, 401]
    refused = ask("one")
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) > 0
    assert ask("two").status_code == 401


def test_log_ins_have_a_rate_of_their_own(limited):
    codes = [limited.post("/api/v1/auth/wechat", json={}).status_code for _ in range(3)]
    assert codes == [422, 422, 429]


def test_health_is_never_refused(limited):
    assert {limited.get("/livez").status_code for _ in range(10)} == {200}
