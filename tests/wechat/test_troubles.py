"""A WeChat that refuses us: one retry for each call, one alarm for all, and a channel that waits. Against the emulator and a database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from server.members import service as members
from server.notifications import queries
from server.operations import queries as operations
from server.operations.wechat_watch import INCIDENT, LOOK_SECONDS, WeChatWatch
from server.wechat import troubles
from server.wechat.emulator.platform import Fault
from server.wechat.errors import WeChatMisconfiguredError, WeChatRejectedError, WeChatUnavailableError
from server.wechat.failures import Failure
from server.wechat.policy import POLICIES, Again, policy_of
from tasks.jobs import notifications as job
from tasks.jobs import retention, sending
from tests.factories.notifications import ANSWERED, all_templates, an_answer
from tests.wechat.conftest import APPID, SECRET, Emulator

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

SEND = "/cgi-bin/message/subscribe/send"
TEMPLATE = "demo-tmpl-ticket-answered"
FOR_EVER = 10_000_000


@pytest.fixture
def watched(core: Core, emulator: Emulator) -> Core:
    """Give a product whose gateway talks to the emulator and is watched, as ``build_core`` makes it."""
    watch = WeChatWatch(core.db, APPID, core.clock)
    object.__setattr__(core, "wechat", emulator.gateway(observer=watch))
    return core


def some_messages(core: Core, emulator: Emulator, number: int) -> list:
    now = core.clock.now()

    def enrol(session):
        all_templates(session, now=now)
        return members.login_with_wechat(session, appid=APPID, openid="o1", unionid=None, now=now).member_id

    member_id = core.db.run(enrol)
    for n in range(number):
        emulator.platform.popup("o1", TEMPLATE, accept=True)
        core.db.run(lambda s, n=n: job.service.credit_grant(s, member_id, ANSWERED, event_key=f"tap:{n}", now=now))
    return core.db.run(lambda s: [an_answer(s, member_id, key=f"answer:{n}", now=now) for n in range(number)])


def incidents(core: Core) -> list:
    with core.db.reading() as session:
        return [one for one in operations.incidents(session) if one.kind == INCIDENT]


def states(core: Core, ids: list) -> dict[str, int]:
    with core.db.reading() as session:
        found = [queries.find(session, one).state for one in ids]
    return {state: found.count(state) for state in set(found)}


@pytest.mark.committing
@pytest.mark.requirement("NTF4")
@pytest.mark.parametrize("threads", [1, 8])
def test_a_token_that_is_always_refused_costs_one_retry_and_one_alarm(
    watched: Core, emulator: Emulator, clock: MovableClock, threads: int
) -> None:
    ids = some_messages(watched, emulator, 100)
    fault = Fault(SEND, FOR_EVER, errcode=40001)
    emulator.platform.faults.append(fault)
    job.deliver_batch(watched, ids, threads=threads)
    # Each call once and once more with a fresh token, for those under way at the first refusal; the others were not made.
    made = emulator.count(SEND)
    assert 2 <= made <= 2 * threads * (job.LANES if threads > 1 else 1)
    assert made % 2 == 0
    assert [(one.subject, one.details["code"]) for one in incidents(watched)] == [(APPID, "40001")]
    assert states(watched, ids) == {"queued": 100}
    # Whatever is asked for meanwhile, nothing more is called before the pause is over, and then one message tries.
    for _ in range(5):
        sending.send_due(watched, clock.now())
    assert emulator.count(SEND) == made
    waited = []
    for _ in range(8):
        with watched.db.reading() as session:
            until = troubles.pause_of(session, (troubles.SEND_ENDPOINT,), appid=APPID)
        assert until is not None
        waited.append((until - clock.now()).total_seconds() / 60)
        clock.set(until)
        before = emulator.count(SEND)
        sending.send_due(watched, clock.now())
        assert emulator.count(SEND) == before + 2
    assert waited == [1, 2, 4, 8, 16, 30, 30, 30]
    assert len(incidents(watched)) == 1
    # It is over: the one that tries goes through, the alarm ends by itself, and the rest follows in the same run.
    emulator.platform.faults.clear()
    clock.move(timedelta(hours=2))
    watched.wechat._client._observer._looked_at = None  # twenty seconds later
    sending.send_due(watched, clock.now())
    assert incidents(watched) == []
    assert states(watched, ids) == {"sent": 100}


@pytest.mark.committing
def test_a_trouble_that_comes_again_is_a_new_alarm(watched: Core, emulator: Emulator) -> None:
    for _ in range(2):
        emulator.platform.faults.append(Fault("/wxa/msg_sec_check", 4, errcode=40001))
        for _ in range(2):
            with pytest.raises(WeChatMisconfiguredError):
                watched.wechat.check_text("o1", "你好")
        assert len(incidents(watched)) == 1
        assert watched.wechat.check_text("o1", "你好").passed
        assert incidents(watched) == []
    with watched.db.reading() as session:
        everything = operations.incidents(session, include_closed=True)
        found = troubles.latest(session, appid=APPID)
    assert len([one for one in everything if one.kind == INCIDENT]) == 2
    assert [(one.code, one.occurrences, one.pauses) for one in found] == [("40001", 4, 0)]


@pytest.mark.committing
def test_another_process_ends_the_alarm_too(watched: Core, emulator: Emulator) -> None:
    at = [0.0]
    other = emulator.gateway(observer=WeChatWatch(watched.db, APPID, watched.clock, lambda: at[0]))
    assert other.check_text("o1", "你好").passed
    emulator.platform.faults.append(Fault("/wxa/msg_sec_check", 2, errcode=48001))
    for _ in range(2):
        with pytest.raises(WeChatMisconfiguredError):
            watched.wechat.check_text("o1", "你好")
    assert [one.subject for one in incidents(watched)] == [f"{APPID} wxa/msg_sec_check"]
    assert other.check_text("o1", "你好").passed
    assert len(incidents(watched)) == 1, "it looks every twenty seconds"
    at[0] += LOOK_SECONDS
    assert other.check_text("o1", "你好").passed
    assert incidents(watched) == []


@pytest.mark.committing
def test_what_belongs_to_an_ordinary_day_is_not_kept_and_the_rest_is_with_its_number(watched: Core, emulator: Emulator) -> None:
    with pytest.raises(WeChatRejectedError):
        watched.wechat.send_subscribe_message("o1", TEMPLATE, {"character_string1": "T1", "thing2": "好", "time3": "12:00"})
    with pytest.raises(WeChatRejectedError) as refused:
        watched.wechat.send_subscribe_message("o1", "nope", {})
    emulator.platform.faults.append(Fault(SEND, 1, status=502))
    with pytest.raises(WeChatUnavailableError):
        watched.wechat.send_subscribe_message("o1", "nope", {})
    with watched.db.reading() as session:
        found = {one.code: one for one in troubles.latest(session, appid=APPID)}
    assert set(found) == {"40037", "http_502"}
    assert found["40037"].rid == refused.value.rid
    assert incidents(watched) == []


@pytest.mark.committing
def test_many_at_once_write_one_row_and_raise_one_alarm(core: Core) -> None:
    watches = [WeChatWatch(core.db, APPID, core.clock) for _ in range(4)]
    failure = Failure(troubles.SEND_ENDPOINT, "40164", "r1")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: watches[n % 4].failed(failure), range(16)))
    with core.db.reading() as session:
        (found,) = troubles.latest(session, appid=APPID)
    assert (found.occurrences, found.pauses) == (16, 1)
    (incident,) = incidents(core)
    assert incident.occurrences == 1
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: watches[n % 4].answered(troubles.SEND_ENDPOINT), range(16)))
    assert incidents(core) == []


def test_a_database_that_is_away_does_not_change_the_calls_error(emulator: Emulator) -> None:
    watch = WeChatWatch(None, APPID, None)  # type: ignore[arg-type]  # every use of them fails
    gateway = emulator.gateway(observer=watch)
    assert gateway.check_text("o1", "你好").passed
    emulator.platform.faults.append(Fault("/wxa/msg_sec_check", 2, errcode=40001))
    with pytest.raises(WeChatMisconfiguredError):
        gateway.check_text("o1", "你好")


@pytest.mark.committing
def test_failures_are_forgotten_when_they_are_over_and_old(core: Core, clock: MovableClock) -> None:
    def note(session):
        for code in ("40037", "40001"):
            troubles.note(session, Failure(troubles.SEND_ENDPOINT, code), appid=APPID, now=clock.now())

    core.db.run(note)
    clock.move(timedelta(days=31))
    retention.forget(core, clock.now())
    with core.db.reading() as session:
        assert [one.code for one in troubles.latest(session, appid=APPID)] == ["40001"]


def test_the_table_says_what_the_calls_do() -> None:
    assert {code for code, policy in POLICIES.items() if policy.again is Again.FRESH_TOKEN} == {"40001", "40014", "42001"}
    assert all(policy.again is not Again.NEVER for policy in POLICIES.values() if policy.alert)
    assert policy_of("http_502").code == "http"
    assert policy_of(99999).code == "99999"
    assert not policy_of(99999).alert


@pytest.mark.committing
def test_nothing_that_is_kept_or_shown_holds_a_secret(watched: Core, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    wrong = emulator.gateway(secret=SECRET + "-wrong", observer=watched.wechat._client._observer)
    for call in (
        lambda: wrong.check_text("o1", "canary-text"),
        wrong.clear_quota,
        lambda: watched.wechat.send_subscribe_message("canary-openid", "nope", {}),
    ):
        with pytest.raises((WeChatMisconfiguredError, WeChatRejectedError)):
            call()
    with watched.db.reading() as session:
        kept = repr(troubles.latest(session, appid=APPID)) + repr([one.details for one in operations.incidents(session)])
    token = emulator.platform._current or "?"
    for canary in (SECRET, "canary-text", "canary-openid", token):
        assert canary not in kept
        # The emulator's own log is the platform's, not ours.
        assert canary not in " ".join(record.getMessage() for record in caplog.records if record.name != "werkzeug")
