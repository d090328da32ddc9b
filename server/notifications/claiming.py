"""Claiming messages for sending: the last look at each, and the commit without which nothing is called.

Every fact is asked for once for the whole batch, so a batch of a hundred costs as many statements as one message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import lock_skipping, one_of, update_where, zone_of
from server.members import queries as members
from server.members.queries import Reachable
from server.notifications import grants, queries, routing, rules
from server.notifications.grants import Allowance
from server.notifications.models import NotificationMessage, NotificationTemplate
from server.notifications.routes import Plan
from server.notifications.rules import NO_LINES, Channel, Lines, State
from server.notifications.templates import REGISTRY, MessageTemplate, Topic, page_for, spoken, wechat_data

_REACHABLE = frozenset({"active", "frozen"})
_OFFERS = tuple(code for code, template in REGISTRY.items() if template.topic == Topic.OFFERS)


@dataclass(frozen=True, slots=True)
class Claim:
    """A call to make now. ``attempt`` tells this claim from earlier ones of the same message."""

    message_id: UUID
    attempt: int
    openid: str
    wechat_template_id: str
    data: dict[str, str]
    page: str


def _as_it_is(text: str) -> str:
    return text


@dataclass(slots=True)
class _Facts:
    """What is known of the members of a batch, and how much of it the batch has used up."""

    members: dict[UUID, Reachable]
    refused: frozenset[tuple[UUID, str]]
    quiet: dict[UUID, tuple[time, time]]
    templates: dict[str, NotificationTemplate]
    allowances: dict[tuple[UUID, str], Allowance]
    offers: Counter[UUID]


@dataclass(slots=True)
class _Decided:
    """What becomes of a batch."""

    claims: list[Claim] = field(default_factory=list)
    reserved: list[grants.Reserved] = field(default_factory=list)
    stopped: list[tuple[UUID, State, str]] = field(default_factory=list)
    put_off: dict[datetime, list[UUID]] = field(default_factory=dict)


def claim(
    session: Session,
    ids: Sequence[UUID],
    *,
    appid: str,
    now: datetime,
    say: Callable[[str], str] = _as_it_is,
    lines: Lines = NO_LINES,
) -> list[Claim]:
    """Claim subscribe messages. Messages that are not due, in other hands or on other channels are left.

    Those that cannot be sent go on to the next channel (``routing``), or are skipped.

    Arguments:
        session: of a transaction that must be committed before the calls are made.
        ids: of messages.
        appid: the app whose openids are used.
        now: present instant.
        say: says our own words in the language of WeChat's messages.
        lines: what other channels are connected.

    Returns:
        The calls to make.
    """
    of = NotificationMessage
    statement = (
        sa.select(of.id, of.member_id, of.template, of.texts, of.attempts, of.tried)
        .where(
            one_of(session, of.id, ids),
            of.state == State.QUEUED.value,
            of.channel == Channel.SUBSCRIBE.value,
            of.available_at <= now,
        )
        .order_by(of.member_id, of.id)
    )
    rows = session.execute(lock_skipping(statement)).all()
    if not rows:
        return []
    plan = Plan(session, lines)
    elsewhere = [row.id for row in rows if not row.tried and not row.attempts and plan.route(row.template)[:1] != (Channel.SUBSCRIBE,)]
    if elsewhere:
        routing.begin_all(session, elsewhere, plan=plan, now=now)
        rows = [row for row in rows if row.id not in set(elsewhere)]
    facts = _look(session, rows, appid, now)
    decided = _Decided()
    for row in rows:
        _decide(session, row, facts, decided, say, now)
    grants.reserve_all(session, decided.reserved, now=now)
    _write(session, decided, now)
    routing.go_on_all(session, decided.stopped, plan=plan, now=now)
    return decided.claims


def _look(session: Session, rows: Sequence[Any], appid: str, now: datetime) -> _Facts:
    member_ids = sorted({row.member_id for row in rows})
    capped = sorted({row.member_id for row in rows if _counts(REGISTRY[row.template])})
    codes = {row.template for row in rows} | set(_OFFERS if capped else ())
    return _Facts(
        members=members.reachable(session, member_ids, appid),
        refused=queries.refusals(session, member_ids, Channel.SUBSCRIBE),
        quiet=queries.quiet_hours_of(session, member_ids),
        templates={row.code: row for row in session.scalars(sa.select(NotificationTemplate).where(NotificationTemplate.enabled.is_(True)))},
        # Locked: under these locks nobody else claims an offer to these members before what is claimed here can be counted.
        allowances=grants.lock_all(session, member_ids, sorted(codes)),
        offers=_offers_made(session, capped, now),
    )


def _counts(template: type[MessageTemplate]) -> bool:
    """Tell whether the contact cap holds for a message."""
    return not template.exempt and template.topic == Topic.OFFERS


def _offers_made(session: Session, member_ids: Sequence[UUID], now: datetime) -> Counter[UUID]:
    """Count the offers that were pushed to members within the cap's window, or may have been."""
    if not member_ids:
        return Counter()
    of = NotificationMessage
    made = sa.or_(
        of.sent_at >= now - rules.CAP_WINDOW,
        of.state == State.SENDING.value,
        sa.and_(of.state == State.UNCERTAIN.value, of.updated_at >= now - rules.CAP_WINDOW),
    )
    statement = (
        sa.select(of.member_id, sa.func.count())
        .where(one_of(session, of.member_id, member_ids), of.template.in_(_OFFERS), made)
        .group_by(of.member_id)
    )
    return Counter({member_id: int(count) for member_id, count in session.execute(statement)})


