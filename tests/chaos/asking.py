"""Who is written to, who asks for the messages, and members who use the product meanwhile."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from datetime import time as daytime

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.source import Source
from server.members import service as members
from server.notifications import service
from server.notifications.models import NotificationGrant, NotificationGrantEntry, NotificationMessage
from server.notifications.templates import PointsAccrued
from server.points.accruals import accrue
from tests.chaos.oracle import SUBJECT
from tests.races.crowd import a_crowd

_CHUNK = 50
_COUNT_SECONDS = 0.5
# Every so many messages one is not asked for but told by an accrual, over the whole way: event, relay, handler, message, event, relay, call.
_ACCRUED_EVERY, _ACCRUED = 50, 7


@dataclass(frozen=True)
class People:
    """Members by their places: message n goes to member n modulo their number.

    Arguments:
        ids: of members.
        allowances: how many messages each of them allows.
        silent: places of those who allow none.
        unwilling: places of those who want no pushes of this topic.
    """

    ids: list
    allowances: int
    silent: frozenset[int]
    unwilling: frozenset[int]

    def expected(self, number: int) -> str | None:
        """Return why a message is not to be pushed, or None."""
        place = number % len(self.ids)
        return "no_grant" if place in self.silent else "preference" if place in self.unwilling else None


def gather(core, size: int, allowances: int) -> People:
    """Make members who logged in with WeChat and are never in quiet hours; each fiftieth allows nothing or wants nothing."""
    now = datetime.now(UTC)
    silent = frozenset(range(49, size, 100))
    unwilling = frozenset(range(99, size, 100))
    with core.db.transaction() as session:
        service.set_template(
            session, PointsAccrued.code, wechat_template_id=PointsAccrued.demo_template_id, actor=SystemActor("test"), now=now
        )
    ids = []
    for start in range(0, size, 100):
        with core.db.transaction() as session:
            for place in range(start, min(start + 100, size)):
                appid = core.settings.wechat_appid
                member_id = members.login_with_wechat(session, appid=appid, openid=f"openid-{place}", unionid=None, now=now).member_id
                ids.append(member_id)
                service.choose_quiet_hours(session, member_id, (daytime(0), daytime(0)), now=now)
                if place in unwilling:
                    service.choose(session, member_id, PointsAccrued.topic.value, "subscribe", allowed=False, now=now)
                count = 0 if place in silent else allowances
                known = {"member_id": member_id, "template": PointsAccrued.code}
                session.add(NotificationGrant(id=uuid7(), **known, available=count, reserved=0, updated_at=now))
                change = {"kind": "credit", "available_change": count, "reserved_change": 0, "occurred_at": now}
                session.add(NotificationGrantEntry(id=uuid7(), **known, key=f"{member_id}:all", message_id=None, **change))
    with core.db.transaction() as session:
        # What else follows from so many new members is not what is proved here.
        session.execute(sa.delete(OutboxEvent))
    return People(ids, allowances, silent, unwilling)


class Requests(threading.Thread):
    """Asks for the messages 1…count, in transactions of fifty, each again until it is committed.

    Arguments:
        core: with a database connection of its own, over no wire.
        people: who gets them.
        count: how many in all.
        ahead: how many may be open at a time.
        limit: told how far it may go by now.
    """

    def __init__(self, core, people: People, count: int, ahead: int, limit) -> None:
        super().__init__(daemon=True)
        self._core, self._people, self._count, self._ahead, self._limit = core, people, count, ahead, limit
        self.open, self._counted_at = 0, 0.0
        self._ended = threading.Event()
        self.asked = 0
        self.repeated = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while self.asked < self._count and not self._ended.is_set():
                last = min(self.asked + _CHUNK, self._count)
                if self._limit() < last or self._too_many():
                    time.sleep(0.05)
                    continue
                self._ask(range(self.asked + 1, last + 1))
                self.asked = last
                self.open += _CHUNK
        except BaseException as failure:  # noqa: BLE001 - shown where the run waits for us
            self.failure = failure

    def _too_many(self) -> bool:
        if time.monotonic() - self._counted_at > _COUNT_SECONDS:
            still = sa.select(sa.func.count()).where(NotificationMessage.state.in_(("queued", "sending")))
            with suppress(DBAPIError), self._core.db.reading() as session:
                self.open, self._counted_at = int(session.scalar(still) or 0), time.monotonic()
        return self.open >= self._ahead

    def _ask(self, numbers: range) -> None:
        while True:
            try:
                self._core.db.run(lambda session: [self._one(session, number) for number in numbers])
            except DBAPIError:
                self.repeated += 1
                time.sleep(0.2)
            else:
                return

    def _one(self, session, number: int) -> None:
        now, text = datetime.now(UTC), f"{SUBJECT}{number}"
        member_id = self._people.ids[number % len(self._people.ids)]
        if number % _ACCRUED_EVERY == _ACCRUED:
            accrue(session, member_id, Points(1), source=Source("chaos", f"{number}"), reason=text, actor=SystemActor("test"), now=now)
        else:
            service.request(session, member_id, PointsAccrued(text, 1, 1, now), key=f"chaos:{number}", now=now)

    def end(self) -> None:
        self._ended.set()
        self.join()


def asked_for(texts: dict) -> int:
    """Return the number of a message by its texts."""
    return int(texts["reason"].removeprefix(SUBJECT))


@dataclass(frozen=True)
class Visit:
    """One request of a member and its answer; status 0 when none came."""

    at: float
    what: str
    status: int
    seconds: float


class Guests(threading.Thread):
    """A member who looks at their page, points, messages and card, and now and then writes to customer service, which asks WeChat about the text.

    Arguments:
        core: of the same database.
        port: of the web.
        pause: between two requests, in seconds.
    """

    def __init__(self, core, port: int, pause: float = 0.5) -> None:
        super().__init__(daemon=True)
        self._token = a_crowd(core, 1)[0].token
        self._port, self._pause = port, pause
        self._ended = threading.Event()
        self.visits: list[Visit] = []

    def run(self) -> None:
        looks = itertools.cycle(["/api/v1/me", "/api/v1/points", "/api/v1/messages", "/api/v1/card", "/api/v1/tickets"])
        for count in itertools.count():
            if self._ended.wait(self._pause):
                return
            if count % 40 == 10:
                body = json.dumps({"content": f"Where is parcel {count}?"})
                self._visit("POST", "/api/v1/tickets", body, {"Idempotency-Key": f"ticket-{count}", "Content-Type": "application/json"})
            else:
                self._visit("GET", next(looks))

    def _visit(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> None:
        began, status = time.time(), 0
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self._token}", **(headers or {})})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except OSError:
            pass
        finally:
            connection.close()
        self.visits.append(Visit(began, f"{method} {path}", status, time.time() - began))

    def end(self) -> None:
        self._ended.set()
        self.join()


def waiting(core) -> int:
    """Return how much is still to be done: messages that wait or are being sent, deliveries that wait, events nobody looked at."""
    tables = "notification_messages WHERE state IN ('queued','sending')", "outbox_events WHERE expanded_at IS NULL"
    mine = "outbox_deliveries d JOIN outbox_events e ON e.id = d.event_id WHERE d.state IN ('pending','dispatched','sending') AND e.topic <> 'schedule.due'"
    try:
        with core.db.reading() as session:
            return sum(int(session.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0) for table in (*tables, mine))
    except DBAPIError:
        return -1


def standing(core) -> str:
    """Return, for whoever watches, how many messages stand in which state."""
    try:
        with core.db.reading() as session:
            found = session.execute(sa.text("SELECT state, count(*) FROM notification_messages GROUP BY state ORDER BY state")).all()
    except DBAPIError:
        return "the database is away"
    return ", ".join(f"{number} {state}" for state, number in found)
