"""One message over several channels: on to the next one only when the last certainly did nothing, and never two."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.kernel.actors import MemberActor
from server.mail.errors import MailRejectedError, MailUnavailableError
from server.members import emails
from server.members import service as members
from server.members.service import ConsentChoice
from server.notifications import attempts, queries, routes, routing, service, unsubscribing
from server.notifications.errors import ChannelsInvalidError, TemplateFieldsError, UnsubscribeLinkError
from server.notifications.models import NotificationAttempt
from server.notifications.rules import LEASE, STALE_AFTER, Channel, Decision
from server.notifications.templates import REGISTRY, BirthdayGreeting, OrderShipped, PointsAccrued, Topic
from server.notifications.tier_templates import TierUpgraded
from server.sms.errors import SmsMisconfiguredError, SmsRejectedError, SmsUnavailableError
from server.wechat import followers
from server.wechat.errors import WeChatRejectedError, WeChatUnavailableError
from server.wechat.gateway.official_account import Follower
from tasks.jobs import channels as channel_job
from tasks.jobs import notifications as job
from tasks.jobs import sending
from tests.factories.members import APPID, a_member, an_unclaimed_member
from tests.factories.notifications import SYSTEM, all_templates
from tests.fakes.senders import FakeMail, FakeOfficialAccount, FakeSms

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock
    from tests.fakes.wechat import FakeWeChat

pytestmark = [pytest.mark.committing, pytest.mark.requirement("NTF1")]
NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
PHONE = "+8613800138000"
SHIPPED = OrderShipped("2606151234567897", "顺丰速运", "SF1234567890123", NOW)
TEXT_FIELDS = [("order_no", "order"), ("carrier", "carrier"), ("tracking_no", "number")]


@dataclass
class World:
    """A shop with everything connected."""

    core: Core
    first: FakeSms
    second: FakeSms
    mail: FakeMail
    account: FakeOfficialAccount

    def run(self, work):
        return self.core.db.run(work)

    def member(self, *, phone: str | None = PHONE, email: str | None = None, follows: bool = False, openid: str | None = None) -> UUID:
        def work(session):
            if openid is None and phone is not None and not follows:
                member_id = an_unclaimed_member(session, now=NOW, phone=phone)
            else:
                member_id = a_member(session, now=NOW, openid=openid, phone=phone)
            if follows:
                union = f"union-{member_id}"
                members.add_identity(session, member_id, "wechat_union", union, actor=SYSTEM, now=NOW)
                followers.note_followed(session, self.account.appid, f"oa-{member_id}", following=True, now=NOW)
                asked = followers.unasked(session, self.account.appid, 10)
                followers.note_infos(session, asked, [Follower(f"oa-{member_id}", True, union)], now=NOW)
            if email:
                emails.give(session, member_id, email, now=NOW)
            return member_id

        return self.run(work)

    def ask(self, member_id: UUID, message=SHIPPED, key: str = "k1") -> UUID:
        return self.run(lambda session: service.request(session, member_id, message, key=key, now=self.core.clock.now()))

    def send(self, *ids: UUID) -> int:
        return job.deliver_batch(self.core, list(ids))

    def found(self, message_id: UUID) -> queries.MessageView:
        with self.core.db.reading() as session:
            view = queries.find(session, message_id)
        assert view is not None
        return view

    def log(self, message_id: UUID) -> list[tuple[str, str, str, str | None]]:
        with self.core.db.reading() as session:
            return [(one.channel, one.provider, one.outcome, one.reason) for one in attempts.of_message(session, message_id)]

    def text_count(self) -> int:
        return len(self.first.taken) + len(self.second.taken)


@pytest.fixture
def world(core: Core) -> World:
    first, second, mail, account = FakeSms("aliyun"), FakeSms("tencent"), FakeMail(), FakeOfficialAccount()
    core = replace(core, sms=(first, second), mail=mail, official_account=account)

    def work(session):
        all_templates(session, now=NOW)
        shipped = REGISTRY["order_shipped"]
        for provider in ("aliyun", "tencent"):
            routes.set_carrier(session, shipped, provider, f"{provider}-1", TEXT_FIELDS, actor=SYSTEM, now=NOW)
        for code in ("order_shipped", "tier_upgraded", "birthday_greeting", "points_accrued"):
            template = REGISTRY[code]
            keys = [(spec.name, spec.default_key) for spec in template.specs]
            routes.set_carrier(session, template, "official_account", f"oa-{code}", keys, actor=SYSTEM, now=NOW)

    core.db.run(work)
    return World(core, first, second, mail, account)


def test_a_member_with_only_a_phone_gets_a_text_message(world: World):
    message_id = world.ask(world.member())
    assert world.send(message_id) == 1
    (text,) = world.first.taken
    assert text.phone == PHONE
    assert text.template_id == "aliyun-1"
    assert list(text.params.items()) == [("order", SHIPPED.order_no), ("carrier", "顺丰速运"), ("number", SHIPPED.tracking_no)]
    assert text.preview.startswith("【会伴】")
    found = world.found(message_id)
    assert (found.state, found.channel, found.provider, found.segments) == ("sent", "sms", "aliyun", 1)
    assert world.log(message_id) == [
        ("subscribe", "wechat", "skipped", "no_wechat"),
        ("official_account", "official_account", "skipped", "no_follower"),
        ("sms", "aliyun", "sent", None),
    ]
    assert world.send(message_id) == 0
    assert world.text_count() == 1


def test_a_follower_gets_a_template_message_before_any_money_is_spent(world: World):
    member_id = world.member(follows=True)
    message_id = world.ask(member_id)
    assert world.send(message_id) == 1
    ((openid, template_id, data, program),) = world.account.taken.values()
    assert (openid, template_id) == (f"oa-{member_id}", "oa-order_shipped")
    assert data["character_string1"] == SHIPPED.order_no
    assert program == (APPID, f"pages/orders/detail?order_no={SHIPPED.order_no}")
    assert world.text_count() == 0
    assert world.found(message_id).channel == "official_account"


def test_offers_go_to_the_address_of_whoever_agreed_and_never_cost_a_text(world: World):
    member_id = world.member(email="lin@example.com")
    offer = TierUpgraded("金卡会员", "银卡会员", NOW)
    refused = world.ask(member_id, offer, "k0")
    assert world.send(refused) == 0
    assert world.found(refused).state == "skipped"
    consent = [ConsentChoice("marketing", "2026-01", granted=True)]
    world.run(lambda s: members.declare_consents(s, member_id, consent, source="mini_program", actor=MemberActor(member_id), now=NOW))
    message_id = world.ask(member_id, offer)
    assert world.send(message_id) == 1
    (mail,) = world.mail.taken
    assert mail.to == "lin@example.com"
    assert "金卡会员" in mail.text
    assert mail.unsubscribe_url is not None
    assert mail.unsubscribe_url in mail.html
    assert world.text_count() == 0


def test_points_trivia_is_never_sent_as_a_text(world: World):
    message_id = world.ask(world.member(), PointsAccrued("消费积分", 10, 10, NOW))
    assert world.send(message_id) == 0
    found = world.found(message_id)
    assert (found.state, found.reason) == ("skipped", "no_wechat")


@pytest.mark.parametrize(
    "failure", [SmsUnavailableError("connect", certainly_not_done=True), SmsMisconfiguredError("isv.AMOUNT_NOT_ENOUGH")]
)
def test_the_second_provider_is_asked_when_the_first_certainly_did_nothing(world: World, failure):
    world.first.failures.append(failure)
    message_id = world.ask(world.member())
    assert world.send(message_id) == 1
    assert [text.template_id for text in world.second.taken] == ["tencent-1"]
    assert world.found(message_id).provider == "tencent"
    assert [outcome for _, _, outcome, _ in world.log(message_id)][-2:] == [
        "not_done" if isinstance(failure, SmsUnavailableError) else "misconfigured",
        "sent",
    ]


@pytest.mark.parametrize(
    ("failure", "state", "reason"),
    [
        (SmsUnavailableError("timeout"), "uncertain", "timeout"),
        (SmsRejectedError("blocked"), "failed", "blocked"),
        (SmsUnavailableError("too_often", certainly_not_done=True), "queued", "too_often"),
        (RuntimeError("?"), "uncertain", "broken"),
    ],
)
def test_the_second_provider_is_left_alone_when_the_first_may_have_sent_or_the_person_is_the_reason(world: World, failure, state, reason):
    world.first.failures.append(failure)
    message_id = world.ask(world.member(email="lin@example.com"))
    world.send(message_id)
    assert world.second.taken == []
    found = world.found(message_id)
    assert (found.state, found.reason) == (state, reason)


def test_an_unknown_outcome_never_goes_on_to_another_channel(world: World, clock: MovableClock):
    world.account.failures = [WeChatUnavailableError("timeout"), WeChatUnavailableError("timeout")]
    message_id = world.ask(world.member(follows=True))
    world.send(message_id)
    assert world.found(message_id).state == "uncertain"
    clock.set(NOW + timedelta(hours=2))
    job.sweep(world.core)
    sending.send_due(world.core, clock.now())
    assert world.found(message_id).state == "uncertain"
    assert world.text_count() == 0
    # Nothing but a person: and then on the same channel, with a number of its own.
    world.run(lambda s: service.decide(s, message_id, Decision.SEND_AGAIN, reason="asked", actor=SYSTEM, now=clock.now()))
    assert world.send(message_id) == 1
    assert len(world.account.taken) == 1


def test_a_call_without_an_answer_is_repeated_once_under_the_same_number(world: World):
    world.account.failures = [WeChatUnavailableError("timeout")]
    message_id = world.ask(world.member(follows=True))
    assert world.send(message_id) == 1
    assert (world.account.calls, len(world.account.taken)) == (2, 1)


def test_who_stopped_following_is_noted_and_reached_by_text(world: World):
    world.account.failures = [WeChatRejectedError(43004)]
    member_id = world.member(follows=True)
    message_id = world.ask(member_id)
    assert world.send(message_id) == 1
    assert world.text_count() == 1
    with world.core.db.reading() as session:
        assert followers.figures(session, world.account.appid).following == 0
    assert ("official_account", "official_account", "refused", "rejected_43004") in world.log(message_id)


def test_a_report_that_it_did_not_arrive_sends_it_on_and_one_that_it_did_ends_it(world: World, clock: MovableClock):
    message_id = world.ask(world.member(follows=True))
    world.send(message_id)
    lines = world.core.lines

    def receive(provider, number, code):
        world.run(lambda s: routing.receive(s, provider, number, code, occurred_at=NOW, lines=lines, now=clock.now()))

    receive("official_account", "oa-0", "failed:block")
    assert (world.found(message_id).state, world.found(message_id).channel) == ("queued", "sms")
    # The same report again finds nothing to do.
    receive("official_account", "oa-0", "failed:block")
    sending.send_due(world.core, clock.now())
    assert world.found(message_id).state == "sent"
    receive("official_account", "oa-0", "0")
    assert world.found(message_id).state == "sent"
    receive("aliyun", "aliyun-1", "0")
    receive("aliyun", "aliyun-1", "0")
    assert world.found(message_id).state == "delivered"
    assert world.text_count() == 1
    assert [one[2] for one in world.log(message_id)].count("delivered") == 1


def test_a_report_that_comes_before_the_call_has_returned_is_applied(world: World):
    message_id = world.ask(world.member())
    lines = world.core.lines
    world.run(lambda s: routing.receive(s, "aliyun", "aliyun-1", "0", occurred_at=NOW, lines=lines, now=NOW))
    world.send(message_id)
    assert world.found(message_id).state == "delivered"


@pytest.mark.parametrize("moment", ["before_settle", "in_call"])
def test_a_process_that_dies_between_channels_never_sends_two(world: World, clock: MovableClock, monkeypatch, moment):
    message_id = world.ask(world.member(follows=True, email="lin@example.com"))
    if moment == "before_settle":
        world.account.failures = [WeChatRejectedError(43004)]
        monkeypatch.setattr(routing, "settle", _dies)
    else:
        monkeypatch.setattr(world.account, "send_template_message", _dies)
    with pytest.raises(KeyboardInterrupt):
        world.send(message_id)
    monkeypatch.undo()
    clock.set(NOW + LEASE + timedelta(minutes=1))
    job.sweep(world.core)
    sending.send_due(world.core, clock.now())
    found = world.found(message_id)
    assert (found.state, found.reason) == ("uncertain", "broken_off")
    assert (world.text_count(), len(world.mail.taken), len(world.account.taken)) == (0, 0, 0)
    assert world.log(message_id)[-1] == ("official_account", "official_account", "unknown", "broken_off")


def _dies(*_args, **_kwargs):
    raise KeyboardInterrupt


def test_a_process_that_dies_after_the_first_provider_refused_leaves_it_uncertain(world: World, clock: MovableClock):
    world.first.failures = [SmsUnavailableError("connect", certainly_not_done=True)]
    world.second.lost = [KeyboardInterrupt()]
    message_id = world.ask(world.member())
    with pytest.raises(KeyboardInterrupt):
        world.send(message_id)
    clock.set(NOW + LEASE + timedelta(minutes=1))
    job.sweep(world.core)
    sending.send_due(world.core, clock.now())
    assert world.found(message_id).state == "uncertain"
    assert world.text_count() == 1


def test_many_workers_claim_a_message_once(world: World):
    ids = [world.ask(world.member(phone=f"+86138001380{number:02d}"), key=f"k{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: world.send(*ids), range(4)))
    assert sum(sent) == 4
    assert world.text_count() == 4
    assert len({text.reference for text in world.first.taken}) == 4


def test_tries_grow_apart_and_then_the_next_channel_has_its_turn(world: World, clock: MovableClock):
    member_id = world.member(follows=True)
    world.account.failures = [WeChatUnavailableError("busy", certainly_not_done=True)] * 3
    message_id = world.ask(member_id)
    world.send(message_id)
    assert (world.found(message_id).state, world.found(message_id).reason) == ("queued", "busy")
    for _ in range(2):
        clock.set(clock.now() + timedelta(minutes=5))
        sending.send_due(world.core, clock.now())
    found = world.found(message_id)
    assert (found.state, found.channel) == ("sent", "sms")
    assert found.tried == "subscribe,official_account!"


@pytest.mark.requirement("NTF3")
def test_offers_wait_for_the_end_of_quiet_hours_on_every_channel(world: World, clock: MovableClock):
    clock.set(datetime(2026, 6, 15, 15, 0, tzinfo=UTC))
    member_id = world.member(follows=True)
    message_id = world.ask(member_id, BirthdayGreeting("林", "积分", NOW.date()))
    world.send(message_id)
    found = world.found(message_id)
    assert (found.state, found.reason, found.channel) == ("queued", "quiet_hours", "subscribe")
    assert found.available_at == datetime(2026, 6, 16, 0, 0, tzinfo=UTC)
    clock.set(found.available_at)
    assert world.send(message_id) == 1
    # What answers the member's own act is told at any hour.
    clock.set(datetime(2026, 6, 16, 15, 0, tzinfo=UTC))
    assert world.send(world.ask(member_id, replace(SHIPPED, shipped_at=clock.now()), "k2")) == 1


@pytest.mark.requirement("NTF3")
def test_the_cap_counts_over_all_channels_and_holds_in_a_race(world: World, wechat: FakeWeChat):
    member_id = world.member(follows=True, openid="o1")
    world.run(lambda s: service.credit_grant(s, member_id, "tier_upgraded", event_key="g1", now=NOW))
    ids = [world.ask(member_id, TierUpgraded("金卡", "银卡", NOW), f"k{number}") for number in range(6)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: world.send(one), ids))
    assert len(wechat.sent) == 1
    assert len(world.account.taken) == 2
    assert sorted(world.found(one).state for one in ids) == ["sent", "sent", "sent", "skipped", "skipped", "skipped"]
    assert {world.found(one).reason for one in ids if world.found(one).state == "skipped"} == {"contact_cap"}


@pytest.mark.requirement("NTF3")
def test_a_channel_that_the_member_switched_off_is_left_out(world: World):
    member_id = world.member(follows=True)
    world.run(lambda s: service.choose(s, member_id, "orders", "official_account", allowed=False, now=NOW))
    message_id = world.ask(member_id)
    assert world.send(message_id) == 1
    assert world.found(message_id).channel == "sms"
    world.run(lambda s: service.choose(s, member_id, "orders", "sms", allowed=False, now=NOW))
    assert world.send(world.ask(member_id, key="k2")) == 0


def test_the_brands_order_wins_and_an_empty_one_leaves_it_to_the_inbox(world: World):
    shipped = REGISTRY["order_shipped"]
    world.run(lambda s: routes.set_route(s, shipped, [Channel.SMS, Channel.SUBSCRIBE], actor=SYSTEM, now=NOW))
    member_id = world.member(follows=True, openid="o1")
    world.run(lambda s: service.credit_grant(s, member_id, "order_shipped", event_key="g1", now=NOW))
    world.first.failures = [SmsRejectedError("blocked")]
    message_id = world.ask(member_id)
    world.send(message_id)
    assert (world.found(message_id).state, world.found(message_id).channel) == ("queued", "subscribe")
    assert world.send(message_id) == 1
    world.run(lambda s: routes.set_route(s, shipped, [], actor=SYSTEM, now=NOW))
    off = world.ask(member_id, key="k2")
    world.send(off)
    assert (world.found(off).state, world.found(off).reason) == ("skipped", "switched_off")
    with pytest.raises(ChannelsInvalidError):
        world.run(lambda s: routes.set_route(s, shipped, [Channel.SMS, Channel.SMS], actor=SYSTEM, now=NOW))
    with pytest.raises(ChannelsInvalidError):
        world.run(lambda s: routes.set_route(s, shipped, [Channel.INBOX], actor=SYSTEM, now=NOW))


def test_old_news_goes_no_further(world: World, clock: MovableClock):
    message_id = world.ask(world.member(follows=True))
    clock.set(NOW + STALE_AFTER + timedelta(hours=1))
    world.account.failures = [WeChatRejectedError(43004)]
    world.send(message_id)
    assert world.text_count() == 0


def test_a_refused_mail_ends_failed_and_one_that_broke_off_uncertain(world: World):
    member_id = world.member(email="lin@example.com", phone=None, openid="o1")
    shipped = REGISTRY["order_shipped"]
    world.run(lambda s: routes.set_route(s, shipped, [Channel.EMAIL], actor=SYSTEM, now=NOW))
    world.mail.failures = [MailRejectedError("bad_address"), MailUnavailableError("timeout")]
    first, second = world.ask(member_id), world.ask(member_id, key="k2")
    world.send(first, second)
    assert {(world.found(one).state, world.found(one).reason) for one in (first, second)} == {
        ("failed", "bad_address"),
        ("uncertain", "timeout"),
    }


def test_a_template_of_a_provider_must_carry_our_fields(world: World):
    shipped = REGISTRY["order_shipped"]
    for provider, pairs in (
        ("aliyun", [("nothing", "a")]),
        ("aliyun", [("order_no", "a"), ("order_no", "b")]),
        ("aliyun", [("order_no", "a"), ("carrier", "a")]),
        ("official_account", [("order_no", "thing1")]),
        ("official_account", [(spec.name, "amount1") for spec in shipped.specs]),
    ):
        with pytest.raises(TemplateFieldsError):
            world.run(lambda s, p=provider, f=pairs: routes.set_carrier(s, shipped, p, "t", f, actor=SYSTEM, now=NOW))


def test_a_link_and_an_answer_order_off(world: World):
    member_id = world.member(email="lin@example.com")
    secret = world.core.settings.secret_key
    token = unsubscribing.token_of(secret, member_id, Topic.COUPONS)
    link = unsubscribing.read(secret, token)
    assert (link.member_id, link.topic) == (member_id, Topic.COUPONS)
    for wrong in ("", "x", token[:-2], token[1:], token + "A", unsubscribing.token_of("other", member_id, Topic.COUPONS)):
        with pytest.raises(UnsubscribeLinkError):
            unsubscribing.read(secret, wrong)
    for _ in range(2):
        world.run(lambda s: unsubscribing.from_email(s, link, every_topic=False, now=NOW))
    with world.core.db.reading() as session:
        assert not queries.allowed(session, member_id, Topic.COUPONS, Channel.EMAIL)
        assert queries.allowed(session, member_id, Topic.ORDERS, Channel.EMAIL)
    assert not world.run(lambda s: unsubscribing.from_text(s, PHONE, "谢谢", now=NOW))
    assert world.run(lambda s: unsubscribing.from_text(s, PHONE, " T。", now=NOW))
    assert not world.run(lambda s: unsubscribing.from_text(s, "+8613900000000", "T", now=NOW))
    message_id = world.ask(member_id)
    assert world.send(message_id) == 0
    assert world.text_count() == 0


def test_the_log_is_never_changed(world: World):
    world.send(world.ask(world.member()))
    with pytest.raises(sa.exc.DBAPIError):
        world.run(lambda s: s.execute(sa.update(NotificationAttempt).values(outcome="sent")))


def test_health_tells_how_each_provider_did(world: World):
    world.first.failures = [SmsUnavailableError("connect", certainly_not_done=True)]
    world.send(world.ask(world.member()))
    with world.core.db.reading() as session:
        found = attempts.health(session, NOW - timedelta(hours=1))
    assert found["aliyun"].outcomes == {"not_done": 1}
    assert found["aliyun"].failed_reason == "connect"
    assert (found["tencent"].segments, found["tencent"].sent_at) == (1, NOW)


def test_a_walk_through_the_followers_goes_on_where_it_was_broken_off(world: World, clock: MovableClock, monkeypatch):
    world.account.people = {f"f{number:02d}": f"u{number}" for number in range(7)}
    world.account.page_size = 3
    monkeypatch.setattr(channel_job, "_MOST_PAGES", 1)
    assert channel_job.walk_followers(world.core, NOW) == 3
    world.account.people.pop("f00")
    monkeypatch.setattr(channel_job, "_MOST_PAGES", 50)
    assert channel_job.walk_followers(world.core, NOW) == 4
    assert channel_job.name_followers(world.core, NOW) == 7
    assert channel_job.name_followers(world.core, NOW) == 0
    clock.set(NOW + timedelta(days=1))
    assert channel_job.walk_followers(world.core, NOW) == 6
    with world.core.db.reading() as session:
        found = followers.figures(session, world.account.appid)
    assert (found.following, found.known, found.waiting) == (6, 6, 0)
    assert found.walk is not None
    assert found.walk.finished_at == clock.now()


def test_a_late_push_does_not_undo_a_newer_one(world: World):
    def note(following, at):
        world.run(lambda s: followers.note_followed(s, "oa", "f1", following=following, now=NOW, occurred_at=at))

    note(True, NOW - timedelta(minutes=2))
    note(False, NOW)
    note(True, NOW - timedelta(minutes=1))
    with world.core.db.reading() as session:
        assert followers.figures(session, "oa").following == 0
