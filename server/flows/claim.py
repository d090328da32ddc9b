"""A claim in one statement, for the rush when everybody wants the same coupon: who asks, what they hold, stock, coupon and all its traces.

What is written is what ``coupons.service.claim`` writes under an ``Idempotency-Key``; a test holds the two together, row by row. The
template's row is then locked for as long as the statement runs, not over several trips to the database. Only PostgreSQL can write to
several tables in one statement; elsewhere a claim takes the ordinary way.

The template is given as somebody read it earlier: the statement takes stock only while its row still has that version, so an edit, a
pause or a new limit sends the claim the ordinary way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.coupons import events
from server.coupons.errors import ClaimLimitReachedError, SoldOutError
from server.coupons.models import Coupon, CouponTemplate, CouponTransition
from server.coupons.queries import CLAIM_NAMESPACE, GIFT_NAMESPACE
from server.coupons.rules.states import CouponState
from server.coupons.service.issuing import new_coupon, taking_stock
from server.kernel.actors import MEMBER
from server.kernel.db import zone_of
from server.kernel.idempotency import IdempotencyRecord
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.prepared import Prepared
from server.members.models import Member, MemberSession
from server.members.session_queries import token_lives
from server.risk import queries as risk
from server.risk.rules import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from server.coupons.queries import TemplateView
    from server.kernel.errors import DomainError
    from server.kernel.prepared import Autocommit

CREATED = 201
_FIRST_VERSION = 1
_ONLY_SLOT = 1
_ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A claim as it was asked for.

    Arguments:
        access_hash: ``ids.token_hash`` of the member's access token.
        route: of the idempotency record, like the key and the hash.
        key: the client's ``Idempotency-Key``.
        request_hash: of path and body.
    """

    access_hash: str
    route: str
    key: str
    request_hash: str


def at_once(
    runner: Autocommit, template: TemplateView, asked: ClaimRequest, told: Callable[[Mapping[str, Any]], bytes], *, now: datetime
) -> bytes | DomainError | None:
    """Claim a coupon of a template that is ``claimable_by_all``, in one statement that is a transaction.

    Arguments:
        runner: a durable connection for single statements, to PostgreSQL.
        template: as it was read a moment ago.
        asked: who asks, and under which key.
        told: makes the answer of the new coupon's columns.
        now: present instant.

    Returns:
        The answer; a refusal that the ordinary way would give as well; or None for whatever that way has to find out: the log-in is not
        good, the key was used, the template was edited, the day's stock or the budget is used up.

    Raises:
        DBAPIError: nothing was claimed (another request of the member was faster, or held the row too long), or nobody knows.
    """
    coupon = new_coupon(template, None, _ONLY_SLOT, now=now, zone=zone_of(runner))
    answer = told(coupon)
    row = _CLAIM.one_or_none(
        runner,
        _facts(template, asked, now)
        | {
            "seen_version": template.version,
            "today": coupon["issued_day"],
            "cost_fen": coupon["committed_fen"],
            "coupon_id": coupon["id"],
            "coupon_ref": str(coupon["id"]),
            "code": coupon["code"],
            "valid_from": coupon["valid_from"],
            "valid_until": coupon["valid_until"],
            "source_key": coupon["source_key"],
            "record_id": uuid7(),
            "request_hash": asked.request_hash,
            "answer": answer,
            "transition_id": uuid7(),
            "event_id": uuid7(),
        },
    )
    return answer if row is not None and row.given else _refusal(row, template)


def in_vain(runner: Autocommit, template: TemplateView, asked: ClaimRequest, *, now: datetime) -> DomainError | None:
    """Return why a claim would be refused, or None when it had better be tried; for templates that were sold out a moment ago.

    Most who come to a rush come too late, and for them looking costs half of trying.

    Arguments:
        runner: a connection for single statements, to PostgreSQL.
        template: as for ``at_once``.
        asked: likewise.
        now: present instant.
    """
    return _refusal(_LOOK.one_or_none(runner, _facts(template, asked, now)), template)


def _facts(template: TemplateView, asked: ClaimRequest, now: datetime) -> dict[str, Any]:
    return {"access_hash": asked.access_hash, "now": now, "template_id": template.id, "route": asked.route, "key": asked.key}


def _refusal(row: Any, template: TemplateView) -> DomainError | None:
    if row is None or row.status != _ACTIVE or row.known or row.stopped or row.version != template.version:
        return None
    if row.held:
        return ClaimLimitReachedError()
    return SoldOutError() if row.stock is not None and row.issued >= row.stock else None


_COUPONS, _TEMPLATES = cast("sa.Table", Coupon.__table__), cast("sa.Table", CouponTemplate.__table__)
_TRANSITIONS, _EVENTS = cast("sa.Table", CouponTransition.__table__), cast("sa.Table", OutboxEvent.__table__)
_RECORDS = cast("sa.Table", IdempotencyRecord.__table__)


