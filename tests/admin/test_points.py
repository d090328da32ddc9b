"""The console's pages of points and tiers."""

from __future__ import annotations

import re
from types import SimpleNamespace
from uuid import UUID

import pytest

from server.cards import queries as cards
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.operations import service as operations
from server.operations.models import ScheduledRun
from server.points import controls, drafts, dry_runs, queries, service
from server.points.control_rules import Controls
from server.points.overview import LedgerFilter, search_entries
from server.tiers import queries as tiers
from server.tiers import service as tier_service
from tasks.jobs import rule_lab
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.members import a_member
from tests.factories.orders import a_till_draft, an_order
from tests.factories.points import SYSTEM


@pytest.fixture
def card(core):
    """Give (member id, card number) of a member; rules and tiers are there."""

    def prepare(session):
        service.ensure_default_rules(session, actor=SYSTEM, now=START)
        tier_service.ensure_default_tiers(session)
        member_id = a_member(session, now=START)
        service.check_in(session, member_id, actor=SYSTEM, now=START)
        return member_id, cards.of_member(session, member_id).card_no

    return core.db.run(prepare)


def post(client, path, **form):
    return client.post(path, data={**form, "csrf_token": token_of(client, path)})


def test_every_page_opens(core, card, signed_in_as):
    client = signed_in_as("operations")
    with core.db.reading() as session:
        (entry,) = search_entries(session, LedgerFilter(), PageRequest()).items
    for path in (
        "points/", f"points/?card_no={card[1]}", "points/?kind=accrue&source=points/check", "points/health", "points/proof", "points/adjust",
        f"points/entries/{entry.id}", "points-rules/", "points-rules/purchase", "points-rules/check-in/edit", "points-rules/purchase/edit",
        "points-rules/new/per_amount", "points-rules/new/event", "points-rules/policies", "points-rules/drafts", "points-lab/", "points-lab/new", "tiers/", "tiers/assign",
    ):  # fmt: skip
        answer = client.get(f"/admin/{path}")
        assert answer.status_code == 200, (path, answer.get_data(as_text=True)[-2000:])
    assert client.get("/admin/points-rules/none").status_code == 404
    assert client.get("/admin/points/entries/none").status_code == 404
    assert str(entry.id) not in client.get("/admin/points/?card_no=000").get_data(as_text=True)


def test_points_are_adjusted_once_with_a_reason(core, card, signed_in_as):
    client = signed_in_as("operations")
    form = {"card_no": card[1], "direction": "give", "points": "30", "reason": "Goodwill", "once": "abc"}
    assert post(client, "/admin/points/adjust", **form).status_code == 302
    assert post(client, "/admin/points/adjust", **form).status_code == 302
    assert post(client, "/admin/points/adjust", **form | {"once": "d", "direction": "take", "points": "33"}).status_code == 422
    assert post(client, "/admin/points/adjust", **form | {"once": "e", "reason": ""}).status_code == 422
    assert post(client, "/admin/points/adjust", **form | {"once": "f", "card_no": "000"}).status_code == 422
    with core.db.reading() as session:
        assert queries.balance(session, card[0]).available == 32


def test_a_rule_gets_a_new_version(core, card, signed_in_as):
    client = signed_in_as("operations")
    form = {"code": "purchase", "name": "Purchase", "enabled": "y", "fen_per_point": "0.50", "use_tier_multiplier": "y", "stores": "S1，S2",
            "expiry_kind": "month_end", "expiry_count": "12", "rounding": "floor", "reason": "Summer"}  # fmt: skip
    assert post(client, "/admin/points-rules/purchase/edit", **form | {"reason": ""}).status_code == 422
    assert post(client, "/admin/points-rules/purchase/edit", **form).status_code == 302
    assert post(client, "/admin/points-rules/purchase/edit", **form | {"expiry_count": ""}).status_code == 422
    # Whoever writes a new rule does not change another one that has the code, nor somebody's draft.
    assert post(client, "/admin/points-rules/new/per_amount", **form).status_code == 422
    assert post(client, "/admin/points-rules/new/per_amount", **form | {"code": "new", "draft": "1"}).status_code == 302
    assert post(client, "/admin/points-rules/new/per_amount", **form | {"code": "new", "draft": "1"}).status_code == 422
    bonus = {
        "code": "check-in",
        "name": "C",
        "points": "3",
        "streak_bonus": "7:10，30：50",
        "cycle_days": "30",
        "expiry_kind": "never",
        "reason": "more",
    }
    assert post(client, "/admin/points-rules/check-in/edit", **bonus).status_code == 302
    assert post(client, "/admin/points-rules/check-in/edit", **bonus | {"streak_bonus": "7-10"}).status_code == 422
    with core.db.reading() as session:
        rules = {rule.code: rule for rule in queries.rule_versions(session)}
    assert (rules["purchase"].version, rules["purchase"].document["stores"], rules["purchase"].document["fen_per_point"]) == (
        2,
        ["S1", "S2"],
        50,
    )
    assert (rules["check-in"].enabled, rules["check-in"].document["streak_bonus"]) == (False, {"7": 10, "30": 50})
    # Whoever made a version is told by name, never by the key of an account.
    versions = client.get("/admin/points-rules/purchase").get_data(as_text=True)
    assert (rules["purchase"].created_by in versions, "林晓雯" in versions.split("<tbody>")[1]) == (False, True)


