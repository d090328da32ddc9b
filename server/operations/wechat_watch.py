"""Watches the calls to WeChat: keeps what failed, raises one alarm when staff must act, and ends it when calls are answered again.

An alarm is an incident. It is about the app while the app as a whole is refused, and about one interface when only that is; however
many calls fail, it is one row.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from server.kernel.actors import SystemActor
from server.operations import service
from server.wechat import troubles
from server.wechat.policy import Kind, policy_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.clock import Clock
    from server.kernel.db import Database
    from server.wechat.failures import Failure

_log = structlog.get_logger("wechat")

INCIDENT = "wechat.refused"
# How long another process may not know that something was in trouble, and therefore not that it is over.
LOOK_SECONDS = 20.0
_WHOLE_APP = frozenset({Kind.TOKEN, Kind.CONNECTION})
_ACTOR = SystemActor("wechat.watch")


class WeChatWatch:
    """An ``Observer`` that writes to the database, in transactions of its own.

    Arguments:
        database: where it writes.
        appid: whose calls.
        clock: tells the present instant.
        seconds: a clock that only ever moves forward.
    """

    def __init__(self, database: Database, appid: str, clock: Clock, seconds: Callable[[], float] = time.monotonic) -> None:
        self._database, self._appid, self._clock, self._seconds = database, appid, clock, seconds
        self._lock = threading.Lock()
        self._standing: frozenset[str] = frozenset()
        self._looked_at: float | None = None

    def failed(self, failure: Failure) -> None:
        """Take note of a call that failed. Whatever goes wrong here, the call's own error is what its caller hears of."""
        policy = policy_of(failure.code)
        if not policy.noted:
            return
        try:
            self._database.run(lambda session: self._note(session, failure))
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("wechat.watch_broke", error=type(error).__name__)
            return
        if policy.alert:
            with self._lock:
                self._standing |= {failure.endpoint}

    def answered(self, endpoint: str) -> None:
        """Take note of a call that was answered. It costs a look at the database every twenty seconds, and nothing else."""
        try:
            if self._in_trouble(endpoint):
                self._database.run(lambda session: self._settle(session, endpoint))
                with self._lock:
                    self._standing -= {endpoint, troubles.TOKEN_ENDPOINT}
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("wechat.watch_broke", error=type(error).__name__)

    def _in_trouble(self, endpoint: str) -> bool:
        with self._lock:
            at = self._seconds()
            stale = self._looked_at is None or at - self._looked_at >= LOOK_SECONDS
            if stale:
                self._looked_at = at
        if stale:
            with self._database.reading() as session:
                found = frozenset(one.endpoint for one in troubles.standing(session, appid=self._appid))
            with self._lock:
                self._standing = found
        return not self._standing.isdisjoint((endpoint, troubles.TOKEN_ENDPOINT))

    def _note(self, session: Session, failure: Failure) -> None:
        now = self._clock.now()
        if troubles.note(session, failure, appid=self._appid, now=now):
            details = {"code": failure.code, "interface": failure.endpoint, "rid": failure.rid or ""}
            service.open_incident(session, INCIDENT, self._subject(failure.endpoint, failure.code), details=details, now=now)

    def _settle(self, session: Session, endpoint: str) -> None:
        now = self._clock.now()
        codes = troubles.settle(session, appid=self._appid, endpoint=endpoint)
        still = {self._subject(one.endpoint, one.code) for one in troubles.standing(session, appid=self._appid)}
        for subject in sorted({self._subject(endpoint, code) for code in codes} - still):
            service.resolve_incident(session, INCIDENT, subject, actor=_ACTOR, now=now)

    def _subject(self, endpoint: str, code: str) -> str:
        return self._appid if policy_of(code).kind in _WHOLE_APP else f"{self._appid} {endpoint}"[:120]