def _given(name: str, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return a parameter of a column's type. A text is of any length: a cast to VARCHAR(20) would cut it off in silence."""
    return sa.cast(sa.bindparam(name, type_=column.type), sa.Text() if isinstance(column.type, sa.String) else column.type)


def _fixed(value: str | int) -> sa.ColumnElement[Any]:
    """Return one of our own words or numbers, written into the statement: a parameter would be sent with every claim."""
    if isinstance(value, int):
        return sa.literal_column(str(value), sa.BigInteger())
    if "'" in value:
        raise ValueError(value)
    return sa.literal_column(f"'{value}'", sa.Text())


def _inserting(table: sa.Table, row: Mapping[str, sa.ColumnElement[Any]], where: sa.FromClause) -> sa.Insert:
    """Build an INSERT of one row for each row of ``where``."""
    return sa.insert(table).from_select(list(row), sa.select(*row.values()).select_from(where))


def _statement() -> sa.Select[Any]:
    """Build the one statement.

    Every part sees the tables as they were before it. What another request did meanwhile shows when the row of the template is taken,
    which looks at it anew, and at the UNIQUE constraints, which then break the whole statement off.
    """
    who = _who()
    free = sa.select(who.c.member_id).where(who.c.status == _fixed(_ACTIVE), ~who.c.held, ~who.c.known, ~who.c.stopped).exists()
    taken = taking_stock().where(free).returning(_TEMPLATES.c.id, _TEMPLATES.c.terms).cte("taken")
    claimed = who.join(taken, sa.true())
    now, coupon_id = _given("now", _COUPONS.c.issued_at), _given("coupon_id", _COUPONS.c.id)
    coupon = _inserting(
        _COUPONS,
        {
            "id": coupon_id,
            "code": _given("code", _COUPONS.c.code),
            "template_id": taken.c.id,
            "member_id": who.c.member_id,
            "slot": _fixed(_ONLY_SLOT),
            "state": _fixed(CouponState.ISSUED.value),
            "version": _fixed(_FIRST_VERSION),
            "terms": taken.c.terms,
            "valid_from": _given("valid_from", _COUPONS.c.valid_from),
            "valid_until": _given("valid_until", _COUPONS.c.valid_until),
            "issued_at": now,
            "issued_day": _given("today", _COUPONS.c.issued_day),
            "committed_fen": _given("cost_fen", _COUPONS.c.committed_fen),
            "source_namespace": _fixed(CLAIM_NAMESPACE),
            "source_key": _given("source_key", _COUPONS.c.source_key),
        },
        claimed,
    )
    record = _inserting(
        _RECORDS,
        {
            "id": _given("record_id", _RECORDS.c.id),
            "caller": who.c.caller,
            "route": _given("route", _RECORDS.c.route),
            "key": _given("key", _RECORDS.c.key),
            "request_hash": _given("request_hash", _RECORDS.c.request_hash),
            "status": _fixed(CREATED),
            "body": _given("answer", _RECORDS.c.body),
            "created_at": now,
        },
        claimed,
    )
    transition = _inserting(
        _TRANSITIONS,
        {
            "id": _given("transition_id", _TRANSITIONS.c.id),
            "coupon_id": coupon_id,
            "event": _fixed("issue"),
            "to_state": _fixed(CouponState.ISSUED.value),
            "actor_kind": _fixed(MEMBER),
            "actor_ref": who.c.ref,
            "occurred_at": now,
        },
        claimed,
    )
    ref = _given("coupon_ref", _EVENTS.c.key)
    event = _inserting(
        _EVENTS,
        {
            "id": _given("event_id", _EVENTS.c.id),
            "key": _fixed(f"{events.ISSUED}:") + ref + _fixed(f":{_FIRST_VERSION}"),
            "topic": _fixed(events.ISSUED),
            "aggregate_type": _fixed("coupon"),
            "aggregate_id": coupon_id,
            "version": _fixed(_FIRST_VERSION),
            # As ``JsonDocument`` writes it; neither id has a character that JSON would escape.
            "payload": _fixed('{"coupon_id":"') + ref + _fixed('","member_id":"') + who.c.ref + _fixed('"}'),
            "occurred_at": now,
        },
        claimed,
    )
    written = {"coupon": coupon, "record": record, "transition": transition, "event": event}
    given = sa.select(taken.c.id).exists().label("given")
    return _looking(who).add_columns(given).add_cte(*(insert.cte(name) for name, insert in written.items()))


def _looking(who: sa.CTE) -> sa.Select[Any]:
    of = _TEMPLATES.c
    facts = sa.select(who.c.status, who.c.held, who.c.known, who.c.stopped, of.version, of.stock, of.issued)
    return facts.select_from(who.join(_TEMPLATES, of.id == _given("template_id", of.id)))


def _who() -> sa.CTE:
    """Return who asks, whether they hold such a coupon already (one given by a friend aside), and what sends them the ordinary way."""
    caller = _fixed(f"{MEMBER}:") + sa.cast(Member.id, sa.Text())
    held = sa.exists().where(
        Coupon.template_id == _given("template_id", _TEMPLATES.c.id),
        Coupon.member_id == Member.id,
        Coupon.source_namespace != _fixed(GIFT_NAMESPACE),
    )
    known = sa.exists().where(
        _RECORDS.c.caller == caller, _RECORDS.c.route == _given("route", _RECORDS.c.route), _RECORDS.c.key == _given("key", _RECORDS.c.key)
    )
    return (
        sa.select(
            Member.id.label("member_id"),
            sa.cast(Member.id, sa.Text()).label("ref"),
            caller.label("caller"),
            Member.status,
            held.label("held"),
            known.label("known"),
            risk.held(Member.id, Scope.COUPONS, _given("now", _COUPONS.c.issued_at)).label("stopped"),
        )
        .join_from(MemberSession, Member, Member.id == MemberSession.member_id)
        .where(token_lives())
        .cte("who")
    )


_CLAIM = Prepared(_statement())
_LOOK = Prepared(_looking(_who()))
