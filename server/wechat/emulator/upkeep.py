"""The platform's quotas and its memory of requests over HTTP."""

from __future__ import annotations

import json

from flask import Flask, Response, jsonify, request

from server.wechat.emulator.platform import Platform, PlatformError
from server.wechat.emulator.requests import body_with_token

_DAILY = 10_000_000


def add_calls(app: Flask, platform: Platform) -> None:
    """Add the addresses."""

    @app.post("/cgi-bin/openapi/quota/get")
    def quota() -> Response:
        path = str(body_with_token(platform).get("cgi_path") or "")
        if not any(rule.rule == path for rule in app.url_map.iter_rules()) or path.startswith("/_emulator"):
            raise PlatformError(76021, "cgi_path not found, please check")
        used = platform.used[path]
        day = {"daily_limit": _DAILY, "used": used, "remain": _DAILY - used}
        return jsonify(errcode=0, errmsg="ok", quota=day, rate_limit={"call_count": 6000, "refresh_second": 60})

    @app.post("/cgi-bin/clear_quota/v2")
    def clear_quota() -> Response:
        platform.check_credentials(request.args.get("appid", ""), request.args.get("appsecret", ""))
        platform.clear_quota()
        return jsonify(errcode=0, errmsg="ok")

    @app.post("/cgi-bin/openapi/rid/get")
    def request_record() -> Response:
        found = platform.requests.get(str(body_with_token(platform).get("rid") or ""))
        if found is None:
            raise PlatformError(76001, "rid not found")
        # As the real one, it quotes the whole address with the token.
        told = {
            "invoke_time": int(found.at),
            "cost_in_ms": found.milliseconds,
            "request_url": f"https://api.weixin.qq.com{found.path}?access_token={request.args['access_token']}",
            "request_body": "",
            "response_body": json.dumps(found.answer),
            "client_ip": "127.0.0.1",
        }
        return jsonify(errcode=0, errmsg="ok", request=told)
