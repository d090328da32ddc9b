from __future__ import annotations

import pytest
import sqlalchemy as sa

from server.audit.models import AuditEntry
from server.kernel.actors import MemberActor
from server.members import queries, service
from server.members.rules import Birthday
from server.points import queries as points
from tests.admin.conftest import token_of
from tests.factories.members import PHONES, a_member, an_unclaimed_member


@pytest.fixture
def member(core, clock):
    def work(session):
        member_id = a_member(session, now=clock.now(), phone=PHONES[1])
        service.update_profile(
            session,
            member_id,
            service.ProfileChange(nickname="小满", birthday=Birthday("lunar", 8, 15)),
            actor=MemberActor(member_id),
            now=clock.now(),
        )
        return member_id

    return core.db.run(work)


def post(client, path, page, **data):
    return client.post(path, data={**data, "csrf_token": token_of(client, page)}, headers={"Referer": f"http://localhost{page}"})


def text_of(answer):
    assert answer.status_code == 200, answer.get_data(as_text=True)[:3000]
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("asked", ["phone=13800138001", "phone=8001", "nickname=小", ""])
def test_members_are_found_and_phones_are_masked(signed_in_as, member, asked):
    text = text_of(signed_in_as("operations").get(f"/admin/members/?{asked}"))
    assert "小满" in text
    assert "138****8001" in text
    assert "13800138001" not in text.split("<table", 1)[1].split("</table", 1)[0]


@pytest.mark.parametrize("asked", ["phone=13800138002", "phone=8002", "nickname=满", "card=123456789012", "status=frozen"])
def test_others_are_not_found(signed_in_as, member, asked):
    assert "138****8001" not in text_of(signed_in_as("operations").get(f"/admin/members/?{asked}"))


def test_the_whole_member_is_on_one_page_and_the_number_only_for_a_reason(core, signed_in_as, member):
    client = signed_in_as("operations")
    page = f"/admin/members/{member}"
    text = text_of(client.get(page))
    for word in ("小满", "138****8001", "08-15"):
        assert word in text
    assert "13800138001" not in text
    assert "13800138001" not in post(client, f"{page}/reveal", page, reason=" ").get_data(as_text=True)
    assert "+8613800138001" in text_of(post(client, f"{page}/reveal", page, reason="parcel came back"))
    assert "13800138001" not in text_of(client.get(page))
    with core.db.reading() as session:
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "member.reveal_phone")).one()
    assert (entry.actor_kind, entry.reason, entry.subject_id) == ("staff", "parcel came back", str(member))


def test_points_are_adjusted_once_however_often_the_button_is_pressed(core, signed_in_as, member):
    client = signed_in_as("operations")
    path = f"/admin/members/{member}/points"
    once = client.get(path).get_data(as_text=True).split('name="once"')[1].split('value="')[1].split('"')[0]
    for _ in range(2):
        answer = post(client, path, path, points="300", reason="apology", once=once)
        assert answer.status_code == 302, answer.get_data(as_text=True)[:3000]
    with core.db.reading() as session:
        assert points.balance(session, member).available == 300
    refused = post(client, path, path, points="-500", reason="mistake")
    assert refused.status_code == 422
    with core.db.reading() as session:
        assert points.balance(session, member).available == 300


def test_a_membership_is_frozen_and_unfrozen_with_a_reason(core, signed_in_as, member):
    client, page = signed_in_as("operations"), f"/admin/members/{member}"

    def status():
        with core.db.reading() as session:
            return queries.require(session, member).status

    post(client, f"{page}/freeze", page, reason="")
    assert status() == "active"
    post(client, f"{page}/freeze", page, reason="fraud")
    assert status() == "frozen"
    assert "fraud" in text_of(client.get(page))
    post(client, f"{page}/unfreeze", page, reason="cleared")
    assert status() == "active"


def test_a_profile_is_corrected(core, signed_in_as, member):
    client, path = signed_in_as("operations"), f"/admin/members/{member}/edit"
    assert post(client, path, path, nickname="大满", gender="female", city="杭州", interests="茶，咖啡").status_code == 302
    with core.db.reading() as session:
        view = queries.require(session, member)
    assert (view.nickname, view.gender, view.city, view.interests) == ("大满", "female", "杭州", ["茶", "咖啡"])


def test_a_birthday_request_is_decided(core, signed_in_as, member, clock):
    def ask(day):
        change = service.ProfileChange(birthday=Birthday("solar", 5, day))
        return core.db.run(
            lambda s: service.update_profile(s, member, change, actor=MemberActor(member), now=clock.now())
        ).change_request.id

    client, page = signed_in_as("operations"), "/admin/members/changes"
    first = ask(1)
    assert "05-01" in text_of(client.get(page))
    post(client, f"{page}/{first}/refuse", page, reason="no proof")
    second = ask(2)
    post(client, f"{page}/{second}/approve", page)
    with core.db.reading() as session:
        assert queries.require(session, member).birthday == Birthday("solar", 5, 2)
        assert [view.state for view in queries.change_requests_of(session, member)] == ["approved", "refused"]


def test_two_records_are_compared_and_merged(core, signed_in_as, member, clock):
    other = core.db.run(lambda s: an_unclaimed_member(s, now=clock.now(), phone=PHONES[2]))
    client, path = signed_in_as("operations"), f"/admin/member_merges/{member}"
    assert post(client, path, path, other="13800138009").status_code == 422
    assert post(client, path, path, other="13800138001").status_code == 422
    found = post(client, path, path, other="13800138002")
    assert found.headers["Location"].endswith(f"{path}/{other}")
    text = text_of(client.get(f"{path}/{other}"))
    assert "138****8001" in text
    assert "138****8002" in text
    post(client, f"{path}/{other}/join", f"{path}/{other}", reason=" ")
    with core.db.reading() as session:
        assert queries.require(session, other).status == "active"
    post(client, f"{path}/{other}/join", f"{path}/{other}", reason="same person")
    with core.db.reading() as session:
        assert queries.require(session, other).merged_into == member
    assert client.get(f"/admin/members/{other}").status_code == 200
    assert client.get(f"/admin/members/{other}/edit").status_code == 404


def test_who_may_not_read_members_sees_nothing(signed_in_as, member):
    assert signed_in_as("auditor").get(f"/admin/members/{member}").status_code in {200, 403}
    assert signed_in_as("security").get("/admin/members/").status_code == 403
    assert signed_in_as("store").get(f"/admin/members/{member}/points").status_code == 403
