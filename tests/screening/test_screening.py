"""Content checks from submission to their end: texts, pictures, pushes early and late, decisions, duties."""

from __future__ import annotations

import io
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.audit.models import AuditEntry
from server.feedback import queries as tickets
from server.flows import merge, privacy
from server.flows import screening as flow
from server.kernel.actors import SystemActor
from server.kernel.outbox import Event, OutboxEvent
from server.kernel.pagination import PageRequest
from server.members import deletion
from server.members import queries as members
from server.notifications import queries as notifications
from server.screening import queries, service
from server.screening.errors import CheckDecidedError, CheckReasonMissingError
from server.screening.models import ContentAnswer, ContentCheck
from server.screening.queries import CheckFilter
from server.wechat.errors import WeChatRejectedError, WeChatUnavailableError
from tasks.jobs import screening as job
from tasks.subscriptions import SUBSCRIPTIONS
from tests.factories.feedback import a_caller, a_picture, an_agent

pytestmark = [pytest.mark.committing, pytest.mark.requirement("SVC11")]
STAFF = an_agent("周子涵")


@pytest.fixture
def member(core):
    return a_caller(core)


def checks(core):
    with core.db.reading() as session:
        return sorted(queries.listed(session, CheckFilter(), PageRequest(100)).items, key=lambda one: (one.created_at, one.id))


def only(core):
    (found,) = checks(core)
    return found


def nickname(core, member):
    with core.db.reading() as session:
        return members.require(session, member.member_id).nickname


def rename(client, member, text):
    return client.patch("/api/v1/me/profile", json={"nickname": text}, headers=member.headers)


def post(client, member, path, body, key="k1"):
    return client.post(f"/api/v1/{path}", json=body, headers={**member.headers, "Idempotency-Key": key})


def upload(client, member, purpose="ticket"):
    data = {"file": (io.BytesIO(a_picture()), "photo.png"), "purpose": purpose}
    return client.post("/api/v1/uploads", data=data, headers=member.headers).json["upload_id"]


def avatar(client, member):
    return client.put("/api/v1/me/avatar", data={"file": (io.BytesIO(a_picture()), "a.png")}, headers=member.headers)


def hear(core, topic):
    """Hand every event of a topic to its listeners, twice."""
    with core.db.reading() as session:
        rows = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == topic)).all()
        events = [Event(r.id, r.key, r.topic, r.aggregate_type, r.aggregate_id, r.version, r.payload, r.occurred_at) for r in rows]
    for event in events * 2:
        for subscription in SUBSCRIPTIONS[topic]:
            handler = subscription.load()
            if subscription.bulk:
                handler(core, [event])
            else:
                core.db.run(lambda session, handler=handler, event=event: handler(session, event, core))


def pushed(core, trace_id, suggest, label=100):
    """Take in WeChat's push as the topic tells it."""
    event = Event(UUID(int=1), "k", "wechat.media_checked", "wechat_push", UUID(int=2), 0, {}, core.clock.now())
    payload = {"trace_id": trace_id, "suggest": suggest, "label": label}
    core.db.run(lambda session: job.on_media_checked(session, Event(*[*list(_fields(event))[:6], payload, event.occurred_at]), core))


def _fields(event):
    return (event.id, event.key, event.topic, event.aggregate_type, event.aggregate_id, event.version, event.payload, event.occurred_at)


def decide(core, check_id, *, allow, reason=None, version=None):
    return core.db.run(
        lambda s: flow.decide(s, check_id, allow=allow, reason=reason, expected_version=version, actor=STAFF, now=core.clock.now())
    )


# --- Texts ---


def test_a_nickname_that_passes_is_set_and_leaves_no_check(client, core, member):
    assert rename(client, member, "小陈").status_code == 200
    assert nickname(core, member) == "小陈"
    assert checks(core) == []


def test_a_risky_nickname_is_refused_politely_and_changes_nothing(client, core, wechat, member):
    rename(client, member, "小陈")
    wechat.risky_words.append("赌博")
    refused = rename(client, member, "赌博网")
    assert (refused.status_code, refused.json["code"]) == (422, "content_refused")
    assert nickname(core, member) == "小陈"
    assert checks(core) == []


