"""The member's tier, growth and benefits over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.campaigns import service as campaigns
from server.campaigns.rules import BirthdayPolicy
from server.members import service as members
from server.tiers import service
from tests.conftest import START
from tests.factories.points import STAFF
from tests.factories.tiers import a_rule, a_sale


@pytest.fixture
def login(core):
    core.db.run(lambda session: a_rule(session, now=START))
    return core.db.run(
        lambda session: members.login_with_wechat(session, appid="wxdemo0000000000", openid="o-tiers", unionid=None, now=core.clock.now())
    )


@pytest.fixture
def get(client, login):
    def get(path, language="en"):
        headers = {"Authorization": f"Bearer {login.access_token}", "Accept-Language": language}
        return client.get(f"/api/v1{path}", headers=headers)

    return get


@pytest.mark.requirement("CARD5")
def test_a_member_sees_what_is_missing_and_how_it_came(core, login, get):
    core.db.run(lambda session: a_sale(session, login.member_id, 1_200, at=START))
    mine = get("/me/tier").json
    assert (mine["tier"]["code"], mine["next"]["code"]) == ("silver", "gold")
    progress = mine["progress"]
    assert (progress["growth"], progress["next_threshold"], progress["missing"], progress["keep_missing"]) == (1200, 5000, 3800, 0)
    assert (progress["period_ends_on"], progress["grace_until"], progress["at_risk"]) == ("2027-06-14", "2027-07-14", False)
    assert [(change["cause"], change["reason"]) for change in mine["changes"]] == [("upgrade", "Growth reached this tier")]


def test_a_member_sees_by_when_the_tier_must_be_kept(core, clock, client, login):
    core.db.run(lambda session: a_sale(session, login.member_id, 1_200, at=START))
    clock.set(START + timedelta(days=365 + 340))
    core.db.run(lambda session: service.reassess_due(session, clock.now()))
    again = core.db.run(
        lambda session: members.login_with_wechat(session, appid="wxdemo0000000000", openid="o-tiers", unionid=None, now=clock.now())
    )
    mine = client.get("/api/v1/me/tier", headers={"Authorization": f"Bearer {again.access_token}"}).json
    progress = mine["progress"]
    assert (mine["tier"]["code"], progress["growth"], progress["at_risk"]) == ("silver", 0, True)
    assert (progress["keep_missing"], progress["period_ends_on"], progress["grace_until"]) == (1000, "2028-06-14", "2028-07-14")


def test_a_member_reads_the_growth_statement_page_by_page(core, login, get):
    for number in range(3):
        core.db.run(lambda session, number=number: a_sale(session, login.member_id, 100 + number, at=START + timedelta(hours=number)))
    first = get("/me/growth?limit=2").json
    assert [entry["growth"] for entry in first["items"]] == [102, 101]
    assert (first["items"][0]["reason"], first["items"][0]["kind"], first["items"][0]["counted_on"]) == (
        "Growth for what you paid", "spend", "2026-06-15",
    )  # fmt: skip
    second = get(f"/me/growth?limit=2&cursor={first['next_cursor']}").json
    assert ([entry["growth"] for entry in second["items"]], second["next_cursor"]) == ([100], None)
    assert get("/me/growth?limit=0").status_code == 422


@pytest.mark.requirement("CARD6")
def test_a_member_sees_every_benefit_and_why(core, login, get):
    policy = BirthdayPolicy(enabled=True, points=10, points_by_tier={"gold": 99})
    core.db.run(lambda session: campaigns.set_birthday_policy(session, policy, actor=STAFF, now=START))
    plain = {one["kind"]: one for one in get("/me/benefits").json["items"]}
    assert (plain["birthday_points"]["value"], plain["birthday_points"]["why"]) == (10, "everyone")
    core.db.run(lambda session: a_sale(session, login.member_id, 5_000, at=START))
    page = get("/me/benefits").json
    found = {one["kind"]: one for one in page["items"] if one["kind"] != "text"}
    assert page["tier"]["code"] == "gold"
    assert (found["points_multiplier"]["value"], found["points_multiplier"]["why"]) == (125, "tier")
    assert (found["birthday_points"]["value"], found["upgrade_points"]["value"]) == (99, 200)
    assert found["service_priority"]["text"] == "Faster customer service"
    core.db.run(lambda session: service.assign(session, login.member_id, "black", reason="VIP", actor=STAFF, now=START))
    assert {one["why"] for one in get("/me/benefits").json["items"] if one["kind"] == "points_multiplier"} == {"assigned"}
    chinese = get("/me/benefits", "zh-CN").json["items"][0]
    assert (chinese["text"], chinese["reason"]) == ("积分倍率", "黑金会员为赠予等级")
