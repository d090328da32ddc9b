"""The platform's content checks and code images over HTTP."""

from __future__ import annotations

import io

import qrcode
from flask import Flask, Response, jsonify

from server.wechat.emulator.platform import Platform, PlatformError
from server.wechat.emulator.requests import body_with_token


def add_calls(app: Flask, platform: Platform) -> None:
    """Add the addresses."""

    @app.post("/wxa/msg_sec_check")
    def check_text() -> Response:
        return jsonify(platform.check_text(body_with_token(platform)))

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
