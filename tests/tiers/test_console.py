"""The console's pages of growth: the rule, its draft and preview, who is at risk, the lock of one member."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest

from server.audit import queries as audit
from server.cards import queries as cards
from server.kernel.pagination import PageRequest
from server.members import service as members
from server.tiers import overview, queries, service
from tests.admin.conftest import app, signed_in_as, token_of  # noqa: F401 - fixtures of the console
from tests.conftest import START
from tests.factories.feedback import a_picture
from tests.factories.members import SYSTEM, a_member
from tests.factories.tiers import a_rule, a_sale

RULE = {
    "spend_percent": "100", "per_order": "0", "order_min_fen": "0", "check_in": "0", "profile": "0", "rating": "0",
    "activity_daily_max": "", "window": "months", "window_months": "12", "period_months": "12", "grace_days": "30",
}  # fmt: skip


def post(client, path, token_from="/admin/tier-growth/draft", **form):
    return client.post(path, data={**form, "csrf_token": token_of(client, token_from)})


@pytest.fixture
def member_id(core):
    def prepare(session):
        a_rule(session, now=START)
        member_id = a_member(session, now=START)
        a_sale(session, member_id, 1_200, at=START)
        return member_id

    return core.db.run(prepare)


def test_every_page_opens_and_says_what_it_should(core, clock, member_id, signed_in_as):  # noqa: F811 - the fixture
    clock.set(START + timedelta(days=730 - 20))
    core.db.run(lambda session: service.reassess_due(session, clock.now()))
    client = signed_in_as("operations")
    with core.db.reading() as session:
        card_no = cards.of_member(session, member_id).card_no
    pages = {}
    for path in ("tiers/", "tiers/new", "tier-growth/", "tier-growth/draft", "tier-growth/at-risk", "tier-growth/at-risk?tier=gold",
                 f"tier-growth/members/{member_id}", f"tier-growth/members/{member_id}/lock", f"members/{member_id}"):  # fmt: skip
        answer = client.get(f"/admin/{path}", headers={"Accept-Language": "en"})
        assert answer.status_code == 200, (path, answer.get_data(as_text=True)[-2000:])
        pages[path] = answer.get_data(as_text=True)
    assert "1,000" in pages["tier-growth/at-risk"]
    assert "1,000" not in pages["tier-growth/at-risk?tier=gold"]
    assert "+1,200" in pages[f"members/{member_id}"]
    assert card_no
    gone = "/admin/tier-growth/members/00000000-0000-7000-8000-000000000000"
    assert [client.get(f"{gone}{rest}").status_code for rest in ("", "/lock")] == [404, 404]


def test_a_rule_is_drafted_looked_at_and_published(core, member_id, signed_in_as):  # noqa: F811
    client = signed_in_as("operations")
    draft = {**RULE, "thresholds": "silver：500，gold:1100", "edits": ""}
    assert post(client, "/admin/tier-growth/draft", **draft).status_code == 302
    page = client.get("/admin/tier-growth/").get_data(as_text=True)
    assert "publish?edits=0" in page
    assert post(client, "/admin/tier-growth/draft", **draft).status_code == 422
    assert post(client, "/admin/tier-growth/draft", **{**draft, "edits": "0", "thresholds": "silver:x"}).status_code == 422
    assert post(client, "/admin/tier-growth/draft", **{**draft, "edits": "0", "thresholds": "gold:5, silver:9"}).status_code == 422
    post(client, "/admin/tier-growth/publish?edits=0")
    with core.db.reading() as session:
        assert [rule.state for rule in overview.rule_versions(session)] == ["draft", "published"]
    assert post(client, "/admin/tier-growth/publish?edits=0", reason="easier").status_code == 302
    core.db.run(lambda session: service.reassess_due(session, START))
    with core.db.reading() as session:
        assert [rule.state for rule in overview.rule_versions(session)] == ["published", "published"]
        assert queries.of_member(session, member_id).code == "gold"
        (entry,) = audit.list_entries(session, PageRequest(1), audit.EntryFilter(subject_type="growth_rule")).items
        assert (entry.action, entry.reason) == ("growth_rule.publish", "easier")
    post(client, "/admin/tier-growth/draft", **draft)
    assert post(client, "/admin/tier-growth/drop?edits=0").status_code == 302
    with core.db.reading() as session:
        assert overview.rule_versions(session)[0].state == "dropped"


def test_a_tier_is_locked_and_unlocked_with_a_reason(core, member_id, signed_in_as):  # noqa: F811
    client = signed_in_as("operations")
    at = f"/admin/tier-growth/members/{member_id}"
    assert post(client, f"{at}/lock", tier="gold", until="2026-12-31", reason="").status_code == 422
    assert post(client, f"{at}/lock", tier="gold", until="2020-12-31", reason="Complaint").status_code == 422
    assert post(client, f"{at}/lock", tier="gold", until="2026-12-31", reason="Complaint").status_code == 302
    with core.db.reading() as session:
        assert queries.of_member(session, member_id).code == "gold"
    post(client, f"{at}/unlock", reason="")
    with core.db.reading() as session:
        assert queries.progress(session, member_id, now=START).locked_until is not None
    assert post(client, f"{at}/unlock", reason="Settled").status_code == 302
    with core.db.reading() as session:
        assert queries.progress(session, member_id, now=START).locked_until is None
        acts = {entry.action for entry in audit.list_entries(session, PageRequest(), audit.EntryFilter(subject_type="member")).items}
        assert {"tier.lock", "tier.unlock"} <= acts


def test_the_list_of_those_at_risk_is_downloaded_and_noted(core, clock, member_id, signed_in_as):  # noqa: F811
    clock.set(START + timedelta(days=730 - 20))
    core.db.run(lambda session: service.reassess_due(session, clock.now()))
    client = signed_in_as("operations")
    answer = post(client, "/admin/tier-growth/at-risk/export", reason="Call them")
    assert (answer.status_code, answer.content_type) == (200, "text/csv; charset=utf-8")
    lines = answer.get_data().decode("utf-8-sig").strip().splitlines()
    assert len(lines) == 2
    assert re.search(r"1,?000", lines[1])
    with core.db.reading() as session:
        (entry,) = audit.list_entries(session, PageRequest(1), audit.EntryFilter(subject_type="export")).items
        assert (entry.reason, entry.after) == ("Call them", {"rows": 1})


def test_a_tier_is_given_what_it_gives(core, member_id, signed_in_as):  # noqa: F811
    client = signed_in_as("operations")
    form = {"code": "silver", "name": "银卡", "rank": "10", "points_multiplier_percent": "110", "start": "#C9D2DB", "end": "#8A97A6",
            "text": "#1F2933", "upgrade_points": "77", "upgrade_points_days": "30", "upgrade_coupon": "", "service_priority": "urgent",
            "advisor": "小林", "benefits": "One"}  # fmt: skip
    assert post(client, "/admin/tiers/silver/edit", "/admin/tiers/silver/edit", **form).status_code == 302
    with core.db.reading() as session:
        held = queries.of_member(session, member_id)
        assert (held.perks.upgrade_points, held.perks.upgrade_points_days, held.perks.upgrade_coupon) == (77, 30, None)
        kinds = {one.kind: one.text or one.value for one in queries.benefits(session, member_id)}
        assert (kinds["service_priority"], kinds["advisor"], kinds["upgrade_points"]) == ("urgent", "小林", 77)


@pytest.mark.requirement("CARD1")
def test_a_member_is_shown_the_face_of_the_tier_they_hold(core, member_id, signed_in_as, client):  # noqa: F811
    staff = signed_in_as("operations")
    form = {"code": "gold", "name": "金卡", "rank": "20", "points_multiplier_percent": "125", "start": "#112233", "end": "#445566",
            "text": "#FFFFFF", "service_priority": "normal", "benefits": "One"}  # fmt: skip
    path = "/admin/tiers/gold/edit"

    def save(**more):
        answer = staff.post(path, data={**form, **more, "csrf_token": token_of(staff, path)}, content_type="multipart/form-data")
        assert answer.status_code == 302

    def face():
        headers = {"Authorization": f"Bearer {token}"}
        card, me, tiers = (client.get(f"/api/v1/{name}", headers=headers).json for name in ("card", "me", "tiers"))
        listed = next(tier["face"] for tier in tiers["items"] if tier["code"] == card["tier"])
        assert {name: value for name, value in listed.items() if value} == card["face"] == me["tier"]["face"]
        return card["face"]

    token = core.db.run(lambda s: members.open_session(s, member_id, client=None, address=None, now=core.clock.now()).access_token)
    assert face()["start"] == "#C9D2DB"
    save(picture=(io.BytesIO(a_picture()), "gold.png"))
    core.db.run(lambda s: service.assign(s, member_id, "gold", reason="test", actor=SYSTEM, now=core.clock.now()))
    shown = face()
    assert (shown["start"], shown["end"], set(shown)) == ("#112233", "#445566", {"start", "end", "text", "picture_url"})
    assert client.get(shown["picture_url"]).status_code == 200
    # Saving something else leaves the picture; only the box takes it away.
    save(name="金卡会员")
    assert "picture_url" in face()
    save(without_picture="y")
    assert "picture_url" not in face()
