"""WeChat's server push for the Official Account: who follows, who left, and what became of template messages. It is XML."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, abort, request

from miniprogram_api.auth import verified_by_signature
from miniprogram_api.context import core, now
from miniprogram_api.openapi import documented
from server.kernel.errors import TooLargeError
from server.notifications import account_pushes
from server.wechat import push
from server.wechat.push import PushSecrets

bp = APIBlueprint("callback_official_account", __name__, url_prefix="/callbacks/wechat", tag="Callbacks")
_SIGNED = {"signature": "SHA-1 of token, timestamp and nonce", "timestamp": "Unix seconds", "nonce": "any text"}
_TEXT = {"text/plain": {"type": "string"}}


def _secrets() -> PushSecrets:
    settings = core().settings
    if not settings.official_account_appid:
        abort(404)
    return PushSecrets(settings.official_account_appid, settings.official_account_push_token, settings.official_account_push_aes_key)


@bp.get("/official-account")
@verified_by_signature
@documented(query=_SIGNED | {"echostr": "sent back as it came"}, gives=_TEXT)
def prove_address() -> Response:
    """Answer WeChat's check of this address with the text it sent."""
    return Response(push.verify_address(request.args, _secrets(), now()), content_type="text/plain; charset=utf-8")


@bp.post("/official-account")
@verified_by_signature
@documented(takes={"text/xml": {"type": "string"}}, query=_SIGNED, gives=_TEXT)
def take_push() -> Response:
    """Take one event; a repetition is answered and changes nothing."""
    if (request.content_length or 0) > push.MAX_BYTES:
        raise TooLargeError
    found, at = _secrets(), now()
    event = push.read(request.args, request.get_data(cache=False), found, at)
    lines = core().lines
    core().db.run(lambda session: account_pushes.take_in(session, event, appid=found.appid, lines=lines, now=at))
    return Response("success", content_type="text/plain; charset=utf-8")
