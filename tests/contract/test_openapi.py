"""Every operation of the OpenAPI document, called for what it is for and called with generated input: nothing answers what the document does not know."""

from __future__ import annotations

import io
import re
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from server.logistics.kuaidi100 import sign
from server.members import service as members
from server.partners.rules import signature_of, string_to_sign
from server.wechat.push import signature_of as push_signature_of
from tests.factories.calls import CALLS, as_itself, operations
from tests.factories.world import World, a_world
from wsgi import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiflask import APIFlask

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
EXAMPLES = 20
ID_NAME = re.compile(r"(^|_)(id|ids|no)$|^member$")
LOG_OUT = "POST /api/v1/auth/logout"


class Signing:
    """Stands before the application and shows the credentials of a member, a partner or a callback, as a client library would."""

    def __init__(self, app: Callable[..., Any], world: World) -> None:
        self.app, self.world = app, world
        self.token = world.owner.headers["Authorization"]
        self.callbacks = True

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/api/"):
            environ["HTTP_AUTHORIZATION"] = self.token
        elif path.startswith("/partner/"):
            self._sign_as_partner(environ)
        elif path.startswith("/callbacks/") and self.callbacks:
            self._sign_as_caller_back(environ)
        environ.setdefault("HTTP_IDEMPOTENCY_KEY", secrets.token_hex(12))
        return self.app(environ, start_response)

    def _sign_as_partner(self, environ: dict[str, Any]) -> None:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
        stamp, nonce = str(int(self.now())), secrets.token_hex(16)
        environ |= {
            "HTTP_X_HUIBAN_KEY": self.world.till.key_id,
            "HTTP_X_HUIBAN_TIMESTAMP": stamp,
            "HTTP_X_HUIBAN_NONCE": nonce,
            "HTTP_X_HUIBAN_SIGNATURE": signature_of(
                self.world.till.secret, string_to_sign(environ["REQUEST_METHOD"], target, stamp, nonce, body)
            ),
        }

    def _sign_as_caller_back(self, environ: dict[str, Any]) -> None:
        settings = self.world.core.settings
        if environ["PATH_INFO"].endswith("/kuaidi100"):
            form = dict(parse_qsl(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode(errors="replace")))
            body = urlencode({**form, "sign": sign(form.get("param", ""), settings.kuaidi100_salt)}).encode()
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            return
        stamp, nonce = str(int(self.now())), "n"
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        query |= {"timestamp": stamp, "nonce": nonce, "signature": push_signature_of(settings.wechat_push_token, stamp, nonce)}
        environ["QUERY_STRING"] = urlencode(query)

    def now(self) -> float:
        return self.world.now.timestamp()


def prepared(core: Any) -> APIFlask:
    """Give the application behind credentials that may do everything a member, a partner and who calls us back may."""
    return prepared_with(core)[0]


def prepared_with(core: Any) -> tuple[APIFlask, Signing, World]:
    object.__setattr__(core, "settings", core.settings.model_copy(update={"rate_limit": ""}))
    app, world = create_app(core=core), a_world(core)
    signing = Signing(app.wsgi_app, world)
    app.wsgi_app = signing  # type: ignore[method-assign]
    return app, signing, world


def log_in_again(signing: Signing) -> None:
    """Give the owner a new log-in, for a log-out ends the one it is made with and the twenty-first ends the oldest."""
    world = signing.world
    world.stay()
    opened = world.run(lambda s: members.open_session(s, world.owner.member_id, client=None, address=None, now=world.now))
    signing.token = f"Bearer {opened.access_token}"
    world.owner = replace(world.owner, headers={"Authorization": signing.token})


def made_real(case: Any, path: dict[str, str], body: Any) -> None:
    """Put the ids of things that are there into a generated request, in the path and wherever its body names one."""
    if path:
        case.path_parameters = dict(path)
    if isinstance(case.body, dict) and isinstance(body, dict):
        case.body.update({name: value for name, value in body.items() if name in case.body and ID_NAME.search(name)})


def called_as_documented(operation: Any, answer: Any) -> None:
    """Hold the answer of an operation's own call to the document: a success that it names, in the form it gives."""
    documented = operation.definition.raw["responses"]
    assert 200 <= answer.status_code < 300, answer.text[:300]
    assert str(answer.status_code) in documented, answer.status_code
    if answer.mimetype == "application/json":
        operation.validate_response(answer)
    elif answer.status_code != 204:
        assert answer.mimetype in documented[str(answer.status_code)]["content"]


def successes_of(operation: Any, name: str, signing: Signing) -> int:
    """Call an operation with generated input, two times in three on things that are there; return how often it succeeded."""
    call = CALLS[name](signing.world)
    found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/?]+)", operation.path), call.path.split("?")[0])
    succeeded = 0

    @given(case=operation.as_strategy(), real=st.sampled_from((True, True, False)))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case: Any, real: bool) -> None:
        nonlocal succeeded
        signing.callbacks = real
        if name == LOG_OUT:
            log_in_again(signing)
        if real:
            made_real(case, found.groupdict() if found else {}, call.json)
        succeeded += 200 <= case.call_and_validate(checks=CHECKS).status_code < 300

    run()
    return succeeded


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_every_operation_answers_as_documented(core):
    app, signing, world = prepared_with(core)
    plain = create_app(core=core).test_client()
    guards = operations(app)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    began, successes, failures = time.process_time(), {}, []
    for result in schema.get_all_operations():
        operation = result.ok()
        name = f"{operation.method.upper()} {operation.path}"
        log_in_again(signing)
        try:
            # Once for what it is for, so that every operation is seen to succeed; then with whatever can be thought of.
            called_as_documented(operation, as_itself(plain, name, world, guards[name]))
            log_in_again(signing)
            successes[name] = successes_of(operation, name, signing)
        except BaseException as failure:  # noqa: BLE001 - all operations are tried, then all failures are told
            failures.append(f"{name}: {str(failure)[:700]}")
    print(
        f"\n{len(successes)} operations, {sum(successes.values())} generated requests succeeded, {time.process_time() - began:.0f} s of work"
    )
    print("succeeded by their own call alone:", *sorted(name for name, count in successes.items() if not count), sep="\n  ")
    assert not failures, "\n\n".join(failures)
    assert set(successes) == set(CALLS)
