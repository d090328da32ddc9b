"""Mail over a real SMTP conversation with a server on this machine that answers what a test tells it to."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import threading
import traceback
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from config.settings import UnsafeSettingsError, load_settings
from server.kernel.clock import MovableClock
from server.mail import smtp
from server.mail.choice import mail_provider
from server.mail.errors import MailMisconfiguredError, MailRejectedError, MailUnavailableError
from server.mail.gateway import Mail, address_of, composed
from server.mail.smtp import SmtpMail
from server.mail.standin import LocalMail

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
TO = "lin@example.com"
MAIL = Mail(TO, "您的订单已发货", "第一行\n.点开头的一行\n", "<p>您的订单已发货</p>", "0190-ref", "https://x.example/u/1")


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    state = SimpleNamespace(answers={}, commands=[], mails=[], hang=None, features=["AUTH PLAIN LOGIN"])

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

        def handle(self) -> None:
            self.say(state.answers.get("HELLO", "220 ready"))
            while raw := self.rfile.readline():
                line = raw.decode().strip()
                word = line.split(" ")[0].upper()
                state.commands.append(line)
                if state.hang == word:
                    return
                if word == "EHLO":
                    lines = ["here", *state.features]
                    for number, feature in enumerate(lines):
                        self.say(f"250{'-' if number < len(lines) - 1 else ' '}{feature}")
                elif word == "AUTH":
                    self.say(state.answers.get("AUTH", "235 fine"))
                elif word == "DATA" and "DATA" not in state.answers:
                    self.say("354 go on")
                    lines = []
                    while (part := self.rfile.readline()) not in {b".\r\n", b""}:
                        lines.append(part.removeprefix(b".") if part.startswith(b"..") else part)
                    if state.hang == "TEXT":
                        return
                    state.mails.append(b"".join(lines))
                    self.say(state.answers.get("TEXT", "250 taken"))
                else:
                    self.say(state.answers.get(word, "221 bye" if word == "QUIT" else "250 fine"))
                if word == "QUIT":
                    return

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        state.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield state
        listening.shutdown()
        thread.join(5)


def a_provider(server, **other) -> SmtpMail:
    known = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "user": "robot",
        "password": "pass-word",
        "sender": "member@shop.example",
        "sender_name": "会伴",
        "clock": MovableClock(NOW),
    }
    return SmtpMail(**(known | other))


def refusal_of(server, **other) -> Exception:
    with pytest.raises((MailUnavailableError, MailRejectedError, MailMisconfiguredError)) as caught:
        a_provider(server, **other).send(MAIL)
    told = "".join(traceback.format_exception(caught.value))
    assert not any(secret in told for secret in (TO, "pass-word", "已发货"))
    return caught.value


def test_a_mail_arrives_whole_and_can_be_ordered_off_with_one_click(server):
    sent = a_provider(server).send(MAIL)
    assert sent.message_id == "0190-ref@shop.example"
    read = email.message_from_bytes(server.mails[0], policy=email.policy.default)
    assert read["To"] == TO
    assert read["Subject"] == MAIL.subject
    assert read["From"] == "会伴 <member@shop.example>"
    assert read["Message-ID"] == "<0190-ref@shop.example>"
    assert read["List-Unsubscribe"] == "<https://x.example/u/1>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = read.get_body(("plain",)), read.get_body(("html",))
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().strip() == MAIL.html


@pytest.mark.parametrize("part", ["to", "subject", "reference", "unsubscribe_url"])
@pytest.mark.parametrize("evil", ["\r\nBcc: a@b.example", "\nX: y", "\x00"])
def test_nothing_a_caller_gives_can_add_a_header(server, part, evil):
    values = {name: getattr(MAIL, name) for name in ("to", "subject", "text", "html", "reference", "unsubscribe_url")}
    with pytest.raises(MailRejectedError):
        a_provider(server).send(Mail(**values | {part: values[part] + evil}))
    assert server.mails == []


@pytest.mark.parametrize(
    ("step", "answer", "kind", "reason", "certain"),
    [
        ("AUTH", "535 no", MailMisconfiguredError, "auth", None),
        ("AUTH", "454 later", MailUnavailableError, "busy_454", True),
        ("MAIL", "550 not you", MailMisconfiguredError, "sender", None),
        ("MAIL", "451 later", MailUnavailableError, "busy_451", True),
        ("RCPT", "550 nobody", MailRejectedError, "bad_address", None),
        ("RCPT", "450 grey", MailUnavailableError, "busy_450", True),
        ("DATA", "554 no", MailRejectedError, "content", None),
        ("TEXT", "554 spam", MailRejectedError, "content", None),
        ("TEXT", "451 later", MailUnavailableError, "busy_451", True),
    ],
)
def test_what_a_server_refuses_has_a_class(server, step, answer, kind, reason, certain):
    server.answers[step] = answer
    error = refusal_of(server)
    assert isinstance(error, kind)
    assert error.reason == reason
    if certain is not None:
        assert error.certainly_not_done is certain


@pytest.mark.parametrize(("step", "certain"), [("MAIL", True), ("RCPT", True), ("DATA", True), ("TEXT", False)])
def test_a_conversation_that_breaks_off_is_unknown_only_once_the_text_was_sent(server, step, certain):
    server.hang = step
    error = refusal_of(server)
    assert isinstance(error, MailUnavailableError)
    assert error.certainly_not_done is certain


def test_a_server_that_is_not_there_got_nothing(server):
    error = refusal_of(server, port=1)
    assert (error.reason, error.certainly_not_done) == ("connect", True)


def test_a_server_that_falls_silent_is_left(server, monkeypatch):
    monkeypatch.setattr(smtp, "_TIMEOUT_SECONDS", 0.2)
    hold = threading.Event()
    server.answers["RCPT"] = type("Slow", (), {"encode": lambda _self: (hold.wait(1), b"250 late")[1]})()
    error = refusal_of(server)
    assert (error.reason, error.certainly_not_done) == ("timeout", True)
    hold.set()


def test_a_server_that_hides_its_encryption_gets_neither_password_nor_mail(server):
    error = refusal_of(server, security="starttls")
    assert isinstance(error, MailMisconfiguredError)
    assert not any("AUTH" in line or "MAIL" in line for line in server.commands)


def test_addresses_come_in_one_form():
    assert address_of(" Lin@Example.COM ") == "Lin@example.com"
    for wrong in ("", "lin", "a@b", "a b@example.com", "a@example.com\nBcc: x@example.com", "林@example.com", "a" * 300 + "@example.com"):
        with pytest.raises(ValueError):
            address_of(wrong)


def test_a_brand_with_quotes_stays_one_name():
    message = composed(MAIL, sender="m@x.example", sender_name='会"伴\\', at=NOW)
    assert message["From"] == "会伴 <m@x.example>"


def test_settings_choose_the_server_or_the_stand_in(tmp_path):
    standin = mail_provider(load_settings(data_dir=tmp_path))
    assert isinstance(standin, LocalMail)
    standin.send(MAIL)
    assert json.loads((tmp_path / "outbound" / "mail.jsonl").read_text(encoding="utf-8"))["to"] == TO
    real = mail_provider(load_settings(data_dir=tmp_path, smtp_host="smtp.example", mail_from="m@x.example"))
    assert isinstance(real, SmtpMail)
    with pytest.raises(UnsafeSettingsError, match="HUIBAN_MAIL_FROM"):
        load_settings(data_dir=tmp_path, smtp_host="smtp.example")
