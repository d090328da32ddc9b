"""Automatic coupons on the page: written with a reason, told in a sentence, paused at once, and never over somebody else's change."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from server.audit import queries as audit
from server.coupons import service as coupon_service
from server.kernel.pagination import PageRequest
from server.triggers import queries, service
from server.triggers.rules import Terms, TriggerKind
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.coupons import TILL, a_template
from tests.factories.orders import an_event, told
from tests.factories.tiers import a_rule as tier_rule
from tests.factories.triggers import a_sale_of, a_trigger, gifts, sold

pytestmark = [pytest.mark.committing, pytest.mark.requirement("CPN2")]
HOME = "/admin/coupon-triggers/"
NEW = f"{HOME}new/order_earned"


@pytest.fixture
def template(core):
    return core.db.run(lambda s: a_template(s, now=START, code="next-20", per_member=None))


def filled(client, path=NEW, **changes):
    data = {
        "csrf_token": token_of(client, path),
        "code": "next-order",
        "name": "满200送20",
        "coupons": ["next-20"],
        "min_paid_fen": "200",
        "channels": "store, mall",
        "stores": "",
        "enabled": "y",
        "reason": "the autumn offer",
        "version": "",
    }
    return data | changes


def versions(core, code="next-order"):
    with core.db.reading() as session:
        return queries.versions(session, code=code)


def test_a_rule_is_written_from_the_page_and_read_in_a_sentence(core, signed_in_as, template):
    client = signed_in_as("operations")
    assert "暂无规则" in client.get(HOME).get_data(as_text=True)
    answer = client.post(NEW, data=filled(client))
    assert answer.status_code == 302, answer.get_data(as_text=True)
    (rule,) = versions(core)
    assert (rule.terms, rule.enabled) == (Terms(("next-20",), min_paid_fen=20_000, channels=("store", "mall")), True)
    with core.db.reading() as session:
        entry = audit.list_entries(session, PageRequest(1), audit.EntryFilter(action="coupon_trigger.save")).items[0]
    assert entry.reason == "the autumn offer"
    told_in = "在门店、品牌商城单笔订单商品实付满200元，送「满100减20」。"
    for page in (HOME, f"{HOME}next-order"):
        text = client.get(page).get_data(as_text=True)
        assert told_in in text
        assert "订单返券" in text
    assert "林晓雯" in client.get(f"{HOME}next-order").get_data(as_text=True)


def test_a_preview_tells_the_rule_in_both_languages_and_keeps_nothing(core, signed_in_as, template):
    client = signed_in_as("operations")
    page = client.post(NEW, data=filled(client, preview="1", channels="")).get_data(as_text=True)
    assert "单笔订单商品实付满200元，送「满100减20」。每笔订单只送一次" in page
    assert "For an order with ¥200 or more paid for goods" in page
    assert versions(core) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code", "Has Blanks"),
        ("name", " "),
        ("coupons", []),
        ("coupons", ["none-such"]),
        ("min_paid_fen", "0"),
        ("reason", " "),
        ("valid_until", "2020-01-01T00:00"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(core, signed_in_as, template, name, value):
    client = signed_in_as("operations")
    data = filled(client, **{name: value})
    if name == "valid_until":
        data["valid_from"] = "2026-01-01T00:00"
    assert client.post(NEW, data=data).status_code == 422
    assert client.post(NEW, data=data | {"preview": "1"}).status_code in {200, 422}
    assert versions(core) == []


def test_a_new_rule_does_not_take_anothers_code_and_an_open_page_does_not_overwrite_a_colleague(core, signed_in_as, template):
    client = signed_in_as("operations")
    client.post(NEW, data=filled(client))
    assert "该编码已被其他规则使用。" in client.post(NEW, data=filled(client)).get_data(as_text=True)
    edit = f"{HOME}next-order/edit"
    page = client.get(edit).get_data(as_text=True)
    version = re.search(r'name="version"[^>]*value="(\d+)"', page).group(1)
    mine = filled(client, edit, version=version, name="另一个名字")
    core.db.run(lambda s: service.save_rule(s, service.draft_of(versions(core)[0]), actor=TILL, now=START))
    answer = client.post(edit, data=mine)
    assert answer.status_code == 422
    assert "刚被其他人修改" in answer.get_data(as_text=True)
    assert len(versions(core)) == 2


def test_pausing_and_publishing_again_ask_for_a_reason_and_are_versions(core, signed_in_as, template):
    client = signed_in_as("operations")
    client.post(NEW, data=filled(client))
    token = {"csrf_token": token_of(client, NEW)}
    switch = f"{HOME}next-order/switch"
    client.post(f"{switch}?to=off&seen=1", data=token)
    assert len(versions(core)) == 1
    client.post(f"{switch}?to=off&seen=1", data=token | {"reason": "a mistake"})
    client.post(f"{switch}?to=on&seen=1", data=token | {"reason": "seen too late"})
    assert [(one.version, one.enabled, one.reason) for one in versions(core)] == [(2, False, "a mistake"), (1, True, "the autumn offer")]
    assert "已暂停" in client.get(f"{HOME}next-order").get_data(as_text=True)
    coupon_service_pause(core, template)
    client.post(f"{switch}?to=on&seen=2", data=token | {"reason": "again"})
    assert not versions(core)[0].enabled


def coupon_service_pause(core, template):
    core.db.run(lambda s: coupon_service.pause(s, template, actor=TILL, now=START))


def test_every_kind_has_a_form_of_its_own(core, signed_in_as, template):
    core.db.run(lambda s: tier_rule(s, now=START))
    client = signed_in_as("operations")
    more = {
        "welcome": {},
        "tier_up": {"tiers": ["gold", "black"]},
        "win_back": {"lapse_days": "90", "back_days": "30"},
    }
    for kind, own in more.items():
        path = f"{HOME}new/{kind}"
        data = {
            "csrf_token": token_of(client, path),
            "code": kind,
            "name": kind,
            "coupons": ["next-20"],
            "enabled": "y",
            "reason": "why",
        } | own
        assert client.post(path, data=data).status_code == 302
        assert client.get(f"{HOME}{kind}/edit").status_code == 200
        assert client.get(f"{HOME}{kind}").status_code == 200
    assert versions(core, "tier_up")[0].terms.tiers == ("gold", "black")
    assert (versions(core, "win_back")[0].terms.lapse_days, versions(core, "win_back")[0].terms.back_days) == (90, 30)
    assert client.get(f"{HOME}new/none").status_code == 404
    assert client.get(f"{HOME}none").status_code == 404
    assert client.get(f"{HOME}none/edit").status_code == 404


def test_the_page_of_a_rule_counts_what_was_given_redeemed_taken_back_refused_and_stayed(core, clock, signed_in_as):
    before, late = START - timedelta(days=1), START + timedelta(hours=1)

    def work(session):
        a_trigger(session, TriggerKind.ORDER, now=before, code="order", stock=3)
        drafts = [a_sale_of(25_000, now=START, buyer=f"b{place}") for place in range(4)]
        for draft in drafts:
            service.settle_order(session, sold(session, draft, now=START), now=START)
        spent = gifts(session)[1]
        coupon_service.redeem(
            session, spent.coupon_id, channel="till", external_no="N-1", discount_fen=2_000, sales_fen=9_900, actor=TILL, now=late
        )
        for draft in drafts[:2]:
            told(session, draft, an_event("refunded", late, refund_id="r"), now=late)
        for gift in gifts(session):
            if gift.order_id is not None:
                service.settle_order(session, gift.order_id, now=late)

    core.db.run(work)
    clock.set(late)
    client = signed_in_as("operations")
    page = re.sub(r"<[^>]+>|\s+", " ", client.get(f"{HOME}order").get_data(as_text=True))
    page = re.sub(r"\s+", " ", page)
    for words in ("订单已取消或退款", "已使用，无法收回", "库存或预算已用完", "已收回", "99.00"):
        assert words in page
    with core.db.reading() as session:
        assert queries.totals(session)["order"] == queries.GiftTotals(given=3, refused=1, revoked=1, kept=1)
    with core.db.reading() as session:
        coupon = client.get(f"/admin/coupons/{gifts(session)[0].coupon_id}").get_data(as_text=True)
    assert "/admin/coupon-triggers/order" in coupon
    assert "满200送20" in coupon
    listed = client.get(f"{HOME}gifts?state=kept").get_data(as_text=True)
    assert listed.count("已使用，无法收回</span>") == 1
    assert "没有自动发放过" in client.get(f"{HOME}gifts?card=nobody").get_data(as_text=True)
    assert client.get(f"{HOME}gifts?rule=order").get_data(as_text=True).count("/admin/orders/") >= 4
    assert client.get(HOME).status_code == 200


def test_service_reads_and_does_not_set_the_others_see_nothing(core, signed_in_as):
    core.db.run(lambda s: a_trigger(s, TriggerKind.ORDER, now=START, code="order"))
    service_agent, clerk = signed_in_as("service"), signed_in_as("store")
    page = service_agent.get(f"{HOME}order").get_data(as_text=True)
    assert "/switch" not in page
    assert "/edit" not in page
    assert service_agent.get(NEW).status_code == 403
    token = {"csrf_token": token_of(service_agent, HOME), "reason": "not mine"}
    assert service_agent.post(f"{HOME}order/switch?to=off", data=token).status_code == 403
    assert clerk.get(HOME).status_code == 403
    assert versions(core, "order")[0].enabled
