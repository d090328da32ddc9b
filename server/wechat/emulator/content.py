"""The platform's content checks and code images over HTTP."""

from __future__ import annotations

import io

import qrcode
import requests
from flask import Flask, Response, abort, jsonify

from server.wechat.emulator import outbound
from server.wechat.emulator.platform import Platform, PlatformError
from server.wechat.emulator.requests import body_of, body_with_token

_FETCH_SECONDS = 5
_MAX_BYTES = 10 * 1024 * 1024


def add_calls(app: Flask, platform: Platform, target: outbound.PushTarget | None = None) -> None:
    """Add the addresses; the answer about a picture is pushed to the target once the picture was fetched."""

    @app.post("/wxa/msg_sec_check")
    def check_text() -> Response:
        return jsonify(platform.check_text(body_with_token(platform)))

    @app.post("/wxa/media_check_async")
    def check_media() -> Response:
        body = body_with_token(platform)
        check = platform.take_media(body)
        if target is not None:
            outbound.later(lambda: _answer(target, platform, check["trace_id"], str(body["openid"]), str(body["media_url"])))
        return jsonify(check)

    @app.post("/_emulator/media-answers")
    def next_media_answer() -> Response:
        platform.media_answers.append(str(body_of().get("suggest") or abort(422)))
        return jsonify(set=True)

    @app.post("/wxa/getwxacodeunlimit")
    def qr_code() -> Response:
        body = body_with_token(platform)
        scene = str(body.get("scene") or "")
        if not 1 <= len(scene) <= 32 or not scene.isascii() or "%" in scene:  # noqa: PLR2004 - the platform's limit
            raise PlatformError(40129, "invalid scene")
        if str(body.get("page") or "").startswith("/"):
            raise PlatformError(41030, "invalid page")
        buffer = io.BytesIO()
        qrcode.make(f"emulator:{body.get('page')}?scene={scene}").save(buffer, "PNG")
        return Response(buffer.getvalue(), content_type="image/png")


def _answer(target: outbound.PushTarget, platform: Platform, trace_id: str, openid: str, url: str) -> None:
    """Fetch a picture as the platform does, and push what was found."""
    try:
        got = requests.get(url, timeout=_FETCH_SECONDS)
        fetched = got.status_code == requests.codes.ok and len(got.content) <= _MAX_BYTES
    except requests.RequestException:
        fetched = False
    suggest = platform.judge_media() if fetched else None
    outbound.deliver(target, outbound.media_event(target, openid, trace_id, suggest))
