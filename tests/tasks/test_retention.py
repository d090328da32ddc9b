"""Retention: each thing goes when its time is over, not a moment before, and what is still needed stays however old."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.files import service as files
from server.files.models import Upload
from server.kernel.ids import token_hash, uuid7
from server.members import service as member_service
from server.members import session_queries
from server.members.models import MemberSession, UsedRefreshToken
from server.members.sessions import open_session
from server.notifications.models import NotificationMessage, NotificationReceipt
from server.partners.models import PartnerNonce
from server.partners.service import take_nonce
from server.wechat import service as wechat
from server.wechat.models import WeChatPush
from server.wechat.push import PushEvent
from tasks.jobs import retention
from tests.conftest import START
from tests.factories.feedback import a_picture
from tests.factories.members import a_member, a_partner
from tests.factories.notifications import an_answer

pytestmark = pytest.mark.committing
DAY = timedelta(days=1)
MOMENT = timedelta(seconds=1)


def count(core, model):
    with core.db.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(model))


def run_at(core, clock, instant):
    clock.set(instant)
    return retention.forget(core, instant)


def kept_until(core, clock, model, last):
    """Make sure that one row of a table is there at its last moment, and gone right after."""
    assert run_at(core, clock, last) == 0
    assert count(core, model) == 1
    assert run_at(core, clock, last + MOMENT) == 1
    assert count(core, model) == 0


def test_a_push_that_names_an_openid_goes_after_the_set_days(core, clock):
    core.db.run(lambda s: wechat.keep_push(s, PushEvent("event", "x", "o-1", START, (), "k", {"a": "b"}), now=START))
    kept_until(core, clock, WeChatPush, START + 30 * DAY)


def test_a_nonce_goes_after_an_hour(core, clock):
    key = core.db.run(lambda s: a_partner(s, now=START))
    core.db.run(lambda s: take_nonce(s, key.key_id, "n" * 16, now=START))
    kept_until(core, clock, PartnerNonce, START + timedelta(hours=1))


def test_a_log_in_goes_ninety_days_after_its_end_and_its_used_tokens_while_it_lives(core, clock):
    member_id = core.db.run(lambda s: a_member(s, now=START, openid="o-1"))
    core.db.run(lambda s: s.execute(sa.delete(MemberSession)))
    tokens = core.db.run(lambda s: open_session(s, member_id, client=None, address=None, now=START))
    refresh, at = tokens.refresh_token, START
    for _ in range(5):
        at += 25 * DAY
        refresh = core.db.run(lambda s, token=refresh, now=at: member_service.refresh(s, token, now=now)).refresh_token
    assert count(core, UsedRefreshToken) == 5
    assert run_at(core, clock, START + 25 * DAY + 90 * DAY + MOMENT) == 1, "the first was used 25 days after the start"
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).where(UsedRefreshToken.token_hash == token_hash(tokens.refresh_token))) == 0
        assert session_queries.sessions_of(session, member_id, at) != [], "the log-in itself lives"
    run_at(core, clock, at + 30 * DAY + 90 * DAY)
    assert count(core, MemberSession) == 1
    run_at(core, clock, at + 30 * DAY + 90 * DAY + MOMENT)
    assert (count(core, MemberSession), count(core, UsedRefreshToken)) == (0, 0)


def test_a_message_goes_with_its_days_but_not_while_somebody_must_decide(core, clock):
    member_id = core.db.run(lambda s: a_member(s, now=START))
    ids = [core.db.run(lambda s, key=key: an_answer(s, member_id, key=key, now=START)) for key in "abc"]
    core.db.run(lambda s: s.execute(sa.delete(MemberSession)))
    states = dict(zip(ids, ("delivered", "uncertain", "queued"), strict=True))
    for one, state in states.items():
        values = {"state": state}
        core.db.run(lambda s, one=one, values=values: s.execute(sa.update(NotificationMessage).filter_by(id=one).values(**values)))
    assert run_at(core, clock, START + 730 * DAY) == 0
    run_at(core, clock, START + 730 * DAY + MOMENT)
    with core.db.reading() as session:
        assert set(session.scalars(sa.select(NotificationMessage.id))) == set(ids[1:])


def test_a_receipt_goes_after_a_week(core, clock):
    receipt = {"id": uuid7(), "msg_id": "1", "error_code": "0", "occurred_at": START}
    core.db.run(lambda s: s.execute(sa.insert(NotificationReceipt).values(receipt)))
    kept_until(core, clock, NotificationReceipt, START + 7 * DAY)


def stored(core):
    return sorted(path.name for path in core.settings.files_dir.rglob("*") if path.is_file())


def age(core, instant):
    for path in core.settings.files_dir.rglob("*"):
        os.utime(path, (instant.timestamp(), instant.timestamp()))


def test_a_file_without_a_row_goes_after_a_day_and_one_with_a_row_never(core, clock):
    member_id = core.db.run(lambda s: a_member(s, now=START))

    def store(session):
        view = files.store_upload(
            session, core.files, owner_member_id=member_id, purpose="ticket", data=a_picture(), content_type="", now=START
        )
        files.attach(session, [view.id], now=START)

    core.db.run(store)
    (mine,) = stored(core)
    core.files.put("uploads/202606/orphan.png", b"x", "image/png")
    core.files.put("exports/other.csv", b"x", "text/csv")
    (core.settings.files_dir / "uploads/202606/.new-half").write_bytes(b"x")
    age(core, START)
    assert run_at(core, clock, START + DAY) == 0
    assert stored(core) == sorted([mine, "orphan.png", "other.csv", ".new-half"])
    assert run_at(core, clock, START + DAY + MOMENT) == 1
    assert stored(core) == sorted([mine, "other.csv"])
    assert count(core, Upload) == 1


def test_a_backlog_is_bounded_and_finished_by_later_runs(core, clock, monkeypatch):
    from tasks.jobs import sweeps

    for number in range(5):
        push = PushEvent("event", "x", "o-1", START, (), f"k{number}", {})
        core.db.run(lambda s, push=push: wechat.keep_push(s, push, now=START))
    monkeypatch.setattr(sweeps, "MOST_BATCHES", 2)
    monkeypatch.setattr(sweeps.in_batches, "__kwdefaults__", {"batch": 2})
    assert run_at(core, clock, START + 31 * DAY) == 4
    assert run_at(core, clock, START + 31 * DAY) == 1
