"""The emulated Official Account: its followers, its template messages by the platform's field rules, its own token and push.

It is an app of its own beside the mini-program. What the stand-ins for text messages and e-mail took in is shown on its page as well.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import requests
from flask import Flask, Response, abort, jsonify, render_template, request

from server.wechat import push
from server.wechat.emulator.approved import FIELD_RULES
from server.wechat.emulator.outbound import PushTarget
from server.wechat.emulator.platform import Platform, PlatformError
from server.wechat.emulator.requests import body_of

_FIELD_CHARS = 20
_DEDUPLICATED_SECONDS = 600
_KEPT_MESSAGES = 200
_MOST_INFOS = 100
_SHOWN_LINES = 60
_TAIL_BYTES = 200_000


@dataclass
class _Memory:
    followers: dict[str, str] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    sequence: int = 0


class Account(Platform):
    """The emulated account.

    Arguments:
        appid, secret: what callers must show.
        folder: where the memory is kept over restarts, or None.
        outbound: the folder of the stand-ins for text messages and e-mail, or None.
        demo: openid → unionid of those who follow from the beginning.
    """

    def __init__(
        self, appid: str, secret: str, *, folder: Path | None = None, outbound: Path | None = None, demo: dict[str, str] | None = None
    ) -> None:
        super().__init__(appid, secret)
        self._guard = threading.RLock()
        self._place = folder / "official-account.json" if folder else None
        self._outbound = outbound
        self._recent: dict[str, tuple[float, str]] = {}
        kept = self._place is not None and self._place.exists()
        self.memory = _Memory(**json.loads(self._place.read_text(encoding="utf-8"))) if self._place and kept else _Memory(dict(demo or {}))

    def _keep(self) -> None:
        if self._place is not None:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            draft = self._place.with_suffix(".new")
            draft.write_text(json.dumps(asdict(self.memory), ensure_ascii=False), encoding="utf-8")
            draft.replace(self._place)

    def follow(self, openid: str | None, unionid: str) -> str:
        """Let somebody follow the account; returns their openid."""
        with self._guard:
            openid = openid or "oa" + secrets.token_urlsafe(20)[:26]
            self.memory.followers[openid] = unionid
            self._keep()
            return openid

    def leave(self, openid: str) -> None:
        """Let somebody leave."""
        with self._guard:
            self.memory.followers.pop(openid, None)
            self._keep()

    def take(self, body: dict[str, Any]) -> tuple[str, bool]:
        """Take in a template message; returns its number, and False when it was sent under this number of the caller's before."""
        with self._guard:
            openid, client_id = str(body.get("touser") or ""), str(body.get("client_msg_id") or "")
            known = self._recent.get(f"{openid}|{client_id}") if client_id else None
            if known is not None and time.time() - known[0] < _DEDUPLICATED_SECONDS:
                return known[1], False
            if openid not in self.memory.followers:
                raise PlatformError(43004, "require subscribe")
            if not str(body.get("template_id") or ""):
                raise PlatformError(40037, "invalid template_id")
            fields = self._fields(body.get("data") or {})
            self.memory.sequence += 1
            msg_id = str(2_000_000_000_000_000_000 + self.memory.sequence)
            message = {"msg_id": msg_id, "openid": openid, "template_id": body["template_id"], "fields": fields, "at": time.time()}
            self.memory.messages.append(message)
            del self.memory.messages[:-_KEPT_MESSAGES]
            if client_id:
                self._recent[f"{openid}|{client_id}"] = (time.time(), msg_id)
            self._keep()
            return msg_id, True

    @staticmethod
    def _fields(data: dict[str, Any]) -> dict[str, str]:
        if not isinstance(data, dict) or not data:
            raise PlatformError(47003, "argument invalid! data")
        found = {}
        for name, holder in data.items():
            value = holder.get("value") if isinstance(holder, dict) else None
            rule = FIELD_RULES.get(str(name).rstrip("0123456789"))
            if not isinstance(value, str) or not value or "\n" in value or len(value) > _FIELD_CHARS or rule is None or not rule(value):
                raise PlatformError(47003, f"argument invalid! data.{name}.value invalid rid: em-{secrets.token_hex(4)}")
            found[str(name)] = value
        return found

    def outbound(self, name: str) -> list[dict[str, Any]]:
        """Return what a stand-in took in, newest first."""
        path = self._outbound / f"{name}.jsonl" if self._outbound else None
        if path is None or not path.exists():
            return []
        with path.open("rb") as lines:
            lines.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            tail = lines.read().decode("utf-8", errors="ignore").splitlines()
        found = []
        for line in tail[-_SHOWN_LINES:]:
            try:
                found.append(json.loads(line))
            except ValueError:
                # The first line of a tail is cut, and the last one may be being written.
                continue
        return found[::-1]