def test_a_doubted_nickname_is_held_back_until_staff_allow_it(client, core, wechat, member):
    rename(client, member, "小陈")
    wechat.doubtful_words.append("加微信")
    held = rename(client, member, "加微信领券")
    assert (held.status_code, held.json["nickname"], held.json["nickname_pending"]) == (202, "小陈", "加微信领券")
    assert client.get("/api/v1/me/profile", headers=member.headers).json["nickname_pending"] == "加微信领券"
    check = only(core)
    assert (check.state, check.cause, check.label) == ("held", "doubt", 10001)
    decide(core, check.id, allow=True)
    assert nickname(core, member) == "加微信领券"
    with pytest.raises(CheckDecidedError):
        decide(core, check.id, allow=False, reason="late")
    assert nickname(core, member) == "加微信领券"


def test_a_newer_nickname_takes_the_place_of_one_that_waits(client, core, wechat, member):
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信甲")
    rename(client, member, "加微信乙")
    assert [one.state for one in checks(core)] == ["dropped", "held"]
    first = checks(core)[0]
    with pytest.raises(CheckDecidedError):
        decide(core, first.id, allow=True)
    rename(client, member, "小陈")
    assert nickname(core, member) == "小陈"
    assert [one.state for one in checks(core)] == ["dropped", "dropped"]


def test_a_text_wechat_could_not_judge_is_never_lost_and_asked_about_again(client, core, clock, wechat, member):
    wechat.text_failures.append(WeChatUnavailableError())
    assert rename(client, member, "小陈").status_code == 202
    assert (only(core).state, only(core).cause, nickname(core, member)) == ("waiting", "unreachable", None)
    assert job.ask_due(core, clock.now()) == 0, "not before its time"
    clock.move(timedelta(minutes=6))
    assert job.ask_due(core, clock.now()) == 1
    assert (only(core).state, nickname(core, member)) == ("passed", "小陈")


def test_a_wechat_that_stays_away_leaves_the_text_to_a_person(client, core, clock, wechat, member):
    wechat.text_failures.extend(WeChatUnavailableError() for _ in range(9))
    rename(client, member, "小陈")
    for _ in range(6):
        clock.move(timedelta(minutes=41))
        job.ask_due(core, clock.now())
    check = only(core)
    assert (check.state, check.cause, check.tries) == ("held", "unreachable", 4)
    assert len(wechat.text_failures) == 9 - 5


def test_a_text_that_turns_out_risky_later_is_hidden_and_its_writer_told(client, core, clock, wechat, member):
    wechat.text_failures.append(WeChatUnavailableError())
    number = post(client, member, "tickets", {"content": "代开发票了解一下"}).json["ticket_no"]
    wechat.risky_words.append("代开发票")
    clock.move(timedelta(minutes=6))
    job.ask_due(core, clock.now())
    assert only(core).state == "blocked"
    seen = client.get(f"/api/v1/tickets/{number}", headers=member.headers).json
    assert (seen["messages"][0]["content"], seen["messages"][0]["hidden"], seen["excerpt"]) == ("", True, "")
    hear(core, "screening.content_refused")
    with core.db.reading() as session:
        told = notifications.inbox(session, member.member_id, PageRequest(10)).items
        assert [one.code for one in told] == ["content_refused"]
        assert tickets.detail(session, number).messages[0].content == ""


def test_a_call_wechat_rejects_goes_to_a_person_at_once(client, core, wechat, member):
    wechat.text_failures.append(WeChatRejectedError(61010))
    rename(client, member, "小陈")
    assert (only(core).state, only(core).cause) == ("held", "not_checkable")


def test_a_refused_rating_comment_and_reopening_are_hidden(client, core, wechat, member):
    from server.feedback import service as desk

    number = post(client, member, "tickets", {"content": "没有收到货"}).json["ticket_no"]
    core.db.run(lambda s: desk.reply(s, number, "已补发", actor=STAFF, now=core.clock.now()))
    wechat.doubtful_words.append("加微信")
    post(client, member, f"tickets/{number}/rating", {"score": 5, "comment": "加微信"}, key="r")
    post(client, member, f"tickets/{number}/reopening", {"content": "加微信聊"}, key="o")
    found = checks(core)
    assert [one.subject for one in found] == ["ticket_rating", "ticket_message"]
    for one in found:
        decide(core, one.id, allow=False, reason="广告")
    with core.db.reading() as session:
        detail = tickets.detail(session, number)
    assert detail.ratings[0].comment is None
    assert detail.messages[-1].hidden


