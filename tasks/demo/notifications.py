"""Messages of the demonstration: templates, allowances, and what the shop's news of the last weeks became.

The history is made by the very handlers that hear the news, each at the instant of its event, and by the very claims and
settlements of sending, with invented answers of WeChat. When the events themselves are delivered later, their messages are there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.campaigns import service as campaigns
from server.campaigns.rules import BirthdayPolicy
from server.coupons import queries as coupons
from server.kernel.clock import MovableClock
from server.kernel.outbox import Event, OutboxEvent
from server.kernel.pagination import PageRequest
from server.members import queries as members
from server.notifications import delivery, queries, service
from server.notifications.queries import MessageFilter
from server.notifications.rules import Outcome
from server.notifications.templates import REGISTRY, CouponExpiring
from tasks.demo import channels
from tasks.jobs import notifications as job
from tasks.jobs import points_messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_HISTORY = timedelta(days=21)
_MOST_EVENTS = 700
_MOST_GRANTS = 3
_LEFT_AT_END = 2
_BEGINNING = timedelta(days=22)
_READ_SHARE = 0.55
_PAGE = PageRequest(limit=50)

_HANDLERS: dict[str, Callable[[Session, Event, Any], None]] = {
    "orders.shipped": job.on_order_shipped,
    "points.accrued": job.on_points_accrued,
    "points.expiring": points_messages.on_points_expiring,
    "feedback.ticket_answered": job.on_ticket_answered,
    "coupons.expiring": job.on_coupon_expiring,
}
# What WeChat answers in the history, by share: mostly yes, now and then what happens in life.
_ANSWERS = (
    (0.91, Outcome("sent")),
    (0.065, Outcome("refused", "rejected_43101", errcode=43101)),
    (0.025, Outcome("unknown", "timeout")),
)


def load(session: Session, demo: DemoContext) -> None:
    """Choose the templates, credit allowances and write the history; again it adds nothing."""
    began = demo.now - _BEGINNING
    for code, template in REGISTRY.items():
        service.set_template(session, code, wechat_template_id=template.demo_template_id, actor=demo.actor, now=began)
    channels.connect(session, demo, began)
    coupon = "birthday" if coupons.template_by_code(session, "birthday") is not None else None
    policy = BirthdayPolicy(enabled=True, points=66, points_by_tier={"gold": 200, "black": 500}, coupon_code=coupon)
    campaigns.set_birthday_policy(session, policy, actor=demo.actor, now=began)
    reachable = [m for m in demo.members if members.openid_of(session, m, demo.core.settings.wechat_appid) is not None]
    _credit(session, demo, reachable, began, "history", _MOST_GRANTS)
    _write_history(session, demo)
    _remind(session, demo, reachable)
    # What is left over from the history is unknown to the emulator, which begins with as many for everybody.
    _credit(session, demo, reachable, demo.now, "now", _LEFT_AT_END)


def _credit(session: Session, demo: DemoContext, reachable: list[UUID], at: datetime, name: str, most: int) -> None:
    for member_id in reachable:
        held = queries.grants_of(session, member_id) if name == "now" else {}
        for code in sorted(REGISTRY):
            wanted = demo.rng.randrange(most + 1)
            room = max(0, _MOST_GRANTS - held.get(code, 0)) if name == "now" else wanted
            for number in range(min(wanted, room)):
                service.credit_grant(session, member_id, code, event_key=f"demo:{name}:{member_id}:{code}:{number}", now=at)


def _write_history(session: Session, demo: DemoContext) -> None:
    statement = (
        sa.select(OutboxEvent)
        .where(OutboxEvent.topic.in_(_HANDLERS), OutboxEvent.occurred_at >= demo.now - _HISTORY, OutboxEvent.occurred_at <= demo.now)
        .order_by(OutboxEvent.occurred_at.desc())
        .limit(_MOST_EVENTS)
    )
    for row in reversed(session.scalars(statement).all()):
        event = Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at)
        member_id = event.payload.get("member_id")
        if member_id is None:
            continue
        before = queries.count(session, MessageFilter(member_id=UUID(member_id)))
        _HANDLERS[row.topic](session, event, replace(demo.core, clock=MovableClock(event.occurred_at)))
        if queries.count(session, MessageFilter(member_id=UUID(member_id))) > before:
            send_waiting(session, demo, UUID(member_id), event.occurred_at)


def _remind(session: Session, demo: DemoContext, reachable: list[UUID]) -> None:
    for member_id in demo.rng.sample(reachable, min(24, len(reachable))):
        at = demo.now - timedelta(hours=demo.rng.randrange(6, 24 * 14))
        message = CouponExpiring("新人礼 满100减20", at + timedelta(days=3))
        service.request(session, member_id, message, key=f"demo:coupon_expiring:{member_id}", now=at)
        send_waiting(session, demo, member_id, at)


def send_waiting(session: Session, demo: DemoContext, member_id: UUID, at: datetime) -> None:
    """Send what waits for one member, as the job would at that time of day; at night it waits for the morning."""
    appid = demo.core.settings.wechat_appid
    # What the night puts off beyond the present is left to the product itself.
    for when in (at, at + timedelta(hours=11)):
        if when > demo.now:
            return
        ids = [m.id for m in queries.messages(session, MessageFilter(state="queued", member_id=member_id), _PAGE).items]
        for claimed in delivery.claim(session, ids, appid=appid, now=when, say=job.in_chinese, lines=channels.LINES) if ids else []:
            outcome = _answer(demo)
            if outcome.kind == "sent":
                msg_id = str(2_900_000_000_000_000_000 + demo.rng.randrange(10**12))
                outcome = replace(outcome, msg_id=msg_id)
            outcome = replace(outcome, milliseconds=demo.rng.randrange(60, 500))
            delivery.settle(session, claimed, outcome, now=when, lines=channels.LINES)
            if outcome.msg_id:
                seen = min(when + timedelta(seconds=demo.rng.randrange(1, 20)), demo.now)
                template = queries.find(session, claimed.message_id)
                delivery.receive_receipt(
                    session,
                    member_id,
                    template.template if template else "",
                    msg_id=outcome.msg_id,
                    error_code="0",
                    occurred_at=seen,
                    now=seen,
                )
            if demo.rng.random() < _READ_SHARE:
                read_at = min(when + timedelta(minutes=demo.rng.randrange(1, 300)), demo.now)
                service.mark_read(session, member_id, claimed.message_id, now=read_at)
        if ids:
            channels.send_onwards(session, demo, ids, when)


def _answer(demo: DemoContext) -> Outcome:
    roll, total = demo.rng.random(), 0.0
    for share, outcome in _ANSWERS:
        total += share
        if roll < total:
            return outcome
    return _ANSWERS[0][1]
