"""Segments on the page: written row by row, told in a sentence, counted before they are kept, built, exported, and refused where wrong."""

from __future__ import annotations

import pytest

from server.rosters import queries as rosters
from server.segments import queries
from server.segments.rules import Fact
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.members import a_member
from tests.factories.segments import a_segment, all_of, at_least, at_most, build, one_of

pytestmark = [pytest.mark.committing, pytest.mark.requirement("CMP1")]
HOME = "/admin/segments/"
NEW = f"{HOME}new"


def filled(client, path=NEW, **changes):
    data = {
        "csrf_token": token_of(client, path),
        "code": "new-ones",
        "name": "新会员",
        "refresh_hours": "12",
        "enabled": "y",
        "join": "all",
        "reason": "for the spring",
        "version": "",
        "g1_join": "all",
        "g1_turned": "no",
        "g1c1_fact": "joined",
        "g1c1_test": "within",
        "g1c1_value": "30",
        "g2c1_fact": "paid",
        "g2c1_test": "less",
        "g2c1_value": "99.5",
        "g2c1_days": "90",
    }
    return data | changes


@pytest.fixture
def member(core):
    return core.db.run(lambda s: a_member(s, now=START))


def versions(core, code="new-ones"):
    with core.db.reading() as session:
        return queries.versions(session, code)


def test_a_segment_is_written_from_its_rows_and_read_in_a_sentence(core, signed_in_as, member):
    client = signed_in_as("operations")
    assert "暂无分群" in client.get(HOME).get_data(as_text=True)
    answer = client.post(NEW, data=filled(client))
    assert answer.status_code == 302, answer.get_data(as_text=True)
    (view,) = versions(core)
    assert [(each.fact, each.number, each.days, each.negated) for each in view.rule.conditions()] == [
        (Fact.JOINED, 30, None, False),
        (Fact.PAID, 9950, 90, True),
    ]
    told = "入会在30天内，且近90天实付金额少于99.5元的会员。"
    for path in (HOME, f"{HOME}new-ones"):
        assert told in client.get(path).get_data(as_text=True)
    assert "名单尚未生成" in client.get(f"{HOME}new-ones").get_data(as_text=True)
    # The form of the next version shows what the last one says, and who that is now.
    page = client.get(f"{HOME}new-ones/edit").get_data(as_text=True)
    assert 'name="g2c1_value" value="99.5"' in page
    assert told in page
    answer = client.post(f"{HOME}new-ones/edit", data=filled(client, f"{HOME}new-ones/edit", version="1", g2c1_fact=""))
    assert answer.status_code == 302
    assert len(versions(core)) == 2


def test_a_preview_counts_and_keeps_nothing(core, signed_in_as, member):
    client = signed_in_as("operations")
    page = client.post(NEW, data=filled(client, preview="1")).get_data(as_text=True)
    assert "<strong>1</strong>" in page
    assert "Members with joining within 30 days, and amount paid less than ¥99.5 in the last 90 days." in page
    page = client.post(NEW, data=filled(client, preview="1", g1c1_test="beyond")).get_data(as_text=True)
    assert "<strong>0</strong>" in page
    assert versions(core) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "Has Blanks"},
        {"name": " "},
        {"reason": " "},
        {"refresh_hours": "0"},
        {"g1c1_value": "x"},
        {"g1c1_test": "one_of"},
        {"g2c1_value": "1.234"},
        {"g2c1_value": "NaN"},
        {"g2c1_days": "0"},
        {"g1c1_fact": "", "g2c1_fact": ""},
        {"g1c1_test": "none-such"},
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(core, signed_in_as, changes):
    client = signed_in_as("operations")
    answer = client.post(NEW, data=filled(client, **changes))
    assert answer.status_code == 422
    assert versions(core) == []


def test_a_fact_that_is_none_is_a_wrong_row(core, signed_in_as):
    client = signed_in_as("operations")
    answer = client.post(NEW, data=filled(client, g1c1_fact="shoe-size"))
    assert answer.status_code == 422
    assert "请选择比较方式" in answer.get_data(as_text=True)


def test_its_members_are_listed_and_exported_masked_with_a_reason(core, signed_in_as, member):
    core.db.run(lambda s: a_segment(s, all_of(at_most(Fact.ORDERS, 0)), now=START))
    build(core)
    client = signed_in_as("operations")
    page = client.get(f"{HOME}some/members").get_data(as_text=True)
    assert "****" in page
    token = token_of(client, f"{HOME}some/members")
    answer = client.post(f"{HOME}some/members/export", data={"csrf_token": token, "reason": "a letter"})
    assert answer.status_code == 200
    assert answer.data[:2] == b"PK"
    assert "名会员" not in page


def test_building_is_asked_for_and_stopped_with_a_reason(core, signed_in_as, member):
    core.db.run(lambda s: a_segment(s, all_of(at_most(Fact.ORDERS, 0)), now=START))
    build(core)
    client = signed_in_as("operations")
    token = token_of(client, f"{HOME}some")
    client.post(f"{HOME}some/build", data={"csrf_token": token, "reason": ""})
    with core.db.reading() as session:
        assert rosters.rosters(session)["some"].asked_at is None
    client.post(f"{HOME}some/build", data={"csrf_token": token, "reason": "now"})
    with core.db.reading() as session:
        assert rosters.rosters(session)["some"].asked_at == START
    client.post(f"{HOME}some/switch?to=off&seen=1", data={"csrf_token": token, "reason": "over"})
    assert not versions(core, "some")[0].enabled


@pytest.mark.parametrize("role", ["service", "store", "admin", "auditor"])
def test_who_may_not_see_segments_does_not(core, signed_in_as, role):
    assert signed_in_as(role).get(HOME).status_code == 403


def test_coupons_and_rules_can_be_for_a_segment(core, signed_in_as):
    core.db.run(lambda s: a_segment(s, all_of(at_least(Fact.ORDERS, 1), one_of(Fact.CITY, "上海")), now=START))
    client = signed_in_as("operations")
    for path in ("/admin/coupon_templates/new", "/admin/coupon-triggers/new/welcome"):
        assert "一些会员" in client.get(path).get_data(as_text=True)