# --- Pictures ---


def test_a_picture_is_asked_about_once_and_the_push_decides(client, core, wechat, member):
    picture = upload(client, member)
    number = post(client, member, "tickets", {"content": "外箱破了", "upload_ids": [picture]}).json["ticket_no"]
    assert (only(core).state, wechat.images) == ("waiting", [])
    hear(core, "screening.check_wanted")
    (asked,) = wechat.images
    assert asked.startswith(f"{core.settings.base_url}/files/{picture}?expires=")
    assert client.get(asked.removeprefix(core.settings.base_url)).status_code == 200, "WeChat can fetch it"
    pushed(core, "trace-1", "pass")
    pushed(core, "trace-1", "risky", 20002)
    assert only(core).state == "passed", "the same push twice changes nothing, whatever it says the second time"
    seen = client.get(f"/api/v1/tickets/{number}", headers=member.headers).json
    assert len(seen["messages"][0]["uploads"]) == 1


def test_a_risky_picture_is_hidden_from_everybody_and_may_be_allowed_after_all(client, core, wechat, member):
    picture = upload(client, member)
    opened = post(client, member, "tickets", {"content": "外箱破了", "upload_ids": [picture]}).json
    url = opened["messages"][0]["uploads"][0]["url"]
    assert client.get(url).status_code == 200, "its owner sees it meanwhile"
    hear(core, "screening.check_wanted")
    pushed(core, "trace-1", "risky", 20002)
    assert only(core).state == "blocked"
    assert client.get(url).status_code == 404
    seen = client.get(f"/api/v1/tickets/{opened['ticket_no']}", headers=member.headers).json["messages"][0]
    assert (seen["uploads"], seen["hidden_uploads"]) == ([], 1)
    decide(core, only(core).id, allow=True)
    assert client.get(url).status_code == 200


def test_a_push_that_comes_before_its_call_was_written_down_counts(client, core, member):
    avatar(client, member)
    check = only(core)
    (claimed,) = core.db.run(lambda s: service.claim(s, [check.id], now=core.clock.now()))
    pushed(core, "early", "risky", 20002)
    assert only(core).state == "waiting"
    core.db.run(lambda s: flow.note_asked(s, claimed, "early", now=core.clock.now()))
    assert only(core).state == "blocked"
    with core.db.reading() as session:
        assert members.require(session, member.member_id).avatar_upload_id is None


def test_a_process_that_dies_after_the_claim_is_followed_by_another(client, core, clock, wechat, member):
    avatar(client, member)
    core.db.run(lambda s: service.claim(s, [only(core).id], now=clock.now()))
    assert job.ask_due(core, clock.now()) == 0
    clock.move(timedelta(minutes=3))
    job.ask_due(core, clock.now())
    assert len(wechat.images) == 1
    pushed(core, "trace-1", "pass")
    assert only(core).state == "passed"


def test_an_answer_that_does_not_come_is_asked_for_once_more_and_then_a_person_decides(client, core, clock, wechat, member):
    avatar(client, member)
    hear(core, "screening.check_wanted")
    for asked in (2, 2, 2):
        clock.move(timedelta(minutes=31))
        job.ask_due(core, clock.now())
        assert len(wechat.images) == asked
    assert (only(core).state, only(core).cause) == ("held", "unanswered")
    pushed(core, "trace-1", "pass")
    assert only(core).state == "passed", "an answer that comes late is still an answer"


def test_a_picture_wechat_cannot_take_is_tried_again_and_one_it_rejects_is_not(client, core, clock, wechat, member):
    wechat.image_failures.extend([WeChatUnavailableError(), WeChatRejectedError(47001)])
    avatar(client, member)
    hear(core, "screening.check_wanted")
    assert (only(core).state, only(core).tries) == ("waiting", 1)
    clock.move(timedelta(minutes=6))
    job.ask_due(core, clock.now())
    assert (only(core).state, only(core).cause) == ("held", "not_checkable")


