"""The demonstration's other channels: providers' templates, followers of the Official Account, addresses, and what was sent over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.orm import Session

from server.kernel.actors import MemberActor
from server.mail.standin import NAME as MAIL
from server.members import emails, queries
from server.members import service as members
from server.members.rules import WECHAT_UNION
from server.notifications import letters, routes, routing
from server.notifications.routing import CallEnd, ChannelClaim
from server.notifications.rules import Channel, Lines, Outcome
from server.notifications.templates import REGISTRY
from server.sms.gateway import segments_of
from server.sms.standin import NAME as TEXTS
from server.wechat import followers
from server.wechat.gateway.official_account import Follower
from tasks.jobs.notifications import in_chinese

if TYPE_CHECKING:
    from tasks.demo import DemoContext

# Every third person of the demonstration follows the account; the emulator begins with the same.
_EVERY = 3
_EMAIL_SHARE = 0.4
_APPID = "wxdemoaccount0000"


def connect(session: Session, demo: DemoContext, at: datetime) -> None:
    """Choose the providers' templates, and let some members follow the account or give an address."""
    for code, template in REGISTRY.items():
        pairs = [(spec.name, spec.default_key) for spec in template.specs]
        routes.set_carrier(session, template, routes.OFFICIAL_ACCOUNT, f"demo-oa-{code}"[:64], pairs, actor=demo.actor, now=at)
        if Channel.SMS in template.channels:
            names = [(spec.name, spec.name[:20]) for spec in template.specs]
            routes.set_carrier(session, template, TEXTS, f"SMS_DEMO_{code.upper()}"[:64], names, actor=demo.actor, now=at)
    for number, member_id in enumerate(demo.members):
        _reach(session, demo, number, member_id, at)


def _reach(session: Session, demo: DemoContext, number: int, member_id: UUID, at: datetime) -> None:
    openid = queries.openid_of(session, member_id, demo.core.settings.wechat_appid)
    if openid is None:
        return
    if number % _EVERY == 0:
        union, follower = openid.replace("openid", "union"), openid.replace("openid", "oa")
        members.add_identity(session, member_id, WECHAT_UNION, union, actor=MemberActor(member_id), now=at)
        followers.note_followed(session, _APPID, follower, following=True, now=at)
        asked = followers.unasked(session, _APPID, 10)
        followers.note_infos(session, asked, [Follower(follower, following=True, unionid=union)], now=at)
    if demo.rng.random() < _EMAIL_SHARE:
        emails.give(session, member_id, f"member{number:03d}@example.com", now=at)


def send_onwards(session: Session, demo: DemoContext, ids: Sequence[UUID], when: datetime) -> None:
    """Send what went on to these channels, as the job would have then. Nothing leaves: it is history."""
    for claimed in routing.claim(session, ids, lines=LINES, now=when, say=in_chinese):
        provider = claimed.sends[0].provider
        number = f"{demo.rng.randrange(10**15):015d}"
        end = CallEnd(provider, Outcome("sent", msg_id=number), demo.rng.randrange(90, 700), _segments(claimed))
        routing.settle(session, claimed, [end], lines=LINES, now=when)
        if claimed.channel is not Channel.EMAIL:
            routing.receive(session, provider, number, "0", occurred_at=when, lines=LINES, now=when)


def _segments(claimed: ChannelClaim) -> int | None:
    if claimed.channel is not Channel.SMS:
        return None
    return segments_of(letters.text_message("会伴", claimed.text, claimed.topic))


LINES = Lines(_APPID, (TEXTS,), MAIL)
