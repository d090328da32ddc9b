from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy as sa

from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.notifications import figures, queries, service
from server.notifications.errors import (
    MessageNotFoundError,
    PreferenceRequiredError,
    PreferenceUnknownError,
    TemplateFieldsError,
    TemplateUnknownError,
)
from server.notifications.queries import MessageFilter
from server.notifications.templates import OrderShipped, TicketAnswered
from tests.factories.members import a_member
from tests.factories.notifications import ANSWERED, SYSTEM, a_grant, all_templates, an_answer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
FIRST = PageRequest()


def test_one_fact_is_one_message_however_often_it_is_asked_for(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    first = an_answer(session, member_id, key="answer:1", now=NOW)
    assert an_answer(session, member_id, key="answer:1", now=NOW, excerpt="别的话") == first
    page = queries.inbox(session, member_id, FIRST)
    assert [message.texts["excerpt"] for message in page.items] == ["您好，已为您补发"]
    assert session.scalar(sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.topic == "notifications.queued")) == 1


@pytest.mark.committing
def test_requests_at_the_same_time_make_one_message(core: Core, clock: MovableClock) -> None:
    member_id = core.db.run(lambda session: a_member(session, now=NOW))
    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(lambda _: core.db.run(lambda s: an_answer(s, member_id, key="answer:1", now=NOW)), range(12)))
    assert len(ids) == 1
    with core.db.reading() as session:
        assert queries.count(session, MessageFilter(member_id=member_id)) == 1