def _decide(session: Session, row: Any, facts: _Facts, decided: _Decided, say: Callable[[str], str], now: datetime) -> None:
    template = REGISTRY[row.template]
    member, chosen = facts.members.get(row.member_id), facts.templates.get(row.template)
    reason = _obstacle(row, template, member, facts)
    if reason is None and chosen is None:
        reason = "no_template"
    if reason is None and (member is None or member.openid is None):
        reason = "no_wechat"
    if reason is not None or chosen is None or member is None or member.openid is None:
        decided.stopped.append((row.id, State.SKIPPED, reason or "no_wechat"))
        return
    if not template.exempt:
        until = rules.quiet_until(now, facts.quiet.get(row.member_id) or rules.DEFAULT_QUIET, zone_of(session))
        if until is not None:
            decided.put_off.setdefault(until, []).append(row.id)
            return
    try:
        data = wechat_data(template, chosen.field_keys, spoken(template, row.texts, say))
    except (ValueError, KeyError):
        decided.stopped.append((row.id, State.FAILED, "does_not_fit"))
        return
    allowance = facts.allowances.get((row.member_id, row.template))
    if allowance is None or allowance.available < 1:
        decided.stopped.append((row.id, State.SKIPPED, "no_grant"))
        return
    allowance.available -= 1
    facts.offers[row.member_id] += int(_counts(template))
    attempt = row.attempts + 1
    decided.reserved.append(grants.Reserved(allowance, row.id, attempt))
    decided.claims.append(Claim(row.id, attempt, member.openid, chosen.wechat_template_id, data, page_for(template, row.texts)))


def _obstacle(row: Any, template: type[MessageTemplate], member: Reachable | None, facts: _Facts) -> str | None:
    """Return why a message must not be pushed at all, or None."""
    if member is None or (member.status not in _REACHABLE and not (template.to_leavers and member.status == "deleting")):
        return "member_gone"
    if (row.member_id, template.topic.value) in facts.refused:
        return "preference"
    return "contact_cap" if _counts(template) and facts.offers[row.member_id] >= rules.CAP_MESSAGES else None


def _write(session: Session, decided: _Decided, now: datetime) -> None:
    of = NotificationMessage
    for until, ids in decided.put_off.items():
        values = {"available_at": until, "reason": "quiet_hours", "updated_at": now}
        update_where(session, sa.update(of).where(one_of(session, of.id, ids)).values(**values))
    if decided.claims:
        claimed = [each.message_id for each in decided.claims]
        values = {
            "state": State.SENDING.value,
            "reason": None,
            "attempts": of.attempts + 1,
            "tries": of.tries + 1,
            "lease_until": now + rules.LEASE,
            "updated_at": now,
        }
        update_where(session, sa.update(of).where(one_of(session, of.id, claimed)).values(**values))
