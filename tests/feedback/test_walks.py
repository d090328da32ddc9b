"""Random walks through a ticket's life: whatever is tried, the rows tell one consistent story."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from server.feedback import queries, service
from server.feedback.rules import State, Step, next_state
from server.kernel.errors import DomainError
from tests.conftest import START
from tests.factories.feedback import a_caller, a_ticket, an_agent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core


@pytest.mark.parametrize("seed", range(12))
def test_a_random_walk_keeps_moves_deadlines_and_ratings_consistent(session: Session, core: Core, seed: int) -> None:
    rng, now = random.Random(seed), START
    member, agent = a_caller(core), an_agent()
    number = a_ticket(session, member, now=now).ticket_no
    verbs = {
        Step.START: lambda at: service.start_work(session, number, actor=agent, now=at),
        Step.ANSWER: lambda at: service.reply(session, number, "答", actor=agent, now=at),
        Step.FOLLOW_UP: lambda at: service.reply(session, number, "问", actor=member.actor, now=at),
        Step.UNASSIGN: lambda at: service.assign(session, number, None, actor=agent, now=at),
        Step.CLOSE: lambda at: service.close(session, number, actor=agent, now=at),
        Step.REOPEN: lambda at: service.reopen(session, number, actor=agent, now=at),
        "rate": lambda at: service.rate(session, number, rng.randrange(1, 6), actor=member.actor, now=at),
        "priority": lambda at: service.classify(session, number, priority=rng.choice(["low", "urgent"]), actor=agent, now=at),
    }
    for _ in range(30):
        now += timedelta(minutes=rng.randrange(1, 600))
        before = queries.find(session, number)
        verb = rng.choice(list(verbs))
        savepoint = session.begin_nested()
        try:
            after = verbs[verb](now)
            savepoint.commit()
        except DomainError:
            savepoint.rollback()
            assert queries.find(session, number) == before
            continue
        assert after.version == before.version + 1
        if isinstance(verb, Step):
            assert State(after.state) is next_state(State(before.state), verb)

    detail = queries.detail(session, number)
    assert [move.from_state for move in detail.moves[1:]] == [move.to_state for move in detail.moves[:-1]]
    assert detail.moves[-1].to_state == detail.ticket.state
    running = [deadline for deadline in detail.deadlines if deadline.state == "open"]
    assert detail.ticket.next_due_at == min((deadline.due_at for deadline in running), default=None)
    assert {deadline.round for deadline in running} <= {detail.ticket.round}
    assert len({rating.round for rating in detail.ratings}) == len(detail.ratings)
    if detail.ticket.state == "closed":
        assert not [deadline for deadline in detail.deadlines if deadline.state in {"open", "paused"}]
