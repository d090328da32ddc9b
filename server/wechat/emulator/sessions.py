"""The platform's session keys over HTTP, and what a phone encrypts with one."""

from __future__ import annotations

import time

from flask import Flask, Response, abort, jsonify, request

from server.wechat import open_data
from server.wechat.emulator.platform import Platform
from server.wechat.emulator.requests import body_of


def add_calls(app: Flask, platform: Platform) -> None:
    """Add the addresses."""

    @app.get("/wxa/checksession")
    def check_session() -> Response:
        platform.check_token(request.args.get("access_token", ""))
        platform.check_session_key(request.args.get("openid", ""), request.args.get("signature", ""))
        return jsonify(errcode=0, errmsg="ok")

    @app.get("/wxa/resetusersessionkey")
    def reset_session_key() -> Response:
        platform.check_token(request.args.get("access_token", ""))
        openid = request.args.get("openid", "")
        platform.check_session_key(openid, request.args.get("signature", ""))
        return jsonify(errcode=0, errmsg="ok", openid=openid, session_key=platform.session_key(openid, fresh=True))

    @app.post("/_emulator/encrypted-phones")
    def encrypted_phone() -> Response:
        body = body_of()
        openid, phone = str(body.get("openid") or abort(422)), str(body.get("phone") or abort(422)).removeprefix("+86")
        data = {
            "phoneNumber": phone,
            "purePhoneNumber": phone,
            "countryCode": "86",
            "watermark": {"appid": platform.appid, "timestamp": int(time.time())},
        }
        encrypted, iv = open_data.encrypt(data, platform.session_key(openid))
        return jsonify(encrypted_data=encrypted, iv=iv)
