"""Generated requests over the whole OpenAPI document: no 500, no answer that the document does not know."""

from __future__ import annotations

import hashlib
import hmac
import io
import secrets
import time

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from server.kernel.actors import SystemActor
from server.members import service as members
from server.partners import service as partners
from wsgi import create_app

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
SCOPES = ("members:read", "orders:write", "points:write", "coupons:write", "tickets:write", "stock:write")


class Signing:
    """Stands before the application and shows the credentials of a member or a partner, as a client library would."""

    def __init__(self, app, token, key, secret):
        self.app, self.token, self.key, self.secret = app, token, key, secret

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path.startswith("/api/"):
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.token}"
        elif path.startswith("/partner/"):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or path
            stamp, nonce = str(int(self.now())), secrets.token_hex(16)
            text = "\n".join([environ["REQUEST_METHOD"], target, stamp, nonce, hashlib.sha256(body).hexdigest()])
            signature = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
            environ |= {
                "HTTP_X_HUIBAN_KEY": self.key,
                "HTTP_X_HUIBAN_TIMESTAMP": stamp,
                "HTTP_X_HUIBAN_NONCE": nonce,
                "HTTP_X_HUIBAN_SIGNATURE": signature,
            }
        environ.setdefault("HTTP_IDEMPOTENCY_KEY", secrets.token_hex(12))
        return self.app(environ, start_response)

    now = staticmethod(time.time)


def prepared(core):
    """Give the application behind credentials that may do everything a member and a partner may."""
    now = core.clock.now()
    with core.db.transaction() as session:
        login = members.login_with_wechat(
            session, appid="wxdemo0000000000", openid="o" + "a" * 27, unionid=None, client=None, address=None, now=now
        )
        key = partners.create(session, "contract", SCOPES, actor=SystemActor("test"), now=now)
    app = create_app(core=core)
    signing = Signing(app.wsgi_app, login.access_token, key.key_id, key.secret)
    signing.now = lambda: now.timestamp()
    app.wsgi_app = signing
    return app


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_every_operation_answers_as_documented(core):
    object.__setattr__(core, "settings", core.settings.model_copy(update={"rate_limit": ""}))
    app = prepared(core)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    tried, failures = 0, []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("auth/logout") or operation.path.startswith("/callbacks/"):
            continue  # a log-out would end the session of all that follows; callbacks prove their sender themselves
        tried += 1

        @given(case=operation.as_strategy())
        @settings(
            max_examples=30,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def run(case):
            case.call_and_validate(checks=CHECKS)

        try:
            run()
        except BaseException as failure:  # noqa: BLE001 - all operations are tried, then all failures are told
            failures.append(f"{operation.method.upper()} {operation.path}: {str(failure)[:700]}")
    print(f"\n{tried} operations tried")
    assert tried > 40
    assert not failures, "\n\n".join(failures)
