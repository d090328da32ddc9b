"""Two people at once: exactly one effect, whatever the engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from server.feedback import queries, service
from server.feedback.errors import AlreadyRatedError, TicketChangedError
from server.kernel.errors import DomainError
from tests.factories.feedback import a_caller, a_ticket, an_agent

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from server.bootstrap import Core

pytestmark = pytest.mark.committing


def at_once(core: Core, attempts: list[Callable[[Session], Any]]) -> list[Any]:
    barrier = Barrier(len(attempts))

    def run(attempt: Callable[[Session], Any]) -> Any:
        barrier.wait()
        try:
            return core.db.run(attempt)
        except DomainError as error:
            return error

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(run, attempts))


def test_of_two_agents_who_answer_at_once_one_is_told_to_look_again(core: Core) -> None:
    caller, now = a_caller(core), core.clock.now()
    ticket = core.db.run(lambda session: a_ticket(session, caller, now=now))
    outcomes = at_once(
        core,
        [
            lambda session, name=name: service.reply(
                session, ticket.ticket_no, f"您好，我是{name}", expected_version=ticket.version, actor=an_agent(name), now=now
            )
            for name in ("甲", "乙")
        ],
    )
    assert sum(isinstance(outcome, TicketChangedError) for outcome in outcomes) == 1
    with core.db.reading() as session:
        detail = queries.detail(session, ticket.ticket_no)
    assert len(detail.messages) == 2
    assert detail.ticket.version == ticket.version + 1


def test_of_many_ratings_at_once_one_counts(core: Core) -> None:
    caller, now = a_caller(core), core.clock.now()
    ticket = core.db.run(lambda session: a_ticket(session, caller, now=now))
    core.db.run(lambda session: service.reply(session, ticket.ticket_no, "已补发", actor=an_agent(), now=now))
    outcomes = at_once(
        core,
        [
            lambda session, score=score: service.rate(session, ticket.ticket_no, score, actor=caller.actor, now=now)
            for score in (1, 2, 3, 4, 5)
        ],
    )
    assert sum(isinstance(outcome, AlreadyRatedError) for outcome in outcomes) == 4
    with core.db.reading() as session:
        assert len(queries.detail(session, ticket.ticket_no).ratings) == 1


def test_a_member_and_an_agent_writing_at_once_both_get_through(core: Core) -> None:
    caller, now = a_caller(core), core.clock.now()
    ticket = core.db.run(lambda session: a_ticket(session, caller, now=now))
    outcomes = at_once(
        core,
        [
            lambda session: service.reply(session, ticket.ticket_no, "还有照片", actor=caller.actor, now=now),
            lambda session: service.reply(session, ticket.ticket_no, "收到", actor=an_agent(), now=now),
        ],
    )
    assert not any(isinstance(outcome, Exception) for outcome in outcomes)
    with core.db.reading() as session:
        detail = queries.detail(session, ticket.ticket_no)
    assert (len(detail.messages), detail.ticket.version) == (3, 3)
