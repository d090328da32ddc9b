"""Providers of text messages report what became of them, and what people answered.

Neither provider signs these calls, so their address holds a secret of ours, compared in constant time before anything is read.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from types import ModuleType

from apiflask import APIBlueprint
from flask import Response, abort, request
from sqlalchemy.orm import Session

from miniprogram_api.auth import verified_by_signature
from miniprogram_api.context import core, now
from miniprogram_api.openapi import documented
from server.kernel.errors import TooLargeError
from server.notifications import routing, unsubscribing
from server.sms import aliyun, tencent
from server.sms.errors import SmsCallbackRefusedError

bp = APIBlueprint("callback_sms", __name__, url_prefix="/callbacks/sms", tag="Callbacks")

MAX_BYTES = 256 * 1024
_TAKES = {"application/json": {"type": "array", "items": {"type": "object"}}}
_GIVES = {"application/json": {"type": "object"}}
# What each provider wants to read, or it repeats the call.
_ADAPTERS: dict[str, tuple[ModuleType, bytes]] = {
    aliyun.NAME: (aliyun, b'{"code":0,"msg":"ok"}'),
    tencent.NAME: (tencent, b'{"result":0,"errmsg":"OK"}'),
}


@bp.post("/<provider>/<secret>/reports")
@verified_by_signature
@documented(takes=_TAKES, gives=_GIVES)
def reports(provider: str, secret: str) -> Response:
    """Take delivery reports; a repetition is answered and changes nothing."""
    adapter, answer = _checked(provider, secret)
    found, lines, at = adapter.reports(_body()), core().lines, now()

    def work(session: Session) -> None:
        for one in found:
            routing.receive(session, provider, one.message_id, one.error_code, occurred_at=one.occurred_at, lines=lines, now=at)

    return _done(work, answer)


@bp.post("/<provider>/<secret>/replies")
@verified_by_signature
@documented(takes=_TAKES, gives=_GIVES)
def replies(provider: str, secret: str) -> Response:
    """Take what people answered: a word that asks for it ends their text messages. The texts are not kept."""
    adapter, answer = _checked(provider, secret)
    found, at = adapter.replies(_body()), now()

    def work(session: Session) -> None:
        for one in found:
            unsubscribing.from_text(session, one.phone, one.text, now=at)

    return _done(work, answer)


def _checked(provider: str, secret: str) -> tuple[ModuleType, bytes]:
    if not hmac.compare_digest(secret.encode(), core().settings.sms_callback_secret.encode()):
        raise SmsCallbackRefusedError
    found = _ADAPTERS.get(provider)
    if found is None:
        abort(404)
    return found


def _body() -> bytes:
    if (request.content_length or 0) > MAX_BYTES:
        raise TooLargeError
    return request.get_data(cache=False)


def _done(work: Callable[[Session], None], answer: bytes) -> Response:
    core().db.run(work)
    return Response(answer, content_type="application/json")
