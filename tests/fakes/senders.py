"""Providers of text messages, a mail server and an Official Account without a network: they keep what they were sent and fail when told to."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.mail.gateway import Mail, SentMail
from server.sms.gateway import SentSms, SmsText, segments_of
from server.wechat.gateway import SentMessage
from server.wechat.gateway.official_account import Follower, FollowerPage


@dataclass
class FakeSms:
    """``failures`` are raised by the next sends, one each; None lets one through. ``lost`` are raised after the message was taken in."""

    name: str = "aliyun"
    taken: list[SmsText] = field(default_factory=list)
    failures: list[Exception | None] = field(default_factory=list)
    lost: list[BaseException] = field(default_factory=list)

    def send(self, text: SmsText) -> SentSms:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.taken.append(text)
        if self.lost:
            raise self.lost.pop(0)
        return SentSms(self.name, f"{self.name}-{len(self.taken)}", segments_of(text.preview))


@dataclass
class FakeMail:
    """As ``FakeSms``."""

    name: str = "smtp"
    taken: list[Mail] = field(default_factory=list)
    failures: list[Exception | None] = field(default_factory=list)

    def send(self, mail: Mail) -> SentMail:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.taken.append(mail)
        return SentMail(f"{mail.reference}@shop.example")


@dataclass
class FakeOfficialAccount:
    """Followers by openid with their unionids; under one ``client_msg_id`` one message is sent, as at WeChat."""

    appid: str = "wxofficial0000000"
    people: dict[str, str | None] = field(default_factory=dict)
    taken: dict[str, tuple[str, str, dict[str, str], tuple[str, str] | None]] = field(default_factory=dict)
    failures: list[Exception | None] = field(default_factory=list)
    page_size: int = 10_000
    calls: int = 0

    def send_template_message(
        self, openid: str, template_id: str, data: dict[str, str], *, client_msg_id: str, program: tuple[str, str] | None = None
    ) -> SentMessage:
        self.calls += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.taken.setdefault(client_msg_id, (openid, template_id, data, program))
        return SentMessage(f"oa-{list(self.taken).index(client_msg_id)}")

    def followers(self, next_openid: str = "") -> FollowerPage:
        known = sorted(self.people)
        rest = [openid for openid in known if openid > next_openid][: self.page_size]
        return FollowerPage(tuple(rest), rest[-1] if rest else "")

    def follower_infos(self, openids: list[str]) -> list[Follower]:
        return [Follower(openid, openid in self.people, self.people.get(openid)) for openid in openids]
