"""Fixtures for tests of the console: members of staff, signed in as a browser would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyotp
import pytest

from server.kernel.actors import SystemActor
from server.staff import login, service
from server.staff.demo import DEMO_ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from server.bootstrap import Core

SECRETS = {account.role: account for account in DEMO_ACCOUNTS}
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def token_of(client: FlaskClient, path: str = "/admin/login/") -> str:
    found = TOKEN.search(client.get(path).get_data(as_text=True))
    assert found, f"no CSRF token on {path}"
    return found.group(1)


def open_account(core: Core, role: str) -> None:
    account = SECRETS[role]

    def work(session):
        staff_id = service.create(
            session,
            email=account.email,
            name=account.name,
            password=account.password,
            roles=[role],
            actor=SystemActor("tests"),
            reason="tests",
            now=core.clock.now(),
        )
        login.set_known_secret(session, staff_id, account.totp_secret, now=core.clock.now())
        return staff_id

    core.db.run(work)


def sign_in(client: FlaskClient, core: Core, role: str) -> FlaskClient:
    account = SECRETS[role]
    answer = client.post("/admin/login/", data={"email": account.email, "password": account.password, "csrf_token": token_of(client)})
    assert answer.status_code == 302, answer.get_data(as_text=True)[:2000]
    code = pyotp.TOTP(account.totp_secret).at(core.clock.now())
    answer = client.post("/admin/login/code", data={"code": code, "csrf_token": token_of(client, "/admin/login/code")})
    assert answer.status_code == 302, answer.get_data(as_text=True)[:2000]
    return client


@pytest.fixture
def app(core: Core):
    from wsgi import create_app

    app = create_app(core=core)
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.fixture
def signed_in_as(app, core: Core) -> Callable[[str], FlaskClient]:
    def enter(role: str) -> FlaskClient:
        open_account(core, role)
        return sign_in(app.test_client(), core, role)

    return enter
