"""Sending once: every way a call can end, and every moment a process can die."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.members.models import Member
from server.notifications import delivery, figures, queries, service
from server.notifications.errors import MessageNotFoundError, MessageNotUncertainError
from server.notifications.models import NotificationGrant
from server.notifications.privacy_templates import MembershipDeletion
from server.notifications.queries import MessageView
from server.notifications.rules import LEASE, Decision, Outcome
from server.notifications.templates import BirthdayGreeting, PointsAccrued
from server.wechat.errors import WeChatMisconfiguredError, WeChatRejectedError, WeChatUnavailableError
from tasks.jobs import notifications as job
from tasks.jobs import sending
from tests.factories.members import APPID, a_member
from tests.factories.notifications import ANSWERED, SYSTEM, a_grant, all_templates, an_answer

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock
    from server.wechat.gateway import SentMessage
    from tests.fakes.wechat import FakeWeChat

pytestmark = pytest.mark.committing
NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)


def prepared(core: Core, *, grants: int = 1, openid: str = "o1") -> tuple[UUID, UUID]:
    """Return a member with allowances, and a message queued for them."""

    def work(session):
        now = core.clock.now()
        all_templates(session, now=now)
        member_id = a_member(session, now=now, openid=openid)
        for number in range(grants):
            a_grant(session, member_id, key=f"{openid}:{number}", now=now)
        return member_id, an_answer(session, member_id, key=f"answer:{openid}", now=now)

    return core.db.run(work)


def message(core: Core, message_id: UUID) -> MessageView:
    with core.db.reading() as session:
        found = queries.find(session, message_id)
        assert figures.prove_grants(session) == []
    assert found is not None
    return found


def grant(core: Core, member_id: UUID, template: str = ANSWERED) -> tuple[int, int]:
    with core.db.reading() as session:
        row = session.execute(
            sa.select(NotificationGrant.available, NotificationGrant.reserved).where(
                NotificationGrant.member_id == member_id, NotificationGrant.template == template
            )
        ).one()
        return int(row.available), int(row.reserved)


@pytest.mark.requirement("NTF2")
def test_a_message_is_sent_and_spends_its_allowance(core: Core, wechat: FakeWeChat) -> None:
    member_id, message_id = prepared(core)
    assert job.deliver_batch(core, [message_id]) == 1
    sent = wechat.sent[0]
    assert (sent.openid, sent.template_id, sent.page) == ("o1", "demo-tmpl-ticket-answered", "pages/tickets/detail?ticket_no=T1")
    assert sent.data == {"character_string1": "T1", "thing2": "您好，已为您补发", "time3": "2026年06月15日 12:00"}
    found = message(core, message_id)
    assert (found.state, found.attempts, found.msg_id) == ("sent", 1, "900000000000000001")
    assert grant(core, member_id) == (0, 0)
    assert job.deliver_batch(core, [message_id]) == 0
    assert len(wechat.sent) == 1


def test_without_an_allowance_nothing_is_called_and_the_inbox_has_it(core: Core, wechat: FakeWeChat) -> None:
    member_id, message_id = prepared(core, grants=0)
    job.deliver_batch(core, [message_id])
    found = message(core, message_id)
    assert (found.state, found.reason, wechat.sent) == ("skipped", "no_grant", [])
    with core.db.reading() as session:
        assert queries.unread(session, member_id) == 1


def test_workers_at_the_same_time_call_once(core: Core, wechat: FakeWeChat) -> None:
    member_id, message_id = prepared(core, grants=3)
    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(lambda _: job.deliver_batch(core, [message_id]), range(12))) == 1
    assert len(wechat.sent) == 1
    assert grant(core, member_id) == (2, 0)


def test_many_messages_never_spend_more_than_was_granted(core: Core, wechat: FakeWeChat) -> None:
    member_id, first = prepared(core, grants=3)
    others = core.db.run(lambda s: [an_answer(s, member_id, key=f"more:{n}", now=NOW) for n in range(9)])
    ids = [first, *others]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda chunk: job.deliver_batch(core, chunk), [ids[n::5] for n in range(5)]))
    assert len(wechat.sent) == 3
    assert grant(core, member_id) == (0, 0)
    assert sorted(message(core, one).state for one in ids) == ["sent"] * 3 + ["skipped"] * 7


def test_calls_can_be_made_side_by_side(core: Core, wechat: FakeWeChat) -> None:
    member_id, first = prepared(core, grants=5)
    others = core.db.run(lambda s: [an_answer(s, member_id, key=f"more:{n}", now=NOW) for n in range(4)])
    assert job.deliver_batch(core, [first, *others], threads=4) == 5
    assert grant(core, member_id) == (0, 0)


def test_a_call_that_hangs_keeps_nothing_from_being_written_down(core: Core, wechat: FakeWeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    member_id, first = prepared(core, grants=5)
    others = core.db.run(lambda s: [an_answer(s, member_id, key=f"more:{n}", now=NOW) for n in range(3)])
    call, others_are_sent = wechat.send_subscribe_message, []

    hanging = threading.Lock()

    def hang_once(*arguments: Any) -> SentMessage:
        if hanging.acquire(blocking=False):
            deadline = monotonic() + 20
            while monotonic() < deadline and not others_are_sent:
                sleep(0.05)
                if sorted(message(core, one).state for one in [first, *others]) == ["sending", "sent", "sent", "sent"]:
                    others_are_sent.append(True)
        return call(*arguments)

    monkeypatch.setattr(wechat, "send_subscribe_message", hang_once)
    assert job.deliver_batch(core, [first, *others], threads=4) == 4
    assert others_are_sent == [True]


def test_what_is_known_of_a_call_outlasts_a_database_that_refuses_connections(
    core: Core, wechat: FakeWeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, message_id = prepared(core)
    settle_all, refused = delivery.settle_all, []

    def away(*arguments: Any, **named: Any) -> Any:
        if len(refused) < 2:
            refused.append(True)
            raise sa.exc.OperationalError("", None, Exception("connection refused"))  # as it comes: not one that invalidates a connection
        return settle_all(*arguments, **named)

    monkeypatch.setattr(delivery, "settle_all", away)
    monkeypatch.setattr(job, "_SETTLE_PAUSE_SECONDS", 0.01)
    assert job.deliver_batch(core, [message_id]) == 1
    assert message(core, message_id).state == "sent"
    assert len(wechat.sent) == 1


def test_busy_is_tried_three_times_and_the_allowance_comes_back(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, message_id = prepared(core)
    wechat.failures = [WeChatUnavailableError("busy", certainly_not_done=True)] * 5
    for attempt in (1, 2):
        job.deliver_batch(core, [message_id])
        found = message(core, message_id)
        assert (found.state, found.reason, found.attempts) == ("queued", "busy", attempt)
        assert grant(core, member_id) == (1, 0)
        job.deliver_batch(core, [message_id])
        assert message(core, message_id).attempts == attempt, "not before its time"
        clock.move(timedelta(hours=2))
    assert sending.send_due(core, clock.now()) == 1
    found = message(core, message_id)
    assert (found.state, found.reason, found.attempts) == ("failed", "busy", 3)
    assert grant(core, member_id) == (1, 0)


def test_a_retry_that_succeeds_is_one_message(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    _, message_id = prepared(core)
    wechat.failures = [WeChatMisconfiguredError(40164)]
    job.deliver_batch(core, [message_id])
    assert message(core, message_id).reason == "misconfigured"
    clock.move(timedelta(hours=1))
    sending.send_due(core, clock.now())
    assert message(core, message_id).state == "sent"


def test_a_refusal_by_the_member_empties_the_allowance(core: Core, wechat: FakeWeChat) -> None:
    member_id, message_id = prepared(core, grants=4)
    wechat.failures = [WeChatRejectedError(43101)]
    job.deliver_batch(core, [message_id])
    found = message(core, message_id)
    assert (found.state, found.reason) == ("failed", "refused_or_no_grant")
    assert grant(core, member_id) == (0, 0)


def test_a_refusal_of_the_content_gives_the_allowance_back(core: Core, wechat: FakeWeChat) -> None:
    member_id, message_id = prepared(core)
    wechat.failures = [WeChatRejectedError(47003, field="thing2")]
    job.deliver_batch(core, [message_id])
    assert message(core, message_id).reason == "rejected_47003"
    assert grant(core, member_id) == (1, 0)


@pytest.mark.requirement("NTF4")
@pytest.mark.parametrize("failure", [WeChatUnavailableError("timeout"), RuntimeError("broken")])
def test_an_unknown_outcome_is_never_sent_again_by_itself(core: Core, wechat: FakeWeChat, clock: MovableClock, failure: Exception) -> None:
    member_id, message_id = prepared(core, grants=2)
    wechat.failures = [failure]
    job.deliver_batch(core, [message_id])
    assert message(core, message_id).state == "uncertain"
    assert grant(core, member_id) == (1, 1)
    clock.move(timedelta(days=2))
    job.sweep(core)
    sending.send_due(core, clock.now())
    job.deliver_batch(core, [message_id])
    assert wechat.sent == []
    assert message(core, message_id).state == "uncertain"


def test_a_process_that_dies_during_the_call_leaves_it_uncertain(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, message_id = prepared(core)
    claims = core.db.run(lambda s: delivery.claim(s, [message_id], appid=APPID, now=clock.now()))
    assert len(claims) == 1
    assert job.sweep(core) == 0, "its lease still runs"
    clock.move(LEASE)
    assert job.sweep(core) == 1
    assert message(core, message_id).state == "uncertain"
    assert grant(core, member_id) == (0, 1)
    assert sending.send_due(core, clock.now()) == 0
    # The call's own answer comes late and is believed.
    core.db.run(lambda s: delivery.settle(s, claims[0], Outcome("sent", msg_id="77"), now=clock.now()))
    assert message(core, message_id).state == "sent"
    assert grant(core, member_id) == (0, 0)
    again = core.db.run(lambda s: delivery.settle(s, claims[0], Outcome("refused", errcode=43101), now=clock.now()))
    assert again is None
    assert grant(core, member_id) == (0, 0)


@pytest.mark.parametrize("decision", [Decision.SENT, Decision.GIVEN_UP])
def test_a_person_decides_an_uncertain_message_once(core: Core, wechat: FakeWeChat, decision: Decision) -> None:
    member_id, message_id = prepared(core)
    wechat.failures = [WeChatUnavailableError("timeout")]
    job.deliver_batch(core, [message_id])
    core.db.run(lambda s: service.decide(s, message_id, decision, reason="查过后台", actor=SYSTEM, now=NOW))
    found = message(core, message_id)
    assert (found.state, found.reason) == (("sent", "decided_sent") if decision is Decision.SENT else ("failed", "given_up"))
    assert grant(core, member_id) == (0, 0)
    with pytest.raises(MessageNotUncertainError):
        core.db.run(lambda s: service.decide(s, message_id, Decision.SEND_AGAIN, reason="x", actor=SYSTEM, now=NOW))
    with pytest.raises(MessageNotFoundError):
        core.db.run(lambda s: service.decide(s, member_id, Decision.SENT, reason="x", actor=SYSTEM, now=NOW))
    assert message(core, message_id) == found


def test_what_did_not_arrive_is_sent_again_once_by_a_persons_word(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, message_id = prepared(core)
    first = core.db.run(lambda s: delivery.claim(s, [message_id], appid=APPID, now=clock.now()))[0]
    clock.move(LEASE)
    job.sweep(core)
    core.db.run(lambda s: service.decide(s, message_id, Decision.SEND_AGAIN, reason="会员没收到", actor=SYSTEM, now=clock.now()))
    found = message(core, message_id)
    assert (found.state, found.reason) == ("queued", "sent_again")
    assert grant(core, member_id) == (1, 0)
    # The first call's own answer comes too late to count.
    assert core.db.run(lambda s: delivery.settle(s, first, Outcome("sent", msg_id="77"), now=clock.now())) is None
    assert sending.send_due(core, clock.now()) == 1
    assert sending.send_due(core, clock.now()) == 0
    assert message(core, message_id).state == "sent"
    assert len(wechat.sent) == 1
    assert grant(core, member_id) == (0, 0)


def test_offers_wait_for_the_end_of_the_quiet_hours_and_answers_do_not(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    clock.set(datetime(2026, 6, 15, 15, 0, tzinfo=UTC))  # 23:00 in Shanghai
    member_id, answer = prepared(core)

    def more(session):
        a_grant(session, member_id, key="p", now=clock.now(), template="points_accrued")
        return service.request(session, member_id, PointsAccrued("Points for your order", 5, 5, clock.now()), key="p", now=clock.now())

    points = core.db.run(more)
    job.deliver_batch(core, [answer, points])
    assert message(core, answer).state == "sent"
    waiting = message(core, points)
    assert (waiting.state, waiting.reason) == ("queued", "quiet_hours")
    assert waiting.available_at == datetime(2026, 6, 16, 0, 0, tzinfo=UTC)
    clock.set(waiting.available_at)
    sending.send_due(core, clock.now())
    assert message(core, points).state == "sent"
    core.db.run(lambda s: service.choose_quiet_hours(s, member_id, (time(0), time(0)), now=clock.now()))


def offers(core: Core, member_id: UUID, count: int) -> list[UUID]:
    """Return greetings that wait for a member who allowed all of them."""

    def work(session):
        for number in range(count):
            a_grant(session, member_id, key=f"b{number}", now=NOW, template="birthday_greeting")
        greeting = BirthdayGreeting("小满", "100积分", NOW.date())
        return [service.request(session, member_id, greeting, key=f"b{number}", now=NOW) for number in range(count)]

    return core.db.run(work)


def test_offers_are_capped_within_a_week(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, _ = prepared(core)
    ids = offers(core, member_id, 5)
    for one in ids:
        job.deliver_batch(core, [one])
    assert [message(core, one).state for one in ids] == ["sent", "sent", "sent", "skipped", "skipped"]
    assert message(core, ids[4]).reason == "contact_cap"


def test_the_cap_holds_within_one_batch(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, _ = prepared(core)
    ids = offers(core, member_id, 5)
    job.deliver_batch(core, ids)
    assert sorted(message(core, one).state for one in ids) == ["sent", "sent", "sent", "skipped", "skipped"]
    assert len(wechat.sent) == 3


def test_the_cap_holds_when_workers_race(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, _ = prepared(core)
    ids = offers(core, member_id, 8)
    barrier = threading.Barrier(8)

    def send(one: UUID) -> None:
        barrier.wait()
        job.deliver_batch(core, [one])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, ids))
    assert sorted(message(core, one).state for one in ids) == ["sent"] * 3 + ["skipped"] * 5
    assert len(wechat.sent) == 3


def test_what_may_have_arrived_counts_for_the_cap(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, _ = prepared(core)
    ids = offers(core, member_id, 4)
    core.db.run(lambda session: delivery.claim(session, ids[:3], appid=APPID, now=NOW))
    clock.move(LEASE)
    core.db.run(lambda session: delivery.expire(session, now=clock.now()))
    job.deliver_batch(core, ids[3:])
    assert [message(core, one).state for one in ids] == ["uncertain", "uncertain", "uncertain", "skipped"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s, m: service.set_template(s, ANSWERED, wechat_template_id="x", enabled=False, actor=SYSTEM, now=NOW), "no_template"),
        (lambda s, m: s.execute(sa.update(Member).where(Member.id == m).values(status="deleting")), "member_gone"),
        (lambda s, m: service.choose(s, m, "service", "subscribe", allowed=False, now=NOW), "preference"),
    ],
)
def test_what_changed_since_it_was_asked_for_is_respected(core: Core, wechat: FakeWeChat, change, reason: str) -> None:
    member_id, message_id = prepared(core)
    core.db.run(lambda session: change(session, member_id))
    job.deliver_batch(core, [message_id])
    found = message(core, message_id)
    assert (found.state, found.reason, wechat.sent) == ("skipped", reason, [])
    assert grant(core, member_id) == (1, 0)


def test_a_member_of_another_app_cannot_be_pushed(core: Core, wechat: FakeWeChat) -> None:
    wechat.appid = "wxother"
    _, message_id = prepared(core)
    job.deliver_batch(core, [message_id])
    assert message(core, message_id).reason == "no_wechat"


def test_a_receipt_before_our_own_answer_still_counts(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    member_id, message_id = prepared(core)
    claims = core.db.run(lambda s: delivery.claim(s, [message_id], appid=APPID, now=NOW))
    receipt = {"msg_id": "77", "error_code": "0", "occurred_at": NOW, "now": NOW}
    core.db.run(lambda s: delivery.receive_receipt(s, member_id, ANSWERED, **receipt))
    assert message(core, message_id).state == "sending"
    core.db.run(lambda s: delivery.settle(s, claims[0], Outcome("sent", msg_id="77"), now=NOW))
    core.db.run(lambda s: delivery.receive_receipt(s, member_id, ANSWERED, **receipt))
    assert message(core, message_id).state == "delivered"


def test_a_receipt_settles_the_one_uncertain_message_it_can_mean(core: Core, wechat: FakeWeChat) -> None:
    member_id, message_id = prepared(core)
    wechat.failures = [WeChatUnavailableError("timeout")]
    job.deliver_batch(core, [message_id])
    receipt = {"msg_id": "77", "error_code": "0", "occurred_at": NOW, "now": NOW}
    core.db.run(lambda s: delivery.receive_receipt(s, None, ANSWERED, **receipt))
    assert message(core, message_id).state == "uncertain"
    core.db.run(lambda s: delivery.receive_receipt(s, member_id, ANSWERED, **receipt))
    assert message(core, message_id).state == "delivered"
    assert grant(core, member_id) == (0, 0)


def test_kills_at_any_moment_lose_nothing_and_send_nothing_twice(core: Core, wechat: FakeWeChat, clock: MovableClock) -> None:
    """Threads that die after a claim or after the call stand for workers killed there."""
    member_id, first = prepared(core, grants=30)
    ids = [first, *core.db.run(lambda s: [an_answer(s, member_id, key=f"more:{n}", now=NOW) for n in range(29)])]
    turn = iter(range(1000))
    lock = threading.Lock()

    def worker(chunk: list[UUID]) -> None:
        for one in chunk:
            claims = core.db.run(lambda s, one=one: delivery.claim(s, [one], appid=APPID, now=clock.now()))
            for claimed in claims:
                with lock:
                    fate = next(turn) % 3
                if fate == 0:
                    continue
                outcome = job._call(core, claimed)
                if fate == 2:
                    core.db.run(lambda s, c=claimed, o=outcome: delivery.settle(s, c, o, now=clock.now()))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, [ids, ids[::-1], ids[10:], ids[:20]]))
    clock.move(timedelta(hours=1))
    job.sweep(core)
    sending.send_due(core, clock.now())
    states = [message(core, one).state for one in ids]
    assert set(states) == {"sent", "uncertain"}
    assert len(wechat.sent) == 20
    assert states.count("sent") == 10
    assert grant(core, member_id) == (0, 20)


def test_who_is_leaving_is_told_so_and_nothing_else(core: Core, wechat: FakeWeChat) -> None:
    member_id, _ = prepared(core)

    def leave(session):
        session.execute(sa.update(Member).where(Member.id == member_id).values(status="deleting"))
        a_grant(session, member_id, key="leaving", now=NOW, template="membership_deletion")
        return service.request(session, member_id, MembershipDeletion(NOW, NOW + timedelta(days=7)), key="leaving", now=NOW)

    message_id = core.db.run(leave)
    job.deliver_batch(core, [message_id])
    assert message(core, message_id).state == "sent"
    assert wechat.sent[-1].data["time2"] == "2026年06月22日 12:00"
