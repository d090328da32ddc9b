"""Two who decide, two pushes, a push against its call: one end, carried out once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from server.audit.models import AuditEntry
from server.bootstrap import build_core
from server.flows import screening as flow
from server.kernel.errors import DomainError
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.members import queries as members
from server.screening import queries, service
from server.screening.queries import CheckFilter
from tests.factories.feedback import a_caller, an_agent
from tests.screening.test_screening import avatar, rename

pytestmark = pytest.mark.committing
ROUNDS = 12


@pytest.fixture
def wide(core, settings):
    made = build_core(settings.model_copy(update={"pool_size": 4}), clock=core.clock, wechat=core.wechat)
    yield made
    made.close()


def together(core, *works):
    gate = threading.Barrier(len(works))

    def do(work):
        gate.wait()
        try:
            return core.db.run(work, attempts=40)
        except DomainError as error:
            return error.code

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(do, works))


def newest(core):
    with core.db.reading() as session:
        return queries.listed(session, CheckFilter(), PageRequest(1)).items[0]


def test_of_two_who_decide_the_first_does(core, wide, client, wechat):
    wechat.doubtful_words.append("加微信")
    for number in range(ROUNDS):
        member = a_caller(core, f"openid-{number}")
        rename(client, member, "加微信")
        check, now = newest(core), core.clock.now()

        def decide(session, *, allow, check=check, now=now):
            return flow.decide(session, check.id, allow=allow, reason="x", actor=an_agent(), now=now).state

        done = together(wide, lambda s: decide(s, allow=True), lambda s: decide(s, allow=False))
        assert sorted(done)[1:] == ["content_check_decided"] or done.count("content_check_decided") == 1
        kept = newest(core)
        with core.db.reading() as session:
            nickname = members.require(session, member.member_id).nickname
            trail = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.subject_id == str(check.id))).all()
        assert nickname == ("加微信" if kept.state == "allowed" else None)
        assert len(trail) == 1


def test_a_push_and_the_end_of_its_call_meet_in_any_order_and_the_picture_is_decided_once(core, wide, client):
    for number in range(ROUNDS):
        member = a_caller(core, f"openid-{number}")
        avatar(client, member)
        check, now, trace = newest(core), core.clock.now(), f"race-{number}"
        (claimed,) = core.db.run(lambda s, check=check, now=now: service.claim(s, [check.id], now=now))

        def push(session, trace=trace, now=now):
            return flow.take_answer(session, trace, suggestion="risky", label=20002, now=now) is not None

        def end(session, claimed=claimed, trace=trace, now=now):
            return flow.note_asked(session, claimed, trace, now=now) is not None

        done = together(wide, push, end, push)
        assert done.count(True) == 1, done
        assert newest(core).state == "blocked"
        with core.db.reading() as session:
            told = session.scalar(
                sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.key == f"screening.content_refused:{check.id}")
            )
            assert members.require(session, member.member_id).avatar_upload_id is None
        assert told == 1


def test_a_person_and_a_push_at_once_leave_one_end(core, wide, client):
    for number in range(ROUNDS):
        member = a_caller(core, f"openid-{number}")
        avatar(client, member)
        check, now, trace = newest(core), core.clock.now(), f"race-{number}"
        (claimed,) = core.db.run(lambda s, check=check, now=now: service.claim(s, [check.id], now=now))
        core.db.run(lambda s, claimed=claimed, trace=trace, now=now: flow.note_asked(s, claimed, trace, now=now))

        def push(session, trace=trace, now=now):
            return flow.take_answer(session, trace, suggestion="pass", label=100, now=now) is not None

        def person(session, check=check, now=now):
            return flow.decide(session, check.id, allow=False, reason="x", actor=an_agent(), now=now).state

        answers = together(wide, push, person)
        kept = newest(core).state
        assert answers in ([True, "content_check_decided"], [False, "refused"])
        assert kept == ("passed" if answers[0] else "refused")


def test_one_of_several_workers_asks(core, wide, client):
    avatar(client, a_caller(core))
    check, now = newest(core), core.clock.now()
    claims = together(wide, *[lambda s: len(service.claim(s, [check.id], now=now)) for _ in range(4)])
    assert sorted(claims) == [0, 0, 0, 1]
