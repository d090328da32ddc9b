"""The rules and the memory of the emulated platform: codes, tokens, allowances, messages, faults.

Rules are those of the platform's documentation: a code works once and for five minutes; one acceptance pays one message;
a template's fields are checked by the type in their names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from server.wechat.emulator.approved import FIELD_RULES, FORBIDDEN, TEMPLATES

CODE_SECONDS = 300
DEMO_PREFIX = "demo-openid-"
TOKEN_SECONDS = 7200
_OVERLAP_SECONDS = 300
_KEPT_MESSAGES = 500
_KEPT_CALLS = 200
_MOST_CLEARINGS = 10


class PlatformError(Exception):
    """An answer with an ``errcode``."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errmsg)
        self.errcode = errcode
        self.errmsg = errmsg


@dataclass
class _Code:
    kind: str
    value: str
    unionid: str | None
    born_at: float
    used: bool = False


@dataclass
class Fault:
    """What goes wrong on one path for a number of calls."""

    path: str
    times: int
    errcode: int | None = None
    delay_seconds: float = 0.0
    status: int | None = None


@dataclass
class Message:
    """A message that was taken in."""

    msg_id: str
    openid: str
    template_id: str
    title: str
    fields: list[dict[str, str]]
    page: str
    at: float


@dataclass
class Call:
    """One call, for the page."""

    at: float
    path: str
    errcode: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """What is remembered of one refused call, to be looked up by its number."""

    at: float
    path: str
    answer: dict[str, Any]
    milliseconds: int = 3


