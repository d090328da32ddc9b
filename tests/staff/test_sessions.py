"""Sessions of staff: listed while they count, ended one at a time, never somebody else's without a reason."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from uuid import uuid4

import pytest

from server.audit import queries as audit
from server.kernel.actors import StaffActor, SystemActor
from server.kernel.pagination import PageRequest
from server.staff import login, queries, service, sessions
from server.staff.errors import ReasonMissingError, SessionNotFoundError
from server.staff.rules import SESSION_IDLE, SESSION_LIFE

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0"


def account(core, email="a@example.com"):
    return core.db.run(
        lambda s: service.create(
            s,
            email=email,
            name="周子涵",
            password="kqzv-7712-Berg-hain",
            roles=["service"],
            actor=SystemActor("tests"),
            reason="joins",
            now=core.clock.now(),
        )
    )


def begin(core, staff_id, **more):
    return core.db.run(lambda s: sessions.begin(s, staff_id, device=AGENT, address="10.0.0.7", now=core.clock.now(), **more))


def live(core, staff_id):
    with core.db.reading() as session:
        return [view.id for view in queries.sessions_of(session, staff_id, core.clock.now())]


def counts(core, staff_id, session_id):
    with core.db.reading() as session:
        return queries.session_counts(session, staff_id, session_id)


def endings(core, staff_id):
    with core.db.reading() as session:
        wanted = audit.EntryFilter(subject_type="staff", subject_id=str(staff_id), action="staff.end_session")
        return audit.list_entries(session, PageRequest(30), wanted).items


def test_sessions_are_listed_while_they_count_the_last_used_first(core, clock):
    me = account(core)
    first = begin(core, me)
    clock.move(timedelta(minutes=5))
    second = begin(core, me)
    assert live(core, me) == [second, first]
    clock.move(timedelta(minutes=5))
    assert core.db.run(lambda s: sessions.touch(s, first, address="10.0.0.8", now=clock.now()))
    assert live(core, me) == [first, second]
    clock.move(SESSION_IDLE - timedelta(minutes=5))
    assert live(core, me) == [first]
    clock.move(SESSION_LIFE)
    assert live(core, me) == []


def test_ending_one_leaves_the_others_and_is_on_record_once(core, clock):
    me, other = account(core), account(core, "b@example.com")
    first, second = begin(core, me), begin(core, me)
    officer = StaffActor(other, "赵敏")
    with pytest.raises(ReasonMissingError):
        core.db.run(lambda s: sessions.end(s, me, first, actor=officer, reason=" ", now=clock.now()))
    for _ in range(2):
        core.db.run(lambda s: sessions.end(s, me, first, actor=officer, reason="phone lost", now=clock.now()))
    assert live(core, me) == [second]
    assert not core.db.run(lambda s: sessions.touch(s, first, address=None, now=clock.now()))
    assert [entry.reason for entry in endings(core, me)] == ["phone lost"]
    core.db.run(lambda s: sessions.end(s, me, second, actor=StaffActor(me, "周子涵"), now=clock.now()))
    assert live(core, me) == []


def test_nobody_ends_a_session_by_another_accounts_address(core, clock):
    me, other = account(core), account(core, "b@example.com")
    mine = begin(core, me)
    for staff_id, session_id in ((other, mine), (me, uuid4())):
        with pytest.raises(SessionNotFoundError):
            core.db.run(
                lambda s, staff_id=staff_id, session_id=session_id: sessions.end(
                    s, staff_id, session_id, actor=StaffActor(staff_id, "x"), now=clock.now()
                )
            )
    assert counts(core, me, mine)
    assert not counts(core, other, mine)


@pytest.mark.parametrize("act", ["disable", "password", "second_factor", "everywhere"])
def test_whatever_ends_all_sessions_ends_the_rows_too(core, clock, act):
    me = account(core)
    session_id = begin(core, me)
    actor = SystemActor("tests")

    def work(s):
        if act == "disable":
            service.disable(s, me, actor=actor, reason="leaves", now=clock.now())
        elif act == "password":
            service.set_password(s, me, "vbnr-9921-Hain-berg", actor=actor, reason="forgot", now=clock.now())
        elif act == "second_factor":
            service.reset_second_factor(s, me, actor=actor, reason="lost", now=clock.now())
        else:
            login.note_logout(s, me, everywhere=True, address=None, now=clock.now())

    core.db.run(work)
    assert not counts(core, me, session_id)


def test_a_session_that_goes_on_replaces_the_one_before_and_old_rows_are_forgotten(core, clock):
    me = account(core)
    first = begin(core, me)
    second = begin(core, me, replaces=first)
    assert live(core, me) == [second]
    clock.move(timedelta(days=31))
    third = begin(core, me)
    assert live(core, me) == [third]
    with pytest.raises(SessionNotFoundError):
        core.db.run(lambda s: sessions.end(s, me, first, actor=StaffActor(me, "x"), now=clock.now()))


@pytest.mark.committing
def test_two_who_end_one_session_at_once_leave_one_entry(core, clock):
    me = account(core)
    session_id = begin(core, me)
    gate, faults = Barrier(4), []

    def end():
        gate.wait()
        try:
            core.db.run(lambda s: sessions.end(s, me, session_id, actor=SystemActor("tests"), reason="twice", now=clock.now()))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            faults.append(error)

    threads = [Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(endings(core, me)) == 1