def test_a_draft_is_told_in_a_sentence_tried_out_and_published(core, card, signed_in_as):
    client = signed_in_as("operations")
    new = "/admin/points-rules/new/multiplier"
    form = {
        "code": "day",
        "name": "Member day",
        "enabled": "y",
        "percent": "300",
        "weekdays": ["1", "3"],
        "month_days": "8，18",
        "except_skus": "gift card",
        "tiers": ["gold"],
    }
    assert "每周一、每周三、每月8日、每月18日积分3倍，商品card、gift除外，限会员等级gold。" in post(
        client, new, **form, preview="1"
    ).get_data(as_text=True)
    assert post(client, new, **form | {"month_days": "x"}, preview="1").status_code == 422
    # A tier that is misspelt would be for nobody, and nobody would be told.
    assert post(client, new, **form | {"tiers": ["goold"]}, preview="1").status_code == 422
    assert post(client, new, **form, draft="1").status_code == 302
    money = {"code": "purchase", "name": "P", "fen_per_point": "1", "rounding": "half_up", "stacks": "y", "priority": "2", "max_points_in_all": "900",
             "min_order_fen": "99", "expiry_kind": "never", "enabled": "y"}  # fmt: skip
    assert post(client, "/admin/points-rules/purchase/edit", **money, draft="1").status_code == 302
    with core.db.reading() as session:
        found = {draft.code: draft.document for draft in drafts.all_drafts(session)}
        assert [rule.version for rule in queries.rule_versions(session)] == [1, 1], "a draft changes nothing yet"
    assert found["day"] == {
        "expiry": {"kind": "never"},
        "percent": 300,
        "weekdays": [1, 3],
        "month_days": [8, 18],
        "except_skus": ["gift", "card"],
        "tiers": ["gold"],
    }
    assert found["purchase"] == {
        "expiry": {"kind": "never"}, "fen_per_point": 100, "rounding": "half_up", "stacks": True, "priority": 2, "max_points_in_all": 900,
        "min_order_fen": 9900, "use_tier_multiplier": False, "use_campaigns": False,
    }  # fmt: skip
    assert post(client, "/admin/points-rules/day/draft", **form).status_code == 302
    core.db.run(lambda session: an_order(session, a_till_draft(now=START), now=START))
    page = client.get("/admin/points-lab/new").get_data(as_text=True)
    assert [name for name in ("day", "purchase") if re.search(f'name="codes"[^>]*value="{name}"', page)] == ["day", "purchase"]
    assert post(client, "/admin/points-lab/new", since="2026-06-01", until="2026-06-30", codes=["gone"]).status_code == 422
    asked = post(client, "/admin/points-lab/new", since="2026-06-01", until="2026-06-30", codes=["day"])
    run_id = asked.headers["Location"].rsplit("/", 1)[1]
    assert "进行中" in client.get(f"/admin/points-lab/{run_id}").get_data(as_text=True)
    with core.db.reading() as session:
        assert [draft["code"] for draft in dry_runs.find(session, UUID(run_id)).drafts] == ["day"]
    rule_lab.on_dry_run_asked(core, SimpleNamespace(payload={"run_id": run_id}))
    page = client.get(f"/admin/points-lab/{run_id}").get_data(as_text=True)
    assert "增加最多的会员" in page
    assert post(client, "/admin/points-lab/new", since="2026-06-30", until="2026-06-01").status_code == 422
    token = token_of(client, "/admin/points-rules/drafts")
    assert client.post("/admin/points-rules/day/publish?edits=2", data={"csrf_token": token, "reason": "June"}).status_code == 302
    assert client.post("/admin/points-rules/purchase/drop?edits=1", data={"csrf_token": token}).status_code == 302
    assert f"/admin/points-lab/{run_id}" in client.get("/admin/points-rules/day").get_data(as_text=True)
    with core.db.reading() as session:
        assert drafts.all_drafts(session) == []


def test_policies_are_declared(core, card, signed_in_as):
    client = signed_in_as("operations")
    assert post(client, "/admin/points-rules/policies", debt_policy="negative", reopen_days="10").status_code == 302
    with core.db.reading() as session:
        assert str(queries.settings(session).debt_policy) == "negative"