def add_account(app: Flask, account: Account, target: PushTarget | None) -> None:
    """Add the account's addresses to the emulator.

    Arguments:
        app: the emulator's.
        account: rules and memory.
        target: where its events are pushed to, or None for none.
    """

    def body_with_account_token() -> dict[str, Any]:
        account.check_token(request.args.get("access_token", ""))
        return body_of()

    @app.post("/cgi-bin/message/template/send")
    def send_template() -> Response:
        body = body_with_account_token()
        msg_id, is_new = account.take(body)
        if target is not None and is_new:
            finished = {"MsgID": msg_id, "Status": "success"}
            _later(target, _event(target, str(body["touser"]), "TEMPLATESENDJOBFINISH", finished))
        return jsonify(errcode=0, errmsg="ok", msgid=int(msg_id))

    @app.get("/cgi-bin/user/get")
    def followers() -> Response:
        account.check_token(request.args.get("access_token", ""))
        after = request.args.get("next_openid", "")
        found = [openid for openid in sorted(account.memory.followers) if openid > after][:10_000]
        answer: dict[str, Any] = {"total": len(account.memory.followers), "count": len(found), "next_openid": found[-1] if found else ""}
        return jsonify(answer | ({"data": {"openid": found}} if found else {}))

    @app.post("/cgi-bin/user/info/batchget")
    def infos() -> Response:
        wanted = body_with_account_token().get("user_list") or []
        if not 1 <= len(wanted) <= _MOST_INFOS:
            raise PlatformError(40032, "invalid openid list size")
        known = account.memory.followers
        entries = [
            {"openid": one["openid"], "subscribe": 1, "unionid": known[one["openid"]]}
            if one["openid"] in known
            else {"openid": one["openid"], "subscribe": 0}
            for one in wanted
        ]
        return jsonify(user_info_list=entries)

    @app.post("/_emulator/followers")
    def follow() -> Response:
        body = body_of()
        openid = account.follow(body.get("openid"), str(body.get("unionid") or abort(422)))
        pushed = target is not None and _deliver(target, _event(target, openid, "subscribe", {"EventKey": ""}))
        return jsonify(openid=openid, pushed=pushed)

    @app.post("/_emulator/followers/leaving")
    def leave() -> Response:
        openid = str(body_of().get("openid") or abort(422))
        account.leave(openid)
        return jsonify(pushed=target is not None and _deliver(target, _event(target, openid, "unsubscribe", {"EventKey": ""})))

    @app.get("/outbound")
    def outbound_page() -> str:
        return render_template(
            "outbound.html", account=account, texts=account.outbound("sms"), mails=account.outbound("mail"), target=target
        )


def _event(target: PushTarget, openid: str, event: str, more: dict[str, str]) -> tuple[str, str]:
    fields = {
        "ToUserName": target.own_id,
        "FromUserName": openid,
        "CreateTime": str(int(time.time())),
        "MsgType": "event",
        "Event": event,
        **more,
    }
    return openid, "<xml>" + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items()) + "</xml>"


def _deliver(target: PushTarget, event: tuple[str, str]) -> bool:
    openid, inner = event
    for _ in range(3):
        stamp, nonce = str(int(time.time())), secrets.token_hex(6)
        encrypted = push.encrypt(inner.encode(), target.secrets)
        query = {
            "timestamp": stamp,
            "nonce": nonce,
            "openid": openid,
            "encrypt_type": "aes",
            "msg_signature": push.signature_of(target.secrets.token, stamp, nonce, encrypted),
        }
        body = f"<xml><ToUserName>{target.own_id}</ToUserName><Encrypt>{encrypted}</Encrypt></xml>"
        try:
            answer = requests.post(target.url, params=query, data=body.encode(), headers={"Content-Type": "text/xml"}, timeout=5)
        except requests.RequestException:
            continue
        if answer.status_code == requests.codes.ok and answer.text == "success":
            return True
    return False


def _later(target: PushTarget, event: tuple[str, str]) -> None:
    threading.Thread(target=_deliver, args=(target, event), daemon=True).start()
