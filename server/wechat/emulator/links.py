"""The platform's links into the mini-program over HTTP."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Flask, Response, jsonify

from server.wechat.emulator.platform import Platform, PlatformError
from server.wechat.emulator.requests import body_with_token

_LONGEST_DAYS = 30


def add_calls(app: Flask, platform: Platform) -> None:
    """Add the addresses."""

    @app.post("/wxa/generatescheme")
    def scheme() -> Response:
        body = body_with_token(platform)
        _check(body.get("jump_wxa") or {}, body)
        return jsonify(errcode=0, errmsg="ok", openlink=f"weixin://dl/business/?t={secrets.token_urlsafe(8)}")

    @app.post("/wxa/generate_urllink")
    def url_link() -> Response:
        body = body_with_token(platform)
        _check(body, body)
        return jsonify(errcode=0, errmsg="ok", url_link=f"https://wxaurl.cn/{secrets.token_urlsafe(8)}")


def _check(target: dict[str, Any], expiry: dict[str, Any]) -> None:
    if str(target.get("path") or "").startswith("/"):
        raise PlatformError(40165, "invalid weapp pagepath")
    if expiry.get("expire_type") != 1 or not 1 <= int(expiry.get("expire_interval") or 0) <= _LONGEST_DAYS:
        raise PlatformError(85401, "time limit between 1min and 30days")