def test_controls_are_declared(core, card, signed_in_as):
    client = signed_in_as("operations")
    assert "1000" in client.get("/admin/points-controls/").get_data(as_text=True)
    form = {"adjust_limit": "50", "notice_min_points": "5", "points_per_yuan": ""}
    assert post(client, "/admin/points-controls/", **form).status_code == 302
    assert post(client, "/admin/points-controls/", **form | {"notice_min_points": "0"}).status_code == 422
    with core.db.reading() as session:
        assert controls.current(session) == Controls(50, 5, None)
    higher = form | {"adjust_limit": "9000", "points_per_yuan": "80", "once": "abc"}
    assert post(client, "/admin/points-controls/", **higher).status_code == 422, "raised without a reason"
    answer = post(client, "/admin/points-controls/", **higher | {"reason": "Autumn sale"})
    assert answer.headers["Location"].endswith("/admin/approvals/")
    text = client.get("/admin/approvals/").get_data(as_text=True)
    assert "50 → 9,000" in text
    assert "Autumn sale" in text
    with core.db.reading() as session:
        assert controls.current(session) == Controls(50, 5, 80)


def test_a_tier_is_assigned_and_changed(core, card, signed_in_as):
    client = signed_in_as("operations")
    assert post(client, "/admin/tiers/assign", card_no=card[1], tier="gold", reason="VIP").status_code == 302
    assert post(client, "/admin/tiers/assign", card_no="000", tier="gold", reason="VIP").status_code == 422
    with core.db.reading() as session:
        assert tiers.of_member(session, card[0]).code == "gold"


def test_benefits_that_were_left_as_they_are_keep_both_languages(core, card, signed_in_as):
    client = signed_in_as("operations")
    with core.db.reading() as session:
        gold = {tier.code: tier for tier in tiers.definitions(session)}["gold"]
    page = client.get("/admin/tiers/gold/edit").get_data(as_text=True)
    assert ("包邮券" in page, "Free shipping coupons" in page) == (True, False)
    form = {"code": "gold", "name": gold.name, "rank": "20", "points_multiplier_percent": "125", "start": "#F3D9A4", "end": "#C49A4A",
            "text": "#4A3410", "benefits": "1.25 倍积分\n生日礼遇\n包邮券\n专属茶室", "service_priority": "high"}  # fmt: skip
    assert post(client, "/admin/tiers/gold/edit", **form).status_code == 302
    with core.db.reading() as session:
        after = {tier.code: tier for tier in tiers.definitions(session)}["gold"]
    assert after.benefits == (*gold.benefits, "专属茶室")


def test_support_staff_without_the_permission_cannot_adjust(card, signed_in_as):
    client = signed_in_as("auditor")
    assert client.get("/admin/points/adjust").status_code == 403


def test_an_adjustment_beyond_the_limit_waits_until_a_colleague_decides(core, card, signed_in_as):
    asker = signed_in_as("service")
    form = {"card_no": card[1], "direction": "give", "points": "1001", "reason": "Lost parcel", "once": "abc"}
    assert post(asker, "/admin/points/adjust", **form).headers["Location"].endswith("/admin/approvals/")
    queue, member_page = (asker.get(f"/admin/{path}").get_data(as_text=True) for path in ("approvals/", f"members/{card[0]}"))
    for page in (queue, member_page):
        assert "Lost parcel" in page
        assert "待第二人审批" in page
    (approve,) = set(re.findall(r"/admin/approvals/[0-9a-f-]+/withdraw", queue))
    approve = approve.replace("withdraw", "approve")
    token = token_of(asker, "/admin/account/password")
    assert asker.post(approve, data={"csrf_token": token, "reason": "mine"}).status_code == 403
    colleague = signed_in_as("operations")
    assert 'href="/admin/approvals/?state=pending"' in colleague.get("/admin/").get_data(as_text=True)
    token = token_of(colleague, "/admin/account/password")
    for _ in range(2):
        colleague.post(approve, data={"csrf_token": token, "reason": "seen"})
    with core.db.reading() as session:
        assert queries.balance(session, card[0]).available == 1003


def test_the_health_page_says_when_the_books_were_last_proved(core, signed_in_as):
    client = signed_in_as("operations")
    assert client.get("/admin/points/health").get_data(as_text=True).count("尚未核对") == 2
    with core.db.transaction() as session:
        values = {"job": "points.prove", "state": "done", "handled": 0, "created_at": START, "finished_at": START}
        session.add(ScheduledRun(id=uuid7(), period=START, **values))
    shown = client.get("/admin/points/health").get_data(as_text=True)
    assert (shown.count("尚未核对"), "账目一致" in shown, "2026-06-15 12:00:00" in shown) == (1, True, True)
    with core.db.transaction() as session:
        operations.open_incident(session, "points.drifted", "books", details={"drifts": 1}, now=START)
    shown = client.get("/admin/points/health").get_data(as_text=True)
    assert ("账目一致" in shown, "账目不符" in shown) == (False, True)
