"""A WeChat without a network, for tests: keeps what it was sent and fails when told to."""

from __future__ import annotations

import base64
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

from server.wechat.errors import LoginCodeInvalidError, PhoneCodeInvalidError, WeChatRejectedError
from server.wechat.gateway import ContentScene, SentMessage, Suggestion, Verdict, WeChatSession
from server.wechat.gateway.templates import AccountTemplate, Category, Keyword
from server.wechat.gateway.upkeep import Quota, RequestRecord, TokenState


@dataclass(frozen=True, slots=True)
class FakeMessage:
    openid: str
    template_id: str
    data: dict[str, str]
    page: str | None


@dataclass
class FakeWeChat:
    """Codes work once, as the real ones.

    ``code_for(openid)`` and ``phone_code_for(phone)`` mint codes; ``sent`` holds the messages; ``failures`` are raised by
    the next sends, one each (None lets one through); ``risky_words`` are refused by ``check_text``, ``doubtful_words`` doubted; ``images`` holds what
    ``check_image`` was asked about, as ``trace-1``, ``trace-2``…
    """

    appid: str = "wxdemo0000000000"
    sent: list[FakeMessage] = field(default_factory=list)
    failures: list[Exception | None] = field(default_factory=list)
    login_failures: list[Exception | None] = field(default_factory=list)
    risky_words: list[str] = field(default_factory=list)
    doubtful_words: list[str] = field(default_factory=list)
    text_failures: list[Exception | None] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    image_failures: list[Exception | None] = field(default_factory=list)
    calls: int = 0
    session_keys: dict[str, str] = field(default_factory=dict)
    templates: list[AccountTemplate] = field(default_factory=list)
    template_failures: list[Exception | None] = field(default_factory=list)
    upkeep_failures: list[Exception | None] = field(default_factory=list)
    records: dict[str, RequestRecord] = field(default_factory=dict)
    quota_used: int = 0
    clearings: int = 0
    _sessions: dict[str, WeChatSession] = field(default_factory=dict)
    _phones: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def code_for(self, openid: str, unionid: str | None = None, code: str | None = None) -> str:
        with self._lock:
            code = code or f"login-code-{len(self._sessions)}-{self.calls}-{openid}"
            self.calls += 1
            self._sessions[code] = WeChatSession(openid, unionid)
            return code

    def phone_code_for(self, phone: str, code: str | None = None) -> str:
        with self._lock:
            code = code or f"phone-code-{len(self._phones)}-{self.calls}"
            self.calls += 1
            self._phones[code] = phone
            return code

    def code_to_session(self, code: str) -> WeChatSession:
        failure = self.login_failures.pop(0) if self.login_failures else None
        if failure is not None:
            raise failure
        with self._lock:
            found = self._sessions.pop(code, None)
        if found is None:
            raise LoginCodeInvalidError
        self.session_keys[found.openid] = base64.b64encode(secrets.token_bytes(16)).decode()
        return WeChatSession(found.openid, found.unionid, self.session_keys[found.openid])

    def check_session(self, openid: str, session_key: str) -> bool:
        return self.session_keys.get(openid) == session_key

    def reset_session_key(self, openid: str, session_key: str) -> WeChatSession:
        if not self.check_session(openid, session_key):
            raise LoginCodeInvalidError
        self.session_keys[openid] = base64.b64encode(secrets.token_bytes(16)).decode()
        return WeChatSession(openid, session_key=self.session_keys[openid])

    def phone_number(self, code: str) -> str:
        with self._lock:
            found = self._phones.pop(code, None)
        if found is None:
            raise PhoneCodeInvalidError
        return found

    def send_subscribe_message(
        self,
        openid: str,
        template_id: str,
        data: dict[str, str],
        page: str | None = None,
        *,
        lang: str = "zh_CN",  # noqa: ARG002
    ) -> SentMessage:
        with self._lock:
            failure = self.failures.pop(0) if self.failures else None
            if failure is not None:
                raise failure
            self.sent.append(FakeMessage(openid, template_id, dict(data), page))
            return SentMessage(f"90000000000000{len(self.sent):04d}")

    def check_text(self, openid: str, content: str, scene: ContentScene | int = ContentScene.COMMENT) -> Verdict:  # noqa: ARG002
        failure = self.text_failures.pop(0) if self.text_failures else None
        if failure is not None:
            raise failure
        if any(word in content for word in self.doubtful_words):
            return Verdict(Suggestion.REVIEW, 10001, "trace")
        if any(word in content for word in self.risky_words):
            return Verdict(Suggestion.RISKY, 20006, "trace")
        return Verdict(Suggestion.PASS, 100, "trace")

    def check_image(self, openid: str, url: str, scene: ContentScene | int = ContentScene.COMMENT) -> str:  # noqa: ARG002
        with self._lock:
            failure = self.image_failures.pop(0) if self.image_failures else None
            if failure is not None:
                raise failure
            self.images.append(url)
            return f"trace-{len(self.images)}"

    def qr_code(self, scene: str, page: str) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + f"{page}?{scene}".encode()

    def url_scheme(self, page: str, query: str = "", *, days: int = 30) -> str:
        return f"weixin://dl/business/?t={page}?{query}&{days}"

    def url_link(self, page: str, query: str = "", *, days: int = 30) -> str:
        return f"https://wxaurl.cn/{page}?{query}&{days}"

    def account_templates(self) -> list[AccountTemplate]:
        _fail(self.template_failures)
        return list(self.templates)

    def categories(self) -> list[Category]:
        return [Category(307, "线下超市/便利店")]

    def keywords(self, tid: str) -> list[Keyword]:
        if not tid.isdigit():
            raise WeChatRejectedError(200011)
        return [Keyword(1, "订单编号", "202606150001", "character_string")]

    def quota(self, path: str) -> Quota:
        _fail(self.upkeep_failures)
        if not path.startswith("/"):
            raise WeChatRejectedError(76021, rid="fake-rid")
        return Quota(10_000_000, self.quota_used, 10_000_000 - self.quota_used, 6000, 60)

    def clear_quota(self) -> None:
        _fail(self.upkeep_failures)
        self.clearings += 1
        self.quota_used = 0

    def request_record(self, rid: str) -> RequestRecord:
        _fail(self.upkeep_failures)
        if rid not in self.records:
            raise WeChatRejectedError(76001, rid="fake-rid")
        return self.records[rid]

    def token_state(self) -> TokenState:
        return TokenState(kept=True, shared=True, age_seconds=600, left_seconds=6300)


def a_record(errcode: int = 43101) -> RequestRecord:
    return RequestRecord(datetime(2026, 6, 15, 4, tzinfo=UTC), 12, "/cgi-bin/message/subscribe/send", errcode, "refused", "127.0.0.1")


def _fail(failures: list[Exception | None]) -> None:
    failure = failures.pop(0) if failures else None
    if failure is not None:
        raise failure
