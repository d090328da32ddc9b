"""What a member withdraws in WeChat is deleted here: once, whatever is repeated or at the same time."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.audit import queries as audit
from server.files import service as files
from server.files.storage import StoredFileMissingError
from server.flows import wechat_push, withdrawals
from server.flows.withdrawals import ADDRESS, AVATAR, DUTIES, NICKNAME, PHONE, PICTURES, duties_of
from server.kernel.actors import MemberActor
from server.kernel.amounts import Points
from server.kernel.outbox import OutboxEvent
from server.members import deletion_queries, queries, service, session_queries
from server.members import withdrawals as members_part
from server.points import service as points
from server.rewards import queries as rewards
from server.rewards import service as reward_service
from server.wechat import push, session_keys
from server.wechat import queries as wechat_queries
from server.wechat.push import PushSecrets
from tasks.jobs import wechat as job
from tests.factories.feedback import a_picture
from tests.factories.members import PHONES, a_member
from tests.factories.points import a_source
from tests.factories.rewards import STAFF, SYSTEM, a_redemption, a_reward

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

pytestmark = [pytest.mark.committing, pytest.mark.requirement("MEM11")]
OPENID = "oWithdrawer1"


def event(core: Core, name: str, **fields: Any) -> push.PushEvent:
    body = {
        "FromUserName": "oPlatform",
        "OpenID": OPENID,
        "CreateTime": int(core.clock.now().timestamp()),
        "MsgType": "event",
        "Event": name,
        "AppID": core.settings.wechat_appid,
        **fields,
    }
    raw, secrets, stamp = json.dumps(body).encode(), PushSecrets(core.settings.wechat_appid, "t"), str(int(core.clock.now().timestamp()))
    query = {"timestamp": stamp, "nonce": "n", "signature": push.signature_of("t", stamp, "n")}
    return push.read(query, raw, secrets, core.clock.now())


def taken_in(core: Core, name: str, **fields: Any) -> UUID | None:
    """Take a push in and return its id, from the event it told."""
    one = event(core, name, **fields)
    took = core.db.run(lambda s: wechat_push.take_in(s, one, appid=core.settings.wechat_appid, credit=True, now=core.clock.now()))
    if not took:
        return None
    with core.db.reading() as session:
        payloads = session.scalars(
            sa.select(OutboxEvent.payload).where(OutboxEvent.topic.startswith("wechat.")).order_by(OutboxEvent.id)
        ).all()
    return UUID(payloads[-1]["push_id"])


def carry_out(core: Core, push_id: UUID) -> bool:
    return core.db.run(lambda s: withdrawals.carry_out(s, core.files, push_id, appid=core.settings.wechat_appid, now=core.clock.now()))


@pytest.fixture
def member_id(core: Core) -> UUID:
    """Give a member with a nickname, a picture, a phone number, a log-in and a session key."""
    now = core.clock.now()

    def live(session):
        found = a_member(session, now=now, openid=OPENID, phone=PHONES[1])
        picture = files.store_upload(
            session, core.files, owner_member_id=found, purpose="avatar", data=a_picture(), content_type="image/png", now=now
        )
        me = MemberActor(found)
        service.update_profile(
            session, found, service.ProfileChange(nickname="小满", city="上海", avatar_upload_id=picture.id), actor=me, now=now
        )
        session_keys.keep(session, OPENID, "AAAAAAAAAAAAAAAAAAAAAA==", now=now)
        return found

    return core.db.run(live)


def view(core: Core, member_id: UUID) -> queries.MemberView:
    with core.db.reading() as session:
        return queries.require(session, member_id)


def trace(core: Core, member_id: UUID) -> list[members_part.WithdrawalView]:
    with core.db.reading() as session:
        return members_part.of_records(session, [member_id])


def acts(core: Core, member_id: UUID) -> int:
    with core.db.reading() as session:
        wanted = audit.EntryFilter(action="member.withdraw_data", subject_id=str(member_id))
        return len(audit.list_entries(session, None, wanted).items)


@pytest.mark.parametrize(
    ("name", "codes", "duties"),
    [
        ("user_authorization_revoke", ["8"], [PHONE]),
        ("user_authorization_revoke", ["6"], [NICKNAME, AVATAR]),
        ("user_authorization_revoke", ["19", "2"], [NICKNAME, ADDRESS]),
        ("user_authorization_revoke", ["14"], [AVATAR, PICTURES]),
        ("user_authorization_revoke", ["4", "999"], []),
        ("user_info_modified", [], [NICKNAME, AVATAR]),
        ("user_authorization_cancellation", [], list(DUTIES)),
    ],
)
def test_each_event_and_code_has_its_duties(name: str, codes: list[str], duties: list[str]) -> None:
    assert duties_of(name, codes) == duties


def test_a_phone_number_withdrawn_is_gone_and_the_trail_tells(core: Core, member_id: UUID) -> None:
    push_id = taken_in(core, "user_authorization_revoke", RevokeInfo="8")
    assert push_id
    assert carry_out(core, push_id)
    after = view(core, member_id)
    assert (after.phone_bound, after.nickname, after.city) == (False, "小满", "上海")
    with core.db.reading() as session:
        assert queries.by_phone(session, PHONES[1]) is None
        assert session_keys.find(session, OPENID, now=core.clock.now()) is None
    (told,) = trace(core, member_id)
    assert (told.codes, told.duties, told.held) == (["8"], [PHONE], [])
    assert told.done_at == core.clock.now()
    assert acts(core, member_id) == 1
    # Again, by the same push or by a repetition of it: nothing.
    assert not carry_out(core, push_id)
    assert taken_in(core, "user_authorization_revoke", RevokeInfo="8") is None
    assert acts(core, member_id) == 1


def test_many_workers_at_once_carry_it_out_once(core: Core, member_id: UUID) -> None:
    push_id = taken_in(core, "user_authorization_revoke", RevokeInfo="6")
    assert push_id
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: carry_out(core, push_id), range(6)))
    assert sorted(done) == [False] * 5 + [True]
    assert acts(core, member_id) == 1
    after = view(core, member_id)
    assert (after.nickname, after.avatar_upload_id, after.phone_bound) == (None, None, True)


def test_the_pictures_file_goes_with_it(core: Core, member_id: UUID) -> None:
    with core.db.reading() as session:
        (name,) = session.execute(sa.text("SELECT storage_name FROM uploads")).scalars().all()
    assert core.files.get(name)
    push_id = taken_in(core, "user_info_modified")
    assert push_id
    assert carry_out(core, push_id)
    with pytest.raises(StoredFileMissingError):
        core.files.get(name)
    assert view(core, member_id).avatar_upload_id is None


def test_a_number_bound_after_the_withdrawal_stays(core: Core, clock: MovableClock, member_id: UUID) -> None:
    push_id = taken_in(core, "user_authorization_revoke", RevokeInfo="8")
    assert push_id
    clock.move(timedelta(minutes=5))
    core.db.run(lambda s: service.bind_phone(s, member_id, PHONES[2], actor=MemberActor(member_id), now=clock.now()))
    assert carry_out(core, push_id)
    assert view(core, member_id).phone_masked == "138****8002"


def test_an_address_waits_for_its_parcel(core: Core, clock: MovableClock, member_id: UUID) -> None:
    now = clock.now()

    def redeem(session):
        points.accrue(session, member_id, Points(500), source=a_source(), reason="Gift", actor=SYSTEM, now=now)
        return a_redemption(session, member_id, a_reward(session, now=now), now=now).id

    redemption_id = core.db.run(redeem)
    push_id = taken_in(core, "user_authorization_revoke", RevokeInfo="2")
    assert push_id
    assert carry_out(core, push_id)
    assert trace(core, member_id)[0].held == [ADDRESS]
    assert job.carry_out_held(core, now) == 0
    core.db.run(lambda s: reward_service.ship(s, redemption_id, carrier="sf", tracking_no="SF1", actor=STAFF, now=clock.now()))
    clock.move(timedelta(hours=2))
    assert job.carry_out_held(core, clock.now()) == 1
    assert job.carry_out_held(core, clock.now()) == 0
    (told,) = trace(core, member_id)
    assert (told.held, told.done_at) == ([], clock.now())
    with core.db.reading() as session:
        assert rewards.find(session, redemption_id).receiver is None
    assert acts(core, member_id) == 2


def test_who_closed_their_account_loses_everything_and_leaves(core: Core, member_id: UUID) -> None:
    push_id = taken_in(core, "user_authorization_cancellation")
    assert push_id
    assert carry_out(core, push_id)
    after = view(core, member_id)
    assert (after.status, after.nickname, after.avatar_upload_id, after.phone_bound) == ("deleting", None, None, False)
    with core.db.reading() as session:
        assert session_queries.sessions_of(session, member_id, core.clock.now()) == []
        waiting = deletion_queries.find_open(session, member_id)
    assert waiting is not None
    assert waiting.channel == "system"


@pytest.mark.parametrize("change", [{"OpenID": "oStranger"}, {"AppID": "wxother"}])
def test_what_concerns_nobody_here_changes_nothing(core: Core, member_id: UUID, change: dict[str, str]) -> None:
    push_id = taken_in(core, "user_authorization_revoke", RevokeInfo="8", **change)
    assert push_id
    assert not carry_out(core, push_id)
    assert view(core, member_id).phone_bound
    assert trace(core, member_id) == []


@pytest.mark.parametrize(
    ("name", "fields", "topic", "facts"),
    [
        (
            "wxa_media_check",
            {"trace_id": "t-1", "result": {"suggest": "risky", "label": 20002}},
            "wechat.media_checked",
            {"trace_id": "t-1", "suggest": "risky", "label": "20002"},
        ),
        ("wxa_media_check", {"result": "odd"}, "wechat.media_checked", {"trace_id": "", "suggest": "", "label": ""}),
        ("trade_manage_order_settlement", {"transaction_id": "42"}, "wechat.trade_event", {"event": "trade_manage_order_settlement"}),
    ],
)
def test_news_for_others_is_told_once_and_the_push_can_be_read(core: Core, name: str, fields: dict, topic: str, facts: dict) -> None:
    push_id = taken_in(core, name, **fields)
    assert push_id
    assert taken_in(core, name, **fields) is None
    with core.db.reading() as session:
        (told,) = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == topic)).all()
        assert told.payload == {"push_id": str(push_id), **facts}
        stored = wechat_queries.find_push(session, push_id)
    assert stored is not None
    assert (stored.event, stored.openid) == (name, OPENID)


def test_an_event_nobody_knows_is_stored_and_listed(core: Core) -> None:
    one = event(core, "some_new_event")
    assert core.db.run(lambda s: wechat_push.take_in(s, one, appid="wx", credit=True, now=core.clock.now()))
    with core.db.reading() as session:
        (count,) = wechat_queries.event_counts(session)
        assert session.scalar(sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.topic.startswith("wechat."))) == 0
    assert (count.event, count.count) == ("some_new_event", 1)
    assert not wechat_push.is_known("some_new_event")


def test_a_push_is_taken_in_well_within_wechats_five_seconds(core: Core) -> None:
    slowest = 0.0
    for number in range(30):
        one = event(core, "user_authorization_revoke", RevokeInfo="8", OpenID=f"o{number}")
        began = time.perf_counter()
        core.db.run(lambda s, one=one: wechat_push.take_in(s, one, appid="wx", credit=True, now=core.clock.now()))
        slowest = max(slowest, time.perf_counter() - began)
    print(f"slowest of 30 pushes: {slowest * 1000:.0f} ms")
    assert slowest < 2.5
