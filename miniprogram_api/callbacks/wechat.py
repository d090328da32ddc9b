"""WeChat's server push for the mini-program: the proof of the address, and events."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, request

from miniprogram_api.auth import verified_by_signature
from miniprogram_api.context import core, now
from miniprogram_api.openapi import documented
from server.flows import wechat_push as flow
from server.kernel.errors import TooLargeError
from server.wechat import push
from server.wechat.push import PushSecrets

bp = APIBlueprint("callback_wechat", __name__, url_prefix="/callbacks/wechat", tag="Callbacks")
_SIGNED = {"signature": "SHA-1 of token, timestamp and nonce", "timestamp": "Unix seconds", "nonce": "any text"}
_TEXT = {"text/plain": {"type": "string"}}


def _secrets() -> PushSecrets:
    settings = core().settings
    return PushSecrets(settings.wechat_appid, settings.wechat_push_token, settings.wechat_push_aes_key)


@bp.get("/mini-program")
@verified_by_signature
@documented(query=_SIGNED | {"echostr": "sent back as it came"}, gives=_TEXT)
def prove_address() -> Response:
    """Answer WeChat's check of this address with the text it sent."""
    return Response(push.verify_address(request.args, _secrets(), now()), content_type="text/plain; charset=utf-8")


@bp.post("/mini-program")
@verified_by_signature
@documented(takes={"application/json": {"type": "object"}, "text/xml": {"type": "string"}}, query=_SIGNED, gives=_TEXT)
def take_push() -> Response:
    """Take one event, in plain or safe mode, JSON or XML; a repetition is answered and changes nothing.

    What follows from it is done by workers: WeChat waits five seconds for the answer.
    """
    if (request.content_length or 0) > push.MAX_BYTES:
        raise TooLargeError
    at = now()
    event = push.read(request.args, request.get_data(cache=False), _secrets(), at)
    settings = core().settings
    credit = settings.grant_source == "event"
    lines = core().lines
    core().db.run(lambda session: flow.take_in(session, event, appid=settings.wechat_appid, credit=credit, now=at, lines=lines))
    return Response("success", content_type="text/plain; charset=utf-8")