def test_a_refused_avatar_is_taken_off_but_not_one_chosen_since(client, core, member):
    first = avatar(client, member).json["upload_id"]
    second = avatar(client, member).json["upload_id"]
    one, two = checks(core)
    decide(core, one.id, allow=False, reason="请换一张")
    with core.db.reading() as session:
        assert str(members.require(session, member.member_id).avatar_upload_id) == second
    decide(core, two.id, allow=False, reason="请换一张")
    with core.db.reading() as session:
        assert members.require(session, member.member_id).avatar_upload_id is None
    assert first != second


def test_choosing_the_same_avatar_again_asks_nothing_more(client, core, member):
    chosen = avatar(client, member).json["upload_id"]
    client.put("/api/v1/me/avatar", json={"upload_id": chosen}, headers=member.headers)
    assert len(checks(core)) == 1


# --- Decisions and duties ---


def test_a_refusal_needs_a_reason_that_the_member_reads_and_is_audited(client, core, wechat, member):
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信")
    check = only(core)
    with pytest.raises(CheckReasonMissingError):
        decide(core, check.id, allow=False, reason="  ")
    assert only(core).state == "held"
    decide(core, check.id, allow=False, reason="昵称中请勿留联系方式")
    hear(core, "screening.content_refused")
    with core.db.reading() as session:
        (told,) = notifications.inbox(session, member.member_id, PageRequest(10)).items
        assert "昵称中请勿留联系方式" in told.texts["why"]
        entry = session.execute(sa.select(AuditEntry.action, AuditEntry.reason).where(AuditEntry.subject_id == str(check.id))).one()
    assert tuple(entry) == ("content.refuse", "昵称中请勿留联系方式")
    assert nickname(core, member) is None


def test_who_decides_on_something_that_changed_meanwhile_is_told(client, core, member):
    avatar(client, member)
    check = only(core)
    hear(core, "screening.check_wanted")
    with pytest.raises(CheckDecidedError):
        decide(core, check.id, allow=False, reason="x", version=check.version)
    assert only(core).state == "waiting"


def test_a_member_who_leaves_leaves_no_text_behind(client, core, clock, wechat, member):
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信")
    avatar(client, member)
    system = SystemActor("tests")
    wish, _ = core.db.run(lambda s: deletion.request_deletion(s, member.member_id, reason=None, actor=member.actor, now=clock.now()))
    clock.move(timedelta(days=30))
    core.db.run(lambda s: privacy.erase(s, core.files, wish.id, actor=system, now=clock.now()))
    assert {(one.state, one.content) for one in checks(core)} == {("dropped", None)}


def test_a_merge_takes_checks_along_and_drops_a_nickname_that_waits(client, core, wechat, member):
    other = a_caller(core, "openid-two")
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信")
    avatar(client, member)
    system = SystemActor("tests")
    core.db.run(lambda s: merge.merge(s, member.member_id, other.member_id, reason="x", actor=system, now=core.clock.now()))
    found = {one.subject: (one.state, one.member_id) for one in checks(core)}
    assert found == {"nickname": ("dropped", other.member_id), "avatar": ("waiting", other.member_id)}


def test_old_texts_and_answers_are_forgotten(client, core, clock, wechat, member):
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信")
    decide(core, only(core).id, allow=False, reason="x")
    pushed(core, "stray", "pass")
    clock.move(timedelta(days=91))
    assert core.db.run(lambda s: service.forget_old(s, clock.now(), 100)) == 1
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(ContentAnswer)) == 0
        assert session.scalar(sa.select(ContentCheck.content)) is None


def test_the_list_is_narrowed_by_what_it_is_asked(client, core, wechat, member):
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信")
    avatar(client, member)
    with core.db.reading() as session:

        def found(**wanted):
            return [one.subject for one in queries.listed(session, CheckFilter(**wanted), PageRequest(10)).items]

        now = core.clock.now()
        assert found(states=("held",)) == ["nickname"]
        assert found(subject="avatar") == ["avatar"]
        assert found(cause="doubt") == ["nickname"]
        assert len(found(member_id=member.member_id)) == 2
        assert found(since=now + timedelta(days=1)) == []
        assert found(until=now) == []
        assert queries.counts(session) == {"waiting": 1, "held": 1, "blocked": 0}