@dataclass
class _Memory:
    session_keys: dict[str, str] = field(default_factory=dict)
    grants: dict[str, int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    unionids: dict[str, str] = field(default_factory=dict)
    sequence: int = 0


class Platform:
    """The emulated platform of one app.

    Arguments:
        appid, secret: what callers must show.
        folder: where the memory is kept over restarts, or None.
        risky_words: texts holding one are refused by the content check.
        demo_allowances: how many acceptances each of the demonstration's people begins with, for each template: the
            demonstration's own ledger begins with some too, and nobody tapped for those here.
        seconds: the clock.
    """

    def __init__(
        self,
        appid: str,
        secret: str,
        *,
        folder: Path | None = None,
        risky_words: tuple[str, ...] = ("赌博", "代开发票", "刷单"),
        demo_allowances: int = 0,
        seconds: Any = time.time,
    ) -> None:
        self.appid, self.secret, self.risky_words = appid, secret, risky_words
        self.doubtful_words: tuple[str, ...] = ("加微信", "兼职")
        # What the next pictures are held for, one each; afterwards they pass.
        self.media_answers: list[str] = []
        self._seconds = seconds
        self._demo_allowances = demo_allowances
        self._lock = threading.RLock()
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, float] = {}
        self._current: str | None = None
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.used: Counter[str] = Counter()
        self.clearings = 0
        self.requests: dict[str, Request] = {}
        self.token_fetches = 0
        self._file = folder / "wechat-emulator.json" if folder else None
        self._memory = self._load()

    def _load(self) -> _Memory:
        if self._file is None or not self._file.exists():
            return _Memory()
        kept = json.loads(self._file.read_text(encoding="utf-8"))
        kept["messages"] = [Message(**message) for message in kept["messages"]]
        return _Memory(**kept)

    def _save(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self._memory), ensure_ascii=False), encoding="utf-8")
        draft.replace(self._file)

    # --- What a person with a phone does ---

    def mint_code(self, openid: str | None, unionid: str | None) -> tuple[str, str]:
        """Return a login code and the openid it stands for, as ``wx.login`` on that person's phone."""
        with self._lock:
            openid = openid or "o" + secrets.token_urlsafe(20)[:27]
            if unionid:
                self._memory.unionids[openid] = unionid
                self._save()
            return self._mint("login", openid, self._memory.unionids.get(openid)), openid

    def mint_phone_code(self, phone: str) -> str:
        """Return a phone code, as a tap on the phone number button."""
        with self._lock:
            return self._mint("phone", phone, None)

    def _mint(self, kind: str, value: str, unionid: str | None) -> str:
        code = secrets.token_hex(16)
        self._codes[code] = _Code(kind, value, unionid, self._seconds())
        return code

    def popup(self, openid: str, template_id: str, *, accept: bool) -> None:
        """Answer the subscribe dialog: an acceptance is one allowance."""
        with self._lock:
            if template_id not in TEMPLATES:
                raise PlatformError(20001, "No template data return, verify the template id exist")
            if accept:
                key = f"{openid}|{template_id}"
                self._memory.grants[key] = self._left(openid, template_id) + 1
                self._save()

    # --- What a server calls ---

    def check_credentials(self, appid: str, secret: str) -> None:
        """Refuse a wrong app or secret."""
        if appid != self.appid:
            raise PlatformError(40013, "invalid appid")
        if secret != self.secret:
            raise PlatformError(40125, "invalid appsecret")

    def stable_token(self, appid: str, secret: str, *, force: bool) -> dict[str, Any]:
        """Return the token that is valid now; a new one during its last five minutes."""
        with self._lock:
            self.check_credentials(appid, secret)
            self.token_fetches += 1
            now = self._seconds()
            if self._current is None or force or self._tokens[self._current] - now <= _OVERLAP_SECONDS:
                if force:
                    self._tokens.clear()
                self._current = "em_" + secrets.token_urlsafe(96)
                self._tokens[self._current] = now + TOKEN_SECONDS
            return {"access_token": self._current, "expires_in": int(self._tokens[self._current] - now)}

    def revoke_tokens(self, *, expire: bool) -> None:
        """Make every token invalid (40001), or merely expired (42001)."""
        with self._lock:
            if expire:
                self._tokens = dict.fromkeys(self._tokens, 0.0)
            else:
                self._tokens.clear()
            self._current = None

    def check_token(self, token: str) -> None:
        """Refuse a token that is unknown or expired."""
        with self._lock:
            until = self._tokens.get(token)
            if until is None:
                raise PlatformError(40001, "invalid credential, access_token is invalid or not latest")
            if until <= self._seconds():
                raise PlatformError(42001, "access_token expired")

    def trade(self, kind: str, code: str) -> _Code:
        """Trade a code of a kind, once and within five minutes."""
        with self._lock:
            found = self._codes.get(code)
            if found is None or found.kind != kind or self._seconds() - found.born_at > CODE_SECONDS:
                raise PlatformError(40029, "invalid code")
            if found.used:
                raise PlatformError(40163, "code been used")
            found.used = True
            return found

    def send(self, body: dict[str, Any]) -> Message:
        """Take in a subscribe message and spend one allowance."""
        with self._lock:
            openid, template_id = str(body.get("touser") or ""), str(body.get("template_id") or "")
            if not openid:
                raise PlatformError(40003, "invalid openid")
            template = TEMPLATES.get(template_id)
            if template is None:
                raise PlatformError(40037, "invalid template_id")
            fields = self._checked_fields(template, body.get("data") or {})
            page = str(body.get("page") or "")
            if page.startswith("/"):
                raise PlatformError(41030, "invalid page")
            key = f"{openid}|{template_id}"
            if self._left(openid, template_id) < 1:
                raise PlatformError(43101, "user refuse to accept the msg")
            self._memory.grants[key] = self._left(openid, template_id) - 1
            self._memory.sequence += 1
            # As long as the real ones: more than a double holds exactly.
            msg_id = str(3_000_000_000_000_000_000 + self._memory.sequence)
            message = Message(msg_id, openid, template_id, template["title"], fields, page, self._seconds())
            self._memory.messages.append(message)
            del self._memory.messages[:-_KEPT_MESSAGES]
            self._save()
            return message

    def _left(self, openid: str, template_id: str) -> int:
        first = self._demo_allowances if openid.startswith(DEMO_PREFIX) else 0
        return self._memory.grants.get(f"{openid}|{template_id}", first)

    @staticmethod
    def _checked_fields(template: dict[str, Any], data: dict[str, Any]) -> list[dict[str, str]]:
        fields = []
        for name, label in template["fields"].items():
            value = (data.get(name) or {}).get("value")
            kind = name.rstrip("0123456789")
            if not isinstance(value, str) or not value or FORBIDDEN.search(value) or not FIELD_RULES[kind](value):
                raise PlatformError(47003, f"argument invalid! data.{name}.value invalid")
            fields.append({"name": name, "label": label, "value": value})
        return fields

    def check_text(self, body: dict[str, Any]) -> dict[str, Any]:
        """Judge a text by the list of words."""
        if int(body.get("version") or 1) != 2:  # noqa: PLR2004 - the only version kept up
            raise PlatformError(40097, "invalid args: version")
        if not body.get("openid"):
            raise PlatformError(40003, "invalid openid")
        content = str(body.get("content") or "")
        if not content or len(content) > 2500:  # noqa: PLR2004 - the platform's limit
            raise PlatformError(47001, "data format error")
        risky = any(word in content for word in self.risky_words)
        doubtful = any(word in content for word in self.doubtful_words)
        suggest, label = ("risky", 20006) if risky else ("review", 10001) if doubtful else ("pass", 100)
        result = {"suggest": suggest, "label": label}
        return {"errcode": 0, "errmsg": "ok", "trace_id": f"em-{secrets.token_hex(8)}", "result": result, "detail": []}

    def take_media(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take in a picture to be looked at."""
        if int(body.get("version") or 1) != 2:  # noqa: PLR2004 - the only version kept up
            raise PlatformError(40097, "invalid args: version")
        if not body.get("openid"):
            raise PlatformError(40003, "invalid openid")
        if body.get("media_type") not in {1, 2} or not str(body.get("media_url") or "").startswith(("http://", "https://")):
            raise PlatformError(47001, "data format error")
        return {"errcode": 0, "errmsg": "ok", "trace_id": f"em-{secrets.token_hex(8)}"}

    def judge_media(self) -> str:
        """Return what the next picture is held for: as told beforehand, else ``pass``."""
        return self.media_answers.pop(0) if self.media_answers else "pass"

    # --- Faults and the page ---

    def fault_for(self, path: str) -> Fault | None:
        """Return and count down the fault that is set for a path."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and path.strip("/").startswith(fault.path.strip("/")):
                    fault.times -= 1
                    return fault
            return None

    def note(self, path: str, errcode: int, milliseconds: float) -> None:
        """Keep a call for the page."""
        with self._lock:
            self.used[path] += 1
            self.calls.append(Call(self._seconds(), path, errcode, milliseconds))
            del self.calls[:-_KEPT_CALLS]

    def number(self, path: str, answer: dict[str, Any]) -> str:
        """Give a refused call a number under which it can be looked up."""
        with self._lock:
            rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
            self.requests[rid] = Request(self._seconds(), path, answer)
            for old in list(self.requests)[:-_KEPT_CALLS]:
                del self.requests[old]
            return rid

    def session_key(self, openid: str, *, fresh: bool = False) -> str:
        """Return a person's session key; each log-in makes a new one."""
        with self._lock:
            if fresh or openid not in self._memory.session_keys:
                self._memory.session_keys[openid] = base64.b64encode(secrets.token_bytes(16)).decode()
                self._save()
            return self._memory.session_keys[openid]

    def check_session_key(self, openid: str, signature: str) -> None:
        """Refuse whoever does not show that they know a person's session key."""
        key = base64.b64decode(self.session_key(openid))
        if not hmac.compare_digest(hmac.new(key, b"", hashlib.sha256).hexdigest().encode(), signature.encode()):
            raise PlatformError(87009, "invalid signature")

    def clear_quota(self) -> None:
        """Set every interface's calls of today to none, ten times at most."""
        with self._lock:
            if self.clearings >= _MOST_CLEARINGS:
                raise PlatformError(48006, "forbid to clear quota because of reaching the limit")
            self.clearings += 1
            self.used.clear()

    def messages(self, openid: str | None = None) -> list[Message]:
        """Return what was taken in, newest first."""
        with self._lock:
            return [m for m in reversed(self._memory.messages) if openid is None or m.openid == openid]

    def grants(self) -> dict[str, int]:
        """Return the open allowances by ``openid|template``."""
        with self._lock:
            return {key: left for key, left in self._memory.grants.items() if left}
