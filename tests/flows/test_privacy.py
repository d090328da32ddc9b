"""Leaving: the week to think it over, and what a database knows of somebody who left."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.bootstrap import load_models
from server.campaigns import service as campaigns
from server.campaigns.rules import BirthdayPolicy, Celebration
from server.coupons import queries as coupon_queries
from server.feedback import service as feedback
from server.files import service as files
from server.flows import merge, privacy
from server.flows.login import log_in
from server.kernel.actors import MemberActor, StaffActor, SystemActor
from server.kernel.amounts import Points
from server.kernel.crypto import Place, SealBrokenError
from server.kernel.db import Base
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.members import deletion, deletion_queries, queries, service
from server.members.errors import MemberNotFoundError, MergeRefusedError, NoDeletionError, ReasonRequiredError, StatusRefusedError
from server.members.models import MemberDeletion, MemberIdentity, MemberSession
from server.members.rules import Birthday, deletion_dates
from server.notifications import service as notifications
from server.notifications.templates import BirthdayGreeting
from server.orders.drafts import MemberRef, ReceiverDraft
from server.orders.models import Order
from server.points import service as points
from server.points.models import PointsAccount, PointsPosting
from server.points.proofs import prove
from server.wechat import service as wechat
from server.wechat.push import PushEvent
from tasks.jobs import privacy as job
from tests.conftest import START
from tests.factories.coupons import a_coupon
from tests.factories.feedback import a_picture, a_ticket, an_agent
from tests.factories.members import APPID, a_member
from tests.factories.orders import a_draft, an_event, an_order, told
from tests.factories.points import a_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

pytestmark = [pytest.mark.committing, pytest.mark.requirement("MEM11")]
STAFF = StaffActor(uuid7(), "Li Na")
SYSTEM = SystemActor("tests")
OPENID, PHONE, TILL_ID = "o-canary-7", "+8613800138077", "pos-canary-7"
WEEK = timedelta(days=7)
CANARIES = ("canary", "金丝雀", "13800138077", "38077")


def logged_in(core: Core, openid: str = OPENID) -> Any:
    return core.db.run(
        lambda s: log_in(
            s,
            appid=APPID,
            openid=openid,
            unionid="u-canary-7" if openid == OPENID else None,
            client="canary phone",
            address="203.0.113.7",
            invite_code="canary-invite",
            policy_version="1",
            now=core.clock.now(),
        )
    )


@pytest.fixture
def leaver(core: Core) -> Any:
    return logged_in(core)


def ask(core: Core, member_id: UUID) -> deletion_queries.DeletionView:
    actor = MemberActor(member_id)
    return core.db.run(lambda s: deletion.request_deletion(s, member_id, reason=None, actor=actor, now=core.clock.now()))[0]


def state_of(core: Core, deletion_id: UUID) -> str:
    with core.db.reading() as session:
        return session.scalars(sa.select(MemberDeletion.state).where(MemberDeletion.id == deletion_id)).one()


def status_of(core: Core, member_id: UUID) -> str:
    with core.db.reading() as session:
        return queries.require(session, member_id).status


def through(core: Core, clock: MovableClock) -> None:
    """Let the week pass and both rounds run."""
    clock.move(WEEK)
    assert job.erase_due(core, clock.now()) == 1
    clock.move(deletion.SECOND_ROUND)
    assert job.erase_due(core, clock.now()) == 1
    assert job.erase_due(core, clock.now()) == 0


def texts_of(core: Core) -> Iterator[tuple[str, str]]:
    """Give every text of the whole database, sealed ones opened, and every file."""
    vault = core.db.vault
    with core.db.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            for row in connection.execute(sa.select(table)).mappings():
                for column, value in row.items():
                    if isinstance(value, UUID) or value is None:
                        continue
                    text = str(value)
                    yield f"{table.name}.{column}", text
                    if text.startswith("v1."):
                        try:
                            yield f"{table.name}.{column} opened", vault.open(text, Place(table.name, column, row["id"]))
                        except SealBrokenError:
                            continue
    for path in core.settings.files_dir.rglob("*"):
        if path.is_file():
            yield f"file {path.name}", hashlib.sha256(path.read_bytes()).hexdigest()


def traces(core: Core, picture_hashes: set[str]) -> set[str]:
    vault = core.db.vault
    kinds = [("phone", PHONE), ("phone_tail", "8077"), ("openid", OPENID), ("unionid", "u-canary-7"), ("external", TILL_ID)]
    wanted = {*CANARIES, *(vault.index(kind, value) for kind, value in kinds), *picture_hashes}
    return {f"{place}: {canary}" for place, text in texts_of(core) for canary in wanted if canary in text.lower()}


def live_a_life(core: Core, member_id: UUID) -> set[str]:
    """Leave traces of one person wherever the product can hold them; return the hashes of their pictures."""
    now, me, agent = core.clock.now(), MemberActor(member_id), an_agent()

    def live(session: Session) -> set[str]:
        service.bind_phone(session, member_id, PHONE, actor=me, now=now)
        picture, other = (
            files.store_upload(
                session, core.files, owner_member_id=member_id, purpose=purpose, data=a_picture(size=size), content_type="", now=now
            )
            for purpose, size in (("avatar", (40, 30)), ("ticket", (50, 50)))
        )
        change = service.ProfileChange(
            nickname="canary 金丝雀",
            city="canary city",
            interests=["canary"],
            gender="female",
            birthday=Birthday("solar", 7, 7, 1977),
            avatar_upload_id=picture.id,
        )
        service.update_profile(session, member_id, change, actor=me, now=now)
        again = service.ProfileChange(birthday=Birthday("solar", 7, 8, 1977))
        service.update_profile(session, member_id, again, actor=me, now=now)
        service.declare_consents(
            session, member_id, [service.ConsentChoice("marketing", "1", granted=True)], source="mini_program", actor=me, now=now
        )
        service.add_identity(session, member_id, "pos", TILL_ID, actor=SYSTEM, now=now)
        points.accrue(session, member_id, Points(500), source=a_source(), reason="Gift", actor=SYSTEM, now=now)
        a_coupon(session, member_id, now=now)
        receiver = ReceiverDraft("金丝雀", "13800138077", "canary road 7")
        draft = a_draft(now=now, member=MemberRef(member_id=member_id), receiver=receiver)
        an_order(session, draft, now=now)
        told(session, draft, an_event("shipped", now, carrier="sf", tracking_no="SF1"), now=now)
        told(session, draft, an_event("delivered", now), now=now)

        class Caller:
            actor = me

        Caller.member_id = member_id
        ticket = a_ticket(session, Caller, now=now, content="canary asks", upload_ids=[other.id])
        feedback.reply(session, ticket.ticket_no, "Dear canary", actor=agent, now=now)
        feedback.rate(session, ticket.ticket_no, 5, "canary says thanks", actor=me, now=now)
        notifications.request(session, member_id, BirthdayGreeting("金丝雀", "gift", date(2026, 7, 7)), key="canary greeting", now=now)
        notifications.choose(session, member_id, "points", "inbox", allowed=False, now=now)
        campaigns.give_birthday_gift(
            session,
            member_id,
            Celebration("solar", 6, 15, 2026),
            celebrated_on=date(2026, 6, 15),
            policy=BirthdayPolicy(enabled=True, points=5),
            actor=SYSTEM,
            now=now,
        )
        push = PushEvent("event", "user_info_modified", OPENID, now, (), "push-1", {"FromUserName": OPENID, "RevokeInfo": "canary"})
        wechat.keep_push(session, push, now=now)
        return {row.sha256 for row in session.execute(sa.text("SELECT sha256 FROM uploads"))}

    return core.db.run(live)


def sums(core: Core) -> dict[str, int]:
    with core.db.reading() as session:
        columns = [getattr(PointsAccount, name) for name in ("pending", "available", "reserved", "debt_owed")]
        held = session.execute(sa.select(*(sa.func.sum(column) for column in columns))).one()
        by_account = session.execute(sa.select(PointsPosting.account, sa.func.sum(PointsPosting.amount)).group_by(PointsPosting.account))
        return {account: int(number) for account, number in by_account} | {"held": [int(one) for one in held]}


def test_nothing_of_a_person_is_left_and_the_books_do_not_move(core: Core, clock: MovableClock, leaver: Any, client: Any) -> None:
    member_id = leaver.member_id
    hashes = live_a_life(core, member_id)
    headers = {"Authorization": f"Bearer {leaver.access_token}", "Idempotency-Key": "k-1"}
    assert client.patch("/api/v1/me/profile", json={"city": "canary town"}, headers=headers).status_code == 200
    earlier = core.db.run(lambda s: a_member(s, now=clock.now(), openid="o-canary-old"))
    core.db.run(
        lambda s: service.update_profile(
            s, earlier, service.ProfileChange(nickname="canary old", city="canary"), actor=MemberActor(earlier), now=clock.now()
        )
    )
    core.db.run(lambda s: merge.merge(s, earlier, member_id, reason="phone", actor=STAFF, now=clock.now()))
    before, found = sums(core), traces(core, hashes)
    places = {trace.partition(":")[0].partition(".")[0] for trace in found}
    expected = {"members", "member_identities", "member_sessions", "uploads", "orders", "tickets", "ticket_messages", "ticket_ratings"}
    assert expected | {"notification_messages", "wechat_pushes", "idempotency_records"} <= places, "the search sees what is there"
    ask(core, member_id)
    through(core, clock)
    assert traces(core, hashes) == set()
    assert sums(core) == before
    with core.db.reading() as session:
        assert prove(session) == []
        gone = queries.require(session, member_id)
        assert (gone.status, gone.nickname, gone.birthday, gone.interests, gone.phone_masked) == ("deleted", None, None, [], None)
        assert queries.require(session, earlier).city is None
        assert [view.state for view in coupon_queries.wallet(session, member_id, "voided", PageRequest(10), now=clock.now()).items] == [
            "voided"
        ]
        assert queries.has_consented(session, member_id, "marketing"), "that consent was given is kept as proof"
        assert session.scalar(sa.select(sa.func.count()).select_from(Order)) == 1
    assert not [path for path in core.settings.files_dir.rglob("*") if path.is_file()]


def test_the_openid_and_the_phone_are_free_for_a_new_member(core: Core, clock: MovableClock, leaver: Any, client: Any) -> None:
    core.db.run(lambda s: service.bind_phone(s, leaver.member_id, PHONE, actor=MemberActor(leaver.member_id), now=clock.now()))
    ask(core, leaver.member_id)
    through(core, clock)
    assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {leaver.access_token}"}).status_code == 401
    assert core.db.run(lambda s: queries.by_phone(s, PHONE)) is None
    fresh = logged_in(core)
    assert fresh.is_new
    assert fresh.member_id != leaver.member_id
    core.db.run(lambda s: service.bind_phone(s, fresh.member_id, PHONE, actor=MemberActor(fresh.member_id), now=clock.now()))
    assert core.db.run(lambda s: queries.by_phone(s, PHONE)) == fresh.member_id
    with core.db.reading() as session:
        assert session.get(PointsAccount, fresh.member_id) is None, "nothing is inherited"


def test_it_can_be_taken_back_for_a_week_and_not_after(core: Core, clock: MovableClock, leaver: Any) -> None:
    me = MemberActor(leaver.member_id)
    wish = ask(core, leaver.member_id)
    assert (wish.state, wish.due_at, wish.deadline_on) == ("waiting", START + WEEK, date(2026, 7, 6))
    assert ask(core, leaver.member_id) == wish, "asked twice, the first wish stands"
    assert status_of(core, leaver.member_id) == "deleting"
    clock.move(WEEK - timedelta(seconds=1))
    assert job.erase_due(core, clock.now()) == 0
    taken = core.db.run(lambda s: deletion.cancel_deletion(s, leaver.member_id, reason=None, actor=me, now=clock.now()))
    assert (taken.state, status_of(core, leaver.member_id)) == ("cancelled", "active")
    clock.move(timedelta(days=30))
    assert job.erase_due(core, clock.now()) == 0
    with pytest.raises(NoDeletionError):
        core.db.run(lambda s: deletion.cancel_deletion(s, leaver.member_id, reason=None, actor=me, now=clock.now()))
    ask(core, leaver.member_id)
    through(core, clock)
    with pytest.raises(NoDeletionError):
        core.db.run(lambda s: deletion.cancel_deletion(s, leaver.member_id, reason=None, actor=me, now=clock.now()))
    with pytest.raises(MemberNotFoundError):
        ask(core, leaver.member_id)


def test_a_freeze_is_not_shaken_off_by_leaving(core: Core, clock: MovableClock, leaver: Any) -> None:
    def work(session: Session) -> None:
        service.set_status(session, leaver.member_id, "frozen", reason="fraud", actor=STAFF, now=clock.now())
        with pytest.raises(ReasonRequiredError):
            deletion.request_deletion(session, leaver.member_id, reason=" ", actor=STAFF, now=clock.now())
        deletion.request_deletion(session, leaver.member_id, reason="by telephone", actor=STAFF, now=clock.now())
        with pytest.raises(StatusRefusedError):
            service.set_status(session, leaver.member_id, "active", reason="x", actor=STAFF, now=clock.now())
        with pytest.raises(ReasonRequiredError):
            deletion.cancel_deletion(session, leaver.member_id, reason=None, actor=STAFF, now=clock.now())
        deletion.cancel_deletion(session, leaver.member_id, reason="wants to stay", actor=STAFF, now=clock.now())

    core.db.run(work)
    assert status_of(core, leaver.member_id) == "frozen"


def test_a_leaving_record_is_not_merged(core: Core, clock: MovableClock, leaver: Any) -> None:
    other = logged_in(core, "o-other").member_id
    ask(core, leaver.member_id)
    for pair in ((leaver.member_id, other), (other, leaver.member_id)):
        with pytest.raises(MergeRefusedError):
            core.db.run(lambda s, pair=pair: merge.merge(s, *pair, reason="x", actor=STAFF, now=clock.now()))


def test_a_parcel_under_way_holds_it_but_never_beyond_the_last_day(core: Core, clock: MovableClock, leaver: Any) -> None:
    core.db.run(lambda s: an_order(s, a_draft(now=clock.now(), member=MemberRef(member_id=leaver.member_id)), now=clock.now()))
    wish = ask(core, leaver.member_id)
    clock.move(WEEK)
    assert job.erase_due(core, clock.now()) == 0
    with core.db.reading() as session:
        assert deletion_queries.find_open(session, leaver.member_id).held_by == "orders"
        assert session.scalars(sa.select(Order.receiver_name)).one() is not None
        assert deletion_queries.overdue(session, wish.deadline_on) == 0
    clock.set(START + timedelta(days=21) - timedelta(hours=13))  # 23:00 in Shanghai on the eve
    assert job.erase_due(core, clock.now()) == 0
    clock.move(timedelta(hours=1))
    assert job.erase_due(core, clock.now()) == 1
    with core.db.reading() as session:
        assert session.scalars(sa.select(Order.receiver_name)).one() is None


def test_what_breaks_off_half_way_is_done_again_whole(core: Core, clock: MovableClock, leaver: Any, monkeypatch: Any) -> None:
    hashes = live_a_life(core, leaver.member_id)
    other = logged_in(core, "o-other")
    wish, second = ask(core, leaver.member_id), ask(core, other.member_id)
    clock.move(WEEK)
    before = traces(core, hashes)
    for name in privacy.FORGETTERS:

        def killed(session: Session, member_id: UUID, *, actor: Any, now: Any, name: str = name) -> None:
            if member_id == leaver.member_id:
                raise RuntimeError(name)

        with monkeypatch.context() as broken:
            broken.setitem(privacy.FORGETTERS, name, killed)
            with pytest.raises(RuntimeError, match=name):
                job.erase_due(core, clock.now())
        assert state_of(core, wish.id) == "waiting"
        assert traces(core, hashes) == before, "all or nothing"
    assert state_of(core, second.id) == "erased", "one member's trouble holds up nobody else"

    real = core.files.delete

    def full(name: str) -> None:
        real(name)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(core.files, "delete", full)
        with pytest.raises(OSError, match="space"):
            job.erase_due(core, clock.now())
    assert state_of(core, wish.id) == "waiting"
    assert job.erase_due(core, clock.now()) == 1
    assert traces(core, hashes) == set()


def test_two_workers_forget_once(core: Core, clock: MovableClock, leaver: Any) -> None:
    wish = ask(core, leaver.member_id)
    clock.move(WEEK)
    barrier = threading.Barrier(6)

    def work(_: int) -> str | None:
        barrier.wait(30)
        return core.db.run(lambda s: privacy.erase(s, core.files, wish.id, actor=SYSTEM, now=clock.now()))

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(work, range(6)))
    assert sorted(map(str, outcomes)) == ["None"] * 5 + ["erased"]
    with core.db.reading() as session:
        told_of = sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.topic == "members.erased")
        assert session.scalar(told_of) == 1


def test_of_taking_back_and_erasing_at_once_one_holds(core: Core, clock: MovableClock) -> None:
    for number in range(6):
        member_id = logged_in(core, f"o-race-{number}").member_id
        wish = ask(core, member_id)
        clock.move(WEEK)
        barrier = threading.Barrier(2)

        def erase(one: UUID = wish.id, barrier: threading.Barrier = barrier) -> str | None:
            barrier.wait(30)
            return core.db.run(lambda s: privacy.erase(s, core.files, one, actor=SYSTEM, now=clock.now()))

        def keep(who: UUID = member_id, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait(30)
            try:
                core.db.run(lambda s: deletion.cancel_deletion(s, who, reason=None, actor=MemberActor(who), now=clock.now()))
            except NoDeletionError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            erased, kept = pool.submit(erase), pool.submit(keep)
            assert (erased.result() == "erased") != kept.result()
        assert status_of(core, member_id) == ("active" if kept.result() else "deleted")


def test_who_logs_in_while_being_forgotten_joins_anew_or_was_never_seen(core: Core, clock: MovableClock) -> None:
    for number in range(5):
        openid = f"o-race-{number}"
        member_id = logged_in(core, openid).member_id
        wish = ask(core, member_id)
        clock.move(WEEK)
        barrier = threading.Barrier(7)

        def enter(_: int, openid: str = openid, barrier: threading.Barrier = barrier) -> UUID:
            barrier.wait(30)
            return logged_in(core, openid).member_id

        def erase(one: UUID = wish.id, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(30)
            core.db.run(lambda s: privacy.erase(s, core.files, one, actor=SYSTEM, now=clock.now()))

        with ThreadPoolExecutor(7) as pool:
            rounds = [pool.submit(enter, one) for one in range(6)]
            pool.submit(erase).result()
            entered = {one.result() for one in rounds}
        assert len(entered - {member_id}) <= 1, "one new member at most"
        with core.db.reading() as session:
            assert session.scalar(sa.select(sa.func.count()).where(MemberIdentity.member_id == member_id)) == 0
            assert session.scalar(sa.select(sa.func.count()).where(MemberSession.member_id == member_id)) == 0
        fresh = logged_in(core, openid).member_id
        assert entered - {member_id} <= {fresh}


def test_what_a_request_under_way_left_is_taken_by_the_second_round(core: Core, clock: MovableClock, leaver: Any) -> None:
    me = MemberActor(leaver.member_id)
    ask(core, leaver.member_id)
    clock.move(WEEK)
    assert job.erase_due(core, clock.now()) == 1
    with pytest.raises(MemberNotFoundError):
        change = service.ProfileChange(nickname="canary")
        core.db.run(lambda s: service.update_profile(s, leaver.member_id, change, actor=me, now=clock.now()))
    with pytest.raises(MemberNotFoundError):
        core.db.run(lambda s: service.add_identity(s, leaver.member_id, "pos", TILL_ID, actor=SYSTEM, now=clock.now()))

    class Caller:
        member_id = leaver.member_id
        actor = me

    core.db.run(lambda s: a_ticket(s, Caller, now=clock.now(), content="canary, a moment too late"))
    clock.move(deletion.SECOND_ROUND)
    assert job.erase_due(core, clock.now()) == 1
    assert traces(core, set()) == set()


def test_an_update_of_a_merged_record_is_still_refused(core: Core, clock: MovableClock, leaver: Any) -> None:
    with pytest.raises(MemberNotFoundError):
        core.db.run(lambda s: service.update_profile(s, uuid7(), service.ProfileChange(nickname="x"), actor=SYSTEM, now=clock.now()))


def test_fifteen_working_days_are_counted_in_the_shops_zone(core: Core) -> None:
    zone = core.settings.zone
    assert deletion_dates(START, zone) == (START + WEEK, date(2026, 7, 6))  # Monday → Monday three weeks later
    friday_night = START + timedelta(days=4, hours=13)  # already Saturday 01:00 in Shanghai
    assert deletion_dates(friday_night, zone)[1] == date(2026, 7, 10)


class TestOverHttp:
    """``/api/v1/me/deletion``."""

    def call(self, client: Any, token: str, method: str, path: str = "/api/v1/me/deletion", **more: Any) -> Any:
        return client.open(path, method=method, headers={"Authorization": f"Bearer {token}"}, **more)

    def test_ask_look_take_back(self, core: Core, client: Any, leaver: Any) -> None:
        token = leaver.access_token
        assert self.call(client, token, "GET").json["code"] == "no_deletion"
        first = self.call(client, token, "POST")
        assert (first.status_code, first.json["state"]) == (201, "waiting")
        again = self.call(client, token, "POST")
        assert (again.status_code, again.json) == (200, first.json)
        assert self.call(client, token, "GET").json == first.json
        assert self.call(client, token, "GET", "/api/v1/me").json["member"]["status"] == "deleting"
        back = self.call(client, token, "DELETE")
        assert (back.status_code, back.json["state"]) == (200, "cancelled")
        assert self.call(client, token, "DELETE").status_code == 404
        assert status_of(core, leaver.member_id) == "active"

    def test_while_leaving_nothing_else_can_be_done(self, client: Any, leaver: Any) -> None:
        token = leaver.access_token
        self.call(client, token, "POST")
        refused = self.call(client, token, "PATCH", "/api/v1/me/profile", json={"city": "Shanghai"})
        assert (refused.status_code, refused.json["code"]) == (403, "member_leaving")
        assert self.call(client, token, "POST", "/api/v1/points/check-ins").status_code == 403
        assert self.call(client, token, "POST", "/api/v1/auth/logout").status_code == 200

    def test_without_a_token_or_frozen_it_is_refused(self, core: Core, clock: MovableClock, client: Any, leaver: Any) -> None:
        for method in ("GET", "POST", "DELETE"):
            assert client.open("/api/v1/me/deletion", method=method).status_code == 401
        core.db.run(lambda s: service.set_status(s, leaver.member_id, "frozen", reason="x", actor=STAFF, now=clock.now()))
        assert self.call(client, leaver.access_token, "POST").json["code"] == "member_frozen"
        assert self.call(client, leaver.access_token, "DELETE").json["code"] == "member_frozen"
        assert status_of(core, leaver.member_id) == "frozen"

    def test_a_key_replays_the_first_answer(self, client: Any, leaver: Any) -> None:
        headers = {"Authorization": f"Bearer {leaver.access_token}", "Idempotency-Key": "leave-1"}
        first, again = (client.post("/api/v1/me/deletion", headers=headers) for _ in range(2))
        assert (again.status_code, again.data, again.headers["Idempotency-Replayed"]) == (201, first.data, "true")


# What has a member in it and is not emptied by a deletion, with the reason. A new table must choose: a forgetter, or a line here.
KEPT = {
    "content_checks": "open ones are dropped, texts and reasons blanked",
    "birthday_gifts": "emptied", "festival_gifts": "emptied", "card_codes": "emptied", "cards": "emptied", "member_change_requests": "emptied",
    "member_identities": "emptied", "member_sessions": "emptied", "notification_messages": "emptied",
    "notification_preferences": "emptied", "notification_quiet_hours": "emptied",
    "orders": "blanked; the order is a book entry", "tickets": "blanked; the ticket counts in the figures",
    "uploads": "the file goes; the row loses its owner", "members": "blanked; the number stays for the books",
    "coupon_code_tries": "a day, gone two days after it", "coupon_issue_rows": "which member a row of a file was, by number",
    "coupon_gifts": "taken back when open; who gave whom, by number",
    "coupon_trigger_gifts": "which coupon a rule gave, by number", "coupons": "voided; holds no personal data", "member_consents": "the proof of what was agreed to; no personal data",
    "member_deletions": "the proof of the deletion; its reason is blanked", "member_merges": "ids only",
    "member_tiers": "a tier and a date", "tier_changes": "a tier and a date",
    "member_emails": "emptied", "member_email_codes": "emptied",
    "notification_attempts": "over which channel what was tried, by number",
    "notification_grants": "counts", "notification_grant_entries": "counts",
    "points_accounts": "the ledger, pseudonymous", "points_entries": "the ledger", "points_postings": "the ledger",
    "reward_redemptions": "the receiver is blanked", "growth_accounts": "numbers", "growth_entries": "numbers", "tier_gifts": "what was given for a tier",
    "receipt_claims": "staff's words are blanked; a receipt names nobody", "referral_codes": "emptied", "referral_marks": "emptied",
    "referrals": "staff's words are blanked; who invited whom, by number",
    "segment_members": "emptied",
    "points_expiry_notices": "a day, gone two days after it", "points_opening_rows": "the ledger's own source: numbers and the shop's note",
    "points_lots": "the ledger", "points_reservations": "the ledger", "points_check_ins": "dates only",
    "risk_entries": "staff's words are blanked; that a number was blocked", "risk_holds": "emptied", "risk_marks": "emptied",
    "risk_passes": "emptied", "risk_refusals": "its mark and staff's words are blanked; what was refused, by number", "risk_tries": "emptied",
    "member_withdrawals": "the proof of the deletion of what was withdrawn; no personal data",
    "points_event_grants": "what was given for an event, and when", "points_rule_shares": "counts",
}  # fmt: skip


def test_every_table_with_a_member_in_it_says_what_a_deletion_does_to_it() -> None:
    load_models()
    holding = {
        table.name
        for table in Base.metadata.sorted_tables
        if table.name == "members"
        or any(key.column.table.name in {"members", "points_accounts"} for key in table.foreign_keys)
        or any("member_id" in column.name for column in table.columns)
    }
    assert holding - set(KEPT) == set(), "say in KEPT what becomes of these when a member leaves, and forget what is personal"
    assert set(KEPT) - holding == set()
