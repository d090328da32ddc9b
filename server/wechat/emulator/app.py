"""The emulated platform over HTTP: the platform's own addresses, and ``/_emulator/`` for whoever plays the person."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, Response, abort, g, jsonify, render_template, request

from server.wechat.emulator import content, links, outbound, sessions, templates, upkeep
from server.wechat.emulator.account import Account, add_account
from server.wechat.emulator.approved import TEMPLATES
from server.wechat.emulator.platform import Fault, Platform, PlatformError
from server.wechat.emulator.requests import body_of, body_with_token

_ZONE = ZoneInfo("Asia/Shanghai")


def create_app(
    platform: Platform,
    target: outbound.PushTarget | None = None,
    account: Account | None = None,
    account_target: outbound.PushTarget | None = None,
) -> Flask:
    """Build the application.

    Arguments:
        platform: rules and memory.
        target: where events are pushed to, or None for none.
        account: the brand's Official Account, or None for none.
        account_target: where its events are pushed to.
    """
    app = Flask(__name__)
    app.jinja_env.filters["clock"] = lambda at: datetime.fromtimestamp(at, _ZONE).strftime("%m-%d %H:%M:%S")

    @app.before_request
    def start() -> tuple[Response, int] | Response | None:
        g.started_at = time.perf_counter()
        g.errcode = 0
        if request.path.startswith("/_emulator") or request.path == "/":
            return None
        fault = platform.fault_for(request.path)
        if fault is None:
            return None
        time.sleep(fault.delay_seconds)
        if fault.status:
            return Response("<html>fault</html>", status=fault.status, content_type="text/html")
        return _refused(platform, PlatformError(fault.errcode, "set by a fault switch")) if fault.errcode is not None else None

    @app.after_request
    def note(response: Response) -> Response:
        if not request.path.startswith("/_emulator") and request.path != "/":
            platform.note(request.path, g.get("errcode", 0), (time.perf_counter() - g.started_at) * 1000)
        return response

    @app.errorhandler(PlatformError)
    def refused(error: PlatformError) -> Response:
        return _refused(platform, error)

    _add_credentials(app, platform, account)
    if account is not None:
        add_account(app, account, account_target)
    _add_calls(app, platform, target)
    content.add_calls(app, platform, target)
    sessions.add_calls(app, platform)
    upkeep.add_calls(app, platform)
    templates.add_calls(app, platform)
    links.add_calls(app, platform)
    _add_person(app, platform, target)
    _add_events(app, target)
    return app


def _refused(platform: Platform, error: PlatformError) -> Response:
    g.errcode = error.errcode
    rid = platform.number(request.path, {"errcode": error.errcode, "errmsg": error.errmsg})
    return jsonify(errcode=error.errcode, errmsg=f"{error.errmsg} rid: {rid}")


def _add_credentials(app: Flask, platform: Platform, account: Account | None) -> None:
    @app.post("/cgi-bin/stable_token")
    def stable_token() -> Response:
        body = body_of()
        force = bool(body.get("force_refresh"))
        asked = account if account is not None and body.get("appid") == account.appid else platform
        return jsonify(asked.stable_token(str(body.get("appid")), str(body.get("secret")), force=force))

    @app.get("/sns/jscode2session")
    def jscode2session() -> Response:
        platform.check_credentials(request.args.get("appid", ""), request.args.get("secret", ""))
        code = platform.trade("login", request.args.get("js_code", ""))
        answer = {"openid": code.value, "session_key": platform.session_key(code.value, fresh=True)}
        if code.unionid:
            answer["unionid"] = code.unionid
        response = jsonify(answer)
        response.content_type = "text/plain"
        return response

    @app.post("/wxa/business/getuserphonenumber")
    def phone_number() -> Response:
        code = platform.trade("phone", str(body_with_token(platform).get("code") or ""))
        national = code.value.removeprefix("+86")
        info = {
            "phoneNumber": national,
            "purePhoneNumber": national,
            "countryCode": 86,
            "watermark": {"timestamp": int(time.time()), "appid": platform.appid},
        }
        return jsonify(errcode=0, errmsg="ok", phone_info=info)


def _add_calls(app: Flask, platform: Platform, target: outbound.PushTarget | None) -> None:
    @app.post("/cgi-bin/message/subscribe/send")
    def send() -> Response:
        message = platform.send(body_with_token(platform))
        if target is not None:
            outbound.deliver_later(target, outbound.sent_event(target, message.openid, message.template_id, message.msg_id))
        return jsonify(errcode=0, errmsg="ok", msgid=int(message.msg_id))


def _add_events(app: Flask, target: outbound.PushTarget | None) -> None:
    @app.post("/_emulator/events")
    def event() -> Response:
        body = _event_body()
        return jsonify(pushed=target is not None and outbound.deliver(target, outbound.event(target, *body)))


def _event_body() -> tuple[str, str, dict[str, Any]]:
    body = body_of()
    fields = body.get("fields") or {}
    if not isinstance(fields, dict):
        abort(422)
    return str(body.get("openid") or abort(422)), str(body.get("event") or abort(422)), fields


def _add_person(app: Flask, platform: Platform, target: outbound.PushTarget | None) -> None:
    @app.post("/_emulator/codes")
    def mint_code() -> Response:
        body = request.get_json(force=True, silent=True) or {}
        code, openid = platform.mint_code(body.get("openid"), body.get("unionid"))
        return jsonify(code=code, openid=openid)

    @app.post("/_emulator/phone-codes")
    def mint_phone_code() -> Response:
        return jsonify(code=platform.mint_phone_code(str(body_of().get("phone") or abort(422))))

    @app.post("/_emulator/popups")
    def popup() -> Response:
        body = body_of()
        openid, template_id = str(body.get("openid") or abort(422)), str(body.get("template_id") or abort(422))
        accept = bool(body.get("accept", True))
        platform.popup(openid, template_id, accept=accept)
        # Waited for: whoever taps wants to see the credit right afterwards.
        pushed = target is not None and outbound.deliver(target, outbound.popup_event(target, openid, template_id, accept=accept))
        return jsonify(granted=accept, pushed=pushed)

    @app.post("/_emulator/tokens/revocation")
    def revoke() -> Response:
        body = request.get_json(force=True, silent=True) or {}
        platform.revoke_tokens(expire=bool(body.get("expire")))
        return jsonify(revoked=True)

    @app.post("/_emulator/faults")
    def add_fault() -> Response:
        body = body_of()
        fault = Fault(
            str(body.get("path") or abort(422)),
            int(body.get("times", 1)),
            body.get("errcode"),
            float(body.get("delay_seconds") or 0),
            body.get("status"),
        )
        platform.faults.append(fault)
        return jsonify(set=True)

    @app.delete("/_emulator/faults")
    def clear_faults() -> Response:
        platform.faults.clear()
        return jsonify(set=False)

    @app.get("/_emulator/messages")
    def messages() -> Response:
        return jsonify(items=platform.messages(request.args.get("openid")))

    @app.get("/_emulator/state")
    def state() -> Response:
        return jsonify(grants=platform.grants(), token_fetches=platform.token_fetches)

    @app.get("/")
    def page() -> str:
        return render_template(
            "emulator.html",
            platform=platform,
            messages=platform.messages()[:60],
            grants=sorted(platform.grants().items())[:40],
            calls=platform.calls[::-1][:40],
            templates=TEMPLATES,
            target=target,
        )