def test_a_message_that_cannot_be_sent_is_the_callers_mistake_and_leaves_nothing(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    with pytest.raises(ValueError):
        service.request(session, member_id, OrderShipped("", "顺丰", "SF1", NOW), key="k", now=NOW)
    with pytest.raises(ValueError):
        service.request(session, member_id, TicketAnswered("T1", "好", NOW), key="k" * 192, now=NOW)
    assert queries.count(session, MessageFilter(member_id=member_id)) == 0


def test_only_the_owner_reads_a_message(session: Session) -> None:
    member_id, other_id = a_member(session, now=NOW), a_member(session, now=NOW)
    message_id = an_answer(session, member_id, key="answer:1", now=NOW)
    with pytest.raises(MessageNotFoundError):
        service.mark_read(session, other_id, message_id, now=NOW)
    assert queries.unread(session, member_id) == 1
    service.mark_read(session, member_id, message_id, now=NOW)
    service.mark_read(session, member_id, message_id, now=NOW)
    assert queries.unread(session, member_id) == 0
    with pytest.raises(MessageNotFoundError):
        service.mark_read(session, member_id, uuid4(), now=NOW)


def test_a_topic_switched_off_is_not_pushed_but_stays_in_the_inbox(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    for channel in ("subscribe", "official_account", "sms"):
        service.choose(session, member_id, "service", channel, allowed=False, now=NOW)
    message_id = an_answer(session, member_id, key="answer:1", now=NOW)
    found = queries.find(session, message_id)
    assert found is not None
    assert (found.state, found.reason) == ("skipped", "preference")
    assert queries.unread(session, member_id) == 1


def test_what_answers_the_members_own_acts_cannot_be_kept_out_of_the_inbox(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    with pytest.raises(PreferenceRequiredError):
        service.choose(session, member_id, "orders", "inbox", allowed=False, now=NOW)
    with pytest.raises(PreferenceUnknownError):
        service.choose(session, member_id, "gossip", "inbox", allowed=False, now=NOW)
    assert all(item.allowed for item in queries.preferences(session, member_id).items if item.topic != "offers")


def test_old_news_goes_to_the_inbox_alone_and_under_its_own_date(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    happened = NOW - timedelta(days=4)
    message_id = service.request(session, member_id, TicketAnswered("T1", "好", happened), key="old", now=NOW, occurred_at=happened)
    found = queries.find(session, message_id)
    assert found is not None
    assert (found.state, found.reason, found.created_at) == ("skipped", "stale", happened)
    assert queries.unread(session, member_id) == 1


def test_quiet_hours_are_kept_and_given_up(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    service.choose_quiet_hours(session, member_id, (time(23, 30), time(7, 15)), now=NOW)
    service.choose_quiet_hours(session, member_id, (time(23, 0), time(7, 15)), now=NOW)
    assert queries.quiet_hours(session, member_id) == (time(23, 0), time(7, 15))
    service.choose_quiet_hours(session, member_id, None, now=NOW)
    assert queries.quiet_hours(session, member_id) is None


def test_a_wechat_template_must_be_able_to_carry_the_message(session: Session) -> None:
    keys = {"ticket_no": "character_string1", "excerpt": "thing2", "answered_at": "time3"}
    with pytest.raises(TemplateFieldsError):
        service.set_template(session, ANSWERED, wechat_template_id="t", field_keys=keys | {"excerpt": "phrase2"}, actor=SYSTEM, now=NOW)
    with pytest.raises(TemplateFieldsError):
        service.set_template(session, ANSWERED, wechat_template_id="t", field_keys=keys | {"answered_at": "thing2"}, actor=SYSTEM, now=NOW)
    with pytest.raises(TemplateFieldsError):
        service.set_template(session, ANSWERED, wechat_template_id=" ", actor=SYSTEM, now=NOW)
    with pytest.raises(TemplateUnknownError):
        service.set_template(session, "gossip", wechat_template_id="t", actor=SYSTEM, now=NOW)
    service.set_template(session, ANSWERED, wechat_template_id="t9", field_keys=keys | {"ticket_no": "thing1"}, actor=SYSTEM, now=NOW)
    assert queries.code_of(session, "t9") == ANSWERED


def test_the_scarcest_allowances_are_asked_for_first_and_never_more_than_three(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    assert queries.asked_templates(session, member_id) == []
    all_templates(session, now=NOW)
    for number in range(3):
        a_grant(session, member_id, key=f"g{number}", now=NOW)
    a_grant(session, member_id, key="g9", now=NOW, template="order_shipped")
    asked = queries.asked_templates(session, member_id)
    assert [item.code for item in asked] == ["birthday_greeting", "coupon_expiring", "coupon_received"]
    assert [item.code for item in queries.asked_templates(session, member_id, "order_paid")] == [
        "points_accrued",
        "tier_upgraded",
        "order_shipped",
    ]
    assert [item.code for item in queries.asked_templates(session, member_id, "ticket_opened")] == ["content_refused"], "enough answers"
    service.choose(session, member_id, "points", "subscribe", allowed=False, now=NOW)
    assert [item.code for item in queries.asked_templates(session, member_id, "order_paid")] == ["tier_upgraded", "order_shipped"]


def test_an_acceptance_counts_once(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    assert service.credit_grant(session, member_id, ANSWERED, event_key="e1", now=NOW)
    assert not service.credit_grant(session, member_id, ANSWERED, event_key="e1", now=NOW)
    assert queries.grants_of(session, member_id) == {ANSWERED: 1}
    with pytest.raises(TemplateUnknownError):
        service.credit_grant(session, member_id, "gossip", event_key="e2", now=NOW)


@pytest.mark.committing
def test_the_same_acceptance_from_many_at_once_counts_once(core: Core, clock: MovableClock) -> None:
    member_id = core.db.run(lambda session: a_member(session, now=NOW))

    def credit(number: int) -> bool:
        return core.db.run(lambda s: service.credit_grant(s, member_id, ANSWERED, event_key=f"e{number % 3}", now=NOW))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(credit, range(18))) == 3
    with core.db.reading() as session:
        assert queries.grants_of(session, member_id) == {ANSWERED: 3}
        assert figures.prove_grants(session) == []


def test_a_merge_moves_messages_allowances_and_choices(session: Session) -> None:
    from_id, into_id = a_member(session, now=NOW), a_member(session, now=NOW)
    an_answer(session, from_id, key="answer:1", now=NOW)
    a_grant(session, from_id, key="e1", now=NOW)
    a_grant(session, into_id, key="e2", now=NOW)
    service.choose(session, from_id, "points", "subscribe", allowed=False, now=NOW)
    service.choose(session, from_id, "coupons", "subscribe", allowed=False, now=NOW)
    service.choose(session, into_id, "coupons", "subscribe", allowed=True, now=NOW)
    service.choose_quiet_hours(session, from_id, (time(21), time(9)), now=NOW)
    assert service.merge_members(session, from_id, into_id, now=NOW) == 1
    assert queries.unread(session, into_id) == 1
    assert queries.grants_of(session, into_id) == {ANSWERED: 2}
    assert queries.grants_of(session, from_id) == {ANSWERED: 0}
    off = {item.topic for item in queries.preferences(session, into_id).items if not item.allowed and item.topic != "offers"}
    assert off == {"points"}
    assert queries.quiet_hours(session, into_id) == (time(21), time(9))
    assert figures.prove_grants(session) == []
    assert service.merge_members(session, from_id, into_id, now=NOW) == 0


def test_the_inbox_is_paged_newest_first(session: Session) -> None:
    member_id = a_member(session, now=NOW)
    for number in range(5):
        an_answer(session, member_id, key=f"answer:{number}", now=NOW)
    page = queries.inbox(session, member_id, PageRequest.of(2, None))
    rest = queries.inbox(session, member_id, PageRequest.of(100, page.next_cursor))
    ids = [message.id for message in [*page.items, *rest.items]]
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)
