from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from apiflask import APIFlask
from flask_babel import Babel

from miniprogram_api import problems
from miniprogram_api.partner import members as partner_members
from miniprogram_api.v1 import auth, card, me

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from server.bootstrap import Core
    from tests.fakes.wechat import FakeWeChat


@pytest.fixture
def api(core: Core) -> FlaskClient:
    """Give a client of the member and partner pages that this folder tests, without the rest of the application."""
    app = APIFlask("api", json_errors=False)
    app.extensions["huiban"] = core
    Babel(app, default_locale="en")
    problems.init_app(app)
    for module in (auth, me, card, partner_members):
        app.register_blueprint(module.bp)
    app.testing = True
    return app.test_client()


@dataclass
class Phone:
    """A member's phone with the mini-program on it."""

    client: Any
    access_token: str
    refresh_token: str
    member_id: str
    is_new: bool

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(path, method=method, json=body, headers={"Authorization": f"Bearer {self.access_token}", **named})

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json


@pytest.fixture
def log_in(api: FlaskClient, wechat: FakeWeChat):
    """Give a function that logs an openid in."""

    def log_in(openid: str = "o-first", **more: Any) -> Phone:
        answer = api.post("/api/v1/auth/wechat", json={"code": wechat.code_for(openid), **more})
        assert answer.status_code == 200, answer.text
        body = answer.json
        return Phone(api, body["access_token"], body["refresh_token"], body["member"]["id"], body["member"]["is_new"])

    return log_in
