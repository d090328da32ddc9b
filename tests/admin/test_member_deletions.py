"""Deletions in the console: the list with its last days, asking and taking back for a member."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from admin.views import member_deletions
from server.audit.models import AuditEntry
from server.kernel.actors import MemberActor
from server.members import deletion, deletion_queries, queries
from tests.admin.conftest import token_of
from tests.factories.members import a_member

pytestmark = [pytest.mark.committing, pytest.mark.requirement("MEM11")]
HOME = "/admin/member_deletions/"


@pytest.fixture
def member_id(core, clock):
    return core.db.run(lambda s: a_member(s, now=clock.now()))


def post(client, path, **form):
    return client.post(path, data={"csrf_token": token_of(client, HOME), **form}, follow_redirects=True)


def status(core, member_id):
    with core.db.reading() as session:
        return queries.require(session, member_id).status


def test_staff_ask_for_a_member_and_take_it_back_with_reasons(core, clock, signed_in_as, member_id):
    client = signed_in_as("operations")
    page = client.get(f"/admin/members/{member_id}").text
    assert f"/admin/member_deletions/{member_id}/ask" in page
    post(client, f"/admin/member_deletions/{member_id}/ask", reason=" ")
    assert status(core, member_id) == "active", "no reason, no deletion"
    post(client, f"/admin/member_deletions/{member_id}/ask", reason="asked by telephone")
    assert status(core, member_id) == "deleting"
    listed = client.get(HOME).text
    assert "asked by telephone" in listed
    assert "2026-07-06" in listed
    assert f"/admin/member_deletions/{member_id}/take-back" in listed
    assert f"/admin/member_deletions/{member_id}/take-back" in client.get(f"/admin/members/{member_id}").text
    post(client, f"/admin/member_deletions/{member_id}/take-back", reason="")
    assert status(core, member_id) == "deleting"
    post(client, f"/admin/member_deletions/{member_id}/take-back", reason="wants to stay")
    assert status(core, member_id) == "active"
    with core.db.reading() as session:
        acts = session.execute(sa.select(AuditEntry.action, AuditEntry.reason).where(AuditEntry.subject_id == str(member_id)))
        assert {tuple(row) for row in acts} >= {
            ("member.request_deletion", "asked by telephone"),
            ("member.cancel_deletion", "wants to stay"),
        }


def test_the_list_says_what_waits_what_is_late_and_what_is_done(core, clock, signed_in_as, member_id):
    me = MemberActor(member_id)
    wish, _ = core.db.run(lambda s: deletion.request_deletion(s, member_id, reason=None, actor=me, now=clock.now()))
    client = signed_in_as("operations")
    assert "可撤回" in client.get(HOME).text
    assert "没有注销申请" in client.get(f"{HOME}?state=done").text
    core.db.run(lambda s: deletion.hold(s, wish.id, "orders", now=clock.now()))
    assert "等待订单完成" in client.get(HOME).text
    last = wish.deadline_on
    words = [member_deletions.state_of(one, day) for one, day in ((wish, last), (wish, last + timedelta(days=1)))]
    assert words == ["waiting", "overdue"]
    assert member_deletions.state_of(replace(wish, state="done"), last + timedelta(days=1)) == "done"
    with core.db.reading() as session:
        assert [deletion_queries.overdue(session, day) for day in (last, last + timedelta(days=1))] == [0, 1]


def test_who_may_only_look_cannot_ask(core, signed_in_as, member_id):
    clerk = signed_in_as("store")
    assert clerk.get(HOME).status_code == 200
    assert "/ask" not in clerk.get(f"/admin/members/{member_id}").text
    assert post(clerk, f"/admin/member_deletions/{member_id}/ask", reason="x").status_code == 403
    assert status(core, member_id) == "active"


def test_a_role_without_members_sees_nothing(signed_in_as):
    assert signed_in_as("auditor").get(HOME).status_code == 403
