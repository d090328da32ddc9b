"""Sends over the channels beside subscribe messages, provider after provider, and keeps the list of followers.

As there, calls are made outside any transaction: claim and commit, call, settle and commit.
"""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from server.mail.errors import MailMisconfiguredError, MailRejectedError, MailUnavailableError
from server.mail.gateway import Mail
from server.members import emails
from server.notifications import letters, routing, unsubscribing
from server.notifications.routing import CallEnd, ChannelClaim, Send
from server.notifications.rules import SENT_OVER, Channel, Outcome, next_provider
from server.sms.errors import SmsMisconfiguredError, SmsRejectedError, SmsUnavailableError
from server.sms.gateway import SmsText, segments_of
from server.wechat import followers
from server.wechat.errors import WeChatMisconfiguredError, WeChatRejectedError, WeChatUnavailableError
from server.wechat.gateway.official_account import MOST_ASKED_AT_ONCE, Follower, FollowerPage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event

_log = structlog.get_logger("huiban.channels")

# A walk of ten thousand followers a page, and of a hundred names a call: a run leaves the rest to the next one.
_MOST_PAGES = 50
_MOST_NAMES = 100


def deliver(core: Core, ids: Sequence[UUID], say: Callable[[str], str]) -> int:
    """Send the messages among some that wait on these channels; return how many were sent."""
    lines, sent = core.lines, 0
    # Once for each channel that a message may go on to after a refusal; what waits for another try is not due.
    for _ in SENT_OVER:
        claims = core.db.run(lambda session: routing.claim(session, ids, lines=lines, now=core.clock.now(), say=say))
        if not claims:
            break
        sent += sum(_send(core, claimed) for claimed in claims)
    return sent


def _send(core: Core, claimed: ChannelClaim) -> int:
    ends: list[CallEnd] = []
    for send in claimed.sends:
        ends.append(_timed(core, claimed, send))
        if not next_provider(ends[-1].outcome):
            break
    # A failure to write this down leaves the message ``sending``, and the sweep makes it uncertain: never a second call.
    state = core.db.run(lambda session: routing.settle(session, claimed, ends, lines=core.lines, now=core.clock.now()))
    if state not in {"sent", "delivered"}:
        _log.info("notification.not_sent", message_id=str(claimed.message_id), channel=claimed.channel, state=state)
    return int(ends[-1].outcome.kind == "sent")


def _timed(core: Core, claimed: ChannelClaim, send: Send) -> CallEnd:
    begun = time.perf_counter()
    try:
        outcome, segments = _CALLS[claimed.channel](core, claimed, send)
    except (SmsRejectedError, MailRejectedError) as error:
        outcome, segments = Outcome("refused", error.reason), None
    except WeChatRejectedError as error:
        outcome, segments = Outcome("refused", f"rejected_{error.errcode}", errcode=error.errcode), None
    except SmsMisconfiguredError as error:
        outcome, segments = Outcome("misconfigured", error.provider_code or "misconfigured"), None
    except (MailMisconfiguredError, WeChatMisconfiguredError):
        outcome, segments = Outcome("misconfigured", "misconfigured"), None
    except (SmsUnavailableError, MailUnavailableError, WeChatUnavailableError) as error:
        outcome, segments = Outcome("not_done" if error.certainly_not_done else "unknown", error.reason), None
    except Exception as error:  # noqa: BLE001 - whatever broke, nobody knows how far the call came
        _log.warning("notification.call_broke", message_id=str(claimed.message_id), error=type(error).__name__)
        outcome, segments = Outcome("unknown", "broken"), None
    return CallEnd(send.provider, outcome, int((time.perf_counter() - begun) * 1000), segments)


def _official_account(core: Core, claimed: ChannelClaim, send: Send) -> tuple[Outcome, int | None]:
    account = core.official_account
    if account is None:
        return Outcome("not_done", "not_connected"), None
    program = (core.settings.wechat_appid, claimed.page) if claimed.page else None
    for last in (False, True):
        try:
            sent = account.send_template_message(
                claimed.to, send.template_id, send.values, client_msg_id=claimed.reference, program=program
            )
        except WeChatUnavailableError as error:
            # Under the same number WeChat sends one message within ten minutes, so a call without an answer may be made once more at once.
            if last or error.certainly_not_done:
                raise
        else:
            return Outcome("sent", msg_id=sent.msg_id), None
    raise AssertionError


