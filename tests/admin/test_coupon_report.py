"""The page of the coupon report: its figures, filters, cuts, export, and who may see it."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from python_calamine import CalamineWorkbook

from server.coupons import service
from server.kernel.source import Source
from tasks.jobs.coupons import watch_limits
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.coupons import STAFF, TILL, a_member, a_template, some_terms

PATH = "/admin/coupon-report/"

pytestmark = pytest.mark.requirement("CPN6", "RPT1")


def prepare(session):
    member = a_member(session, now=START)
    before = START - timedelta(days=40)
    dear = a_template(session, now=before, code="dear", stock=4, per_member=None, terms=some_terms(name="满减券"))
    free = a_template(session, now=before, code="free", per_member=None, terms=some_terms(name="=赠券"))
    issued = {}
    for name, template, way, at in (
        ("one", dear, "staff", START),
        ("two", dear, "house.special", START),
        ("old", dear, "staff", before),
        ("three", free, "coupons.code", START),
    ):
        issued[name] = service.issue(session, member, template, source=Source(way, name), actor=STAFF, now=at).id
    for name, channel, number, cost, store in (
        ("one", "store", "1", 2000, "S1"),
        ("three", "store", "1", 1000, "S1"),
        ("two", "mall", "2", None, ""),
    ):
        service.redeem(
            session,
            issued[name],
            channel=channel,
            external_no=number,
            discount_fen=cost,
            sales_fen=10001,
            store=store,
            actor=TILL,
            now=START,
        )
    return dear


def shown(client, query=""):
    answer = client.get(PATH + query)
    assert answer.status_code == 200, query
    return answer.get_data(as_text=True)


def test_an_empty_shop_has_an_empty_report(signed_in_as):
    text = shown(signed_in_as("operations"))
    assert "该区间内没有优惠券数据" in text
    assert "2026-05-17 至 2026-06-15" in text


def test_the_report_says_what_was_issued_redeemed_spent_and_sold(core, signed_in_as):
    dear = core.db.run(prepare)
    client = signed_in_as("operations")
    text = shown(client)
    # An order with two coupons is sold once: 100.01 for it, and 100.01 for the other order.
    for figure in ("¥30.00", "¥200.02", "¥6.66", "满减券", f"/admin/coupon_templates/{dear}"):
        assert figure in text
    assert "一单用多张券时，按各券优惠金额占比分摊" in text
    page = client.get(f"/admin/coupon_templates/{dear}").get_data(as_text=True)
    assert "¥166.68" in page  # its part of the one order, and the whole of the other
    assert "¥166.68" in text
    ways = shown(client, "?by=way")
    assert "house.special" in ways
    assert "员工单人发放" in ways
    stores = shown(client, "?by=store")
    assert "S1" in stores
    assert "无门店（线上）" in stores
    narrowed = shown(client, "?by=store&store=S1&sort=sales_fen")
    assert "按门店或渠道筛选时仅统计核销数据" in narrowed
    assert "¥100.01" in narrowed
    assert "期内发放 <" not in narrowed
    assert "上一区间 1" in shown(client, "?days_from=2026-05-17")
    assert "上一区间 1" not in shown(client, "?days_from=2026-06-15")
    english = client.get(PATH, headers={"Accept-Language": "en"})
    assert english.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "?days_from=2020-01-01",
        "?days_from=1000-01-01&days_to=9999-12-31",
        "?days_from=2026-06-15&days_to=2026-05-01",
        "?template=nobody&store=%F0%9F%98%80&channel=" + "x" * 80,
        "?by=nothing&sort=nothing&way=%27%22",
        "?store=~unknown&channel=mall",
    ],
)
def test_whatever_is_asked_for_is_answered(core, signed_in_as, query):
    core.db.run(prepare)
    text = shown(signed_in_as("operations"), query)
    if query == "?days_from=2020-01-01":
        assert "报表最多统计 366 天" in text


def test_the_cut_that_is_shown_is_exported_and_no_cell_is_a_formula(core, signed_in_as):
    core.db.run(prepare)
    client = signed_in_as("operations")
    token = token_of(client, "/admin/account/password")

    def sheet(query):
        answer = client.post(f"{PATH}export{query}", data={"csrf_token": token, "reason": "monthly figures"})
        assert answer.status_code == 200
        return CalamineWorkbook.from_filelike(BytesIO(answer.get_data())).get_sheet_by_index(0).to_python()

    rows = sheet("")
    assert [row[0] for row in rows] == ["券模板", "满减券", "'=赠券"]
    assert rows[1][1:] == ["2", "100.0%", "2", "0", "2", "0", "¥20.00", "¥166.68", "¥8.33"]
    assert [row[0] for row in sheet("?by=channel")] == ["渠道", "门店", "品牌商城"]


def test_only_who_may_read_coupons_sees_the_report(signed_in_as):
    for role, status in (("security", 403), ("operations", 200)):
        client = signed_in_as(role)
        assert client.get(PATH).status_code == status
        assert (PATH in client.get("/admin/").get_data(as_text=True)) == (status == 200)


def test_an_alarm_stands_on_the_report_and_on_the_templates_page(core, signed_in_as):
    template = core.db.run(prepare)
    assert watch_limits(core, START) == 0
    core.db.run(
        lambda session: service.issue(
            session, a_member(session, now=START), template, source=Source("staff", "last"), actor=STAFF, now=START
        )
    )
    assert watch_limits(core, START) == 2
    client = signed_in_as("operations")
    assert "库存已全部发放" in shown(client)
    assert "库存已全部发放" in client.get(f"/admin/coupon_templates/{template}").get_data(as_text=True)