def _text(core: Core, claimed: ChannelClaim, send: Send) -> tuple[Outcome, int | None]:
    provider = next((one for one in core.sms if one.name == send.provider), None)
    if provider is None:
        return Outcome("not_done", "not_connected"), None
    preview = letters.text_message(core.settings.sms_sign or core.settings.brand_name, claimed.text, claimed.topic)
    sent = provider.send(SmsText(claimed.to, send.template_id, send.values, claimed.reference, preview))
    return Outcome("sent", msg_id=sent.message_id), sent.segments or segments_of(preview)


def _mail(core: Core, claimed: ChannelClaim, send: Send) -> tuple[Outcome, int | None]:  # noqa: ARG001 - as the others
    if core.mail is None:
        return Outcome("not_done", "not_connected"), None
    url = unsubscribe_url(core, claimed)
    written = letters.letter(core.settings.brand_name, claimed.title, claimed.text, url)
    sent = core.mail.send(Mail(claimed.to, written.subject, written.text, written.html, claimed.reference, url))
    return Outcome("sent", msg_id=sent.message_id), None


_CALLS: dict[Channel, Callable[[Core, ChannelClaim, Send], tuple[Outcome, int | None]]] = {
    Channel.OFFICIAL_ACCOUNT: _official_account,
    Channel.SMS: _text,
    Channel.EMAIL: _mail,
}


def unsubscribe_url(core: Core, claimed: ChannelClaim) -> str:
    """Return where the reader of an e-mail orders its kind off."""
    token = unsubscribing.token_of(core.settings.secret_key, claimed.member_id, claimed.topic)
    return f"{core.settings.base_url}/callbacks/unsubscribe/{token}"


# --- Codes to addresses ---


def send_email_codes(core: Core, events: Sequence[Event]) -> None:
    """Send the codes that members asked for, each at most once: whoever does not get one asks again."""
    for event in events:
        member_id, serial = UUID(str(event.payload["member_id"])), int(event.payload["serial"])
        found = core.db.run(partial(_take_code, member_id=member_id, serial=serial, now=core.clock.now()))
        if found is None or core.mail is None:
            continue
        written = letters.code_letter(core.settings.brand_name, found.code)
        try:
            core.mail.send(Mail(found.address, written.subject, written.text, written.html, f"code-{event.id.hex}"))
        except (MailRejectedError, MailMisconfiguredError, MailUnavailableError) as error:
            _log.warning("email_code.not_sent", member_id=str(member_id), error=type(error).__name__)


def _take_code(session: Session, *, member_id: UUID, serial: int, now: datetime) -> emails.CodeToSend | None:
    return emails.take_code(session, member_id, serial, now=now)


# --- Followers ---


def _note_page(session: Session, *, appid: str, page: FollowerPage, now: datetime) -> None:
    followers.note_page(session, appid, page.openids, page.next_openid, now=now)


def _note_infos(session: Session, *, asked: Sequence[tuple[UUID, str]], infos: Sequence[Follower], now: datetime) -> None:
    followers.note_infos(session, asked, infos, now=now)


def walk_followers(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Walk through the list of the Official Account's followers, from where the last walk was broken off.

    Returns:
        How many followers were met.
    """
    account = core.official_account
    if account is None:
        return 0
    met = 0
    walk = core.db.run(lambda session: followers.begin_walk(session, account.appid, now=core.clock.now()))
    place = walk.next_openid
    for _ in range(_MOST_PAGES):
        page = account.followers(place)
        core.db.run(partial(_note_page, appid=account.appid, page=page, now=core.clock.now()))
        met += len(page.openids)
        place = page.next_openid
        if not place:
            break
    return met


def name_followers(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Ask WeChat for the unionids of followers who are not known by theirs yet; return how many were asked for."""
    account = core.official_account
    if account is None:
        return 0
    asked = 0
    for _ in range(_MOST_NAMES):
        with core.db.reading() as session:
            unknown = followers.unasked(session, account.appid, MOST_ASKED_AT_ONCE)
        if not unknown:
            break
        infos = account.follower_infos([openid for _, openid in unknown])
        core.db.run(partial(_note_infos, asked=unknown, infos=infos, now=core.clock.now()))
        asked += len(unknown)
    return asked
