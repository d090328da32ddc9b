"""Staff write rewards, publish them, ship and hand over what members redeemed, cancel it, and download the list."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from server.audit.models import AuditEntry
from server.kernel.source import Source
from server.points import queries as points_queries
from server.rewards import queries, service
from server.rewards.rules.paying import PaymentPolicy
from server.rewards.rules.terms import Kind
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.coupons import a_template
from tests.factories.feedback import a_picture
from tests.factories.points import a_member
from tests.factories.rewards import HOME, TILL, a_redemption, a_reward

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core

NOW = START
DRAFT = {
    "name": "保温杯",
    "code": "thermos",
    "kind": "goods",
    "points": "1200",
    "cash_fen": "19.90",
    "pay_minutes": "30",
    "stock": "50",
    "per_member": "2",
    "description": "500 毫升",
}


@pytest.fixture
def staff(signed_in_as) -> FlaskClient:
    return signed_in_as("operations")


def send(client: FlaskClient, path: str, token_page: str | None = None, **data):
    return client.post(path, data={**data, "csrf_token": token_of(client, token_page or "/admin/rewards/new")})


def text(answer) -> str:
    return answer.get_data(as_text=True)


def redeemed(core: Core, **draft):
    def work(session):
        member = a_member(session, now=NOW, points=5000)
        return a_redemption(session, member, a_reward(session, now=NOW, **draft), now=NOW)

    return core.db.run(work)


def now_of(core: Core, redemption):
    with core.db.reading() as session:
        return queries.find(session, redemption.id)


@pytest.mark.requirement("PTS5")
def test_a_reward_is_previewed_written_with_its_picture_published_edited_and_paused(staff, core: Core):
    shown = send(staff, "/admin/rewards/new", **DRAFT, preview="1")
    assert shown.status_code == 200
    assert "1,200 积分 + ¥19.90" in text(shown)
    with core.db.reading() as session:
        assert queries.reward_by_code(session, "thermos") is None
    made = send(staff, "/admin/rewards/new", **DRAFT, picture=(io.BytesIO(a_picture()), "cup.png"))
    assert made.status_code == 302, text(made)
    with core.db.reading() as session:
        view = queries.reward_by_code(session, "thermos")
    assert (view.state, view.draft.points, view.draft.cash_fen, view.draft.stock) == ("draft", 1200, 1990, 50)
    assert view.draft.picture_id is not None
    page = f"/admin/rewards/{view.id}"
    assert send(staff, f"{page}/publish").status_code == 302
    listed = text(staff.get("/admin/rewards/"))
    picture = re.search(r'<img src="(/files/[^"]+)"', listed)
    assert picture is not None
    assert staff.get(picture.group(1).replace("&amp;", "&")).status_code == 200
    assert "0 / 50" in listed
    assert "500 毫升" in text(staff.get(f"{page}/edit"))
    edited = send(staff, f"{page}/edit", **{**DRAFT, "points": "900"})
    assert edited.status_code == 302, text(edited)
    with core.db.reading() as session:
        again = queries.find_reward(session, view.id)
    assert (again.version, again.draft.points, again.draft.picture_id, again.state) == (2, 900, view.draft.picture_id, "published")
    assert send(staff, f"{page}/pause").status_code == 302
    shown = text(staff.get(page))
    assert "积分商品已修改" in shown
    assert "900 积分" in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"points": "0"}, "points"),
        ({"code": "Not A Code"}, "小写字母"),
        ({"kind": "coupon"}, "优惠券类商品需选择要发放的优惠券"),
        ({"on_sale_from": "2026-06-02T00:00", "on_sale_until": "2026-06-01T00:00"}, "结束时间"),
        ({"picture": b"no picture"}, ""),
    ],
)
def test_what_cannot_be_is_shown_again_and_nothing_is_kept(staff, core: Core, changes, said):
    if "picture" in changes:  # a file is read once, and this one is sent on every engine
        changes = {"picture": (io.BytesIO(changes["picture"]), "cup.png")}
    answer = send(staff, "/admin/rewards/new", **{**DRAFT, **changes})
    assert answer.status_code == 422
    assert said in text(answer)
    with core.db.reading() as session:
        assert queries.reward_by_code(session, "thermos") is None


def test_a_coupon_reward_names_a_published_coupon_and_tiers(staff, core: Core):
    with core.db.transaction() as session:
        template = a_template(session, now=NOW)
    made = send(staff, "/admin/rewards/new", **{**DRAFT, "kind": "coupon", "coupon_template": str(template), "cash_fen": ""})
    assert made.status_code == 302, text(made)
    with core.db.reading() as session:
        assert queries.reward_by_code(session, "thermos").draft.coupon_template_id == template


def test_goods_are_found_among_what_waits_shipped_and_taken_back(staff, core: Core):
    one = redeemed(core, stock=5)
    waiting = text(staff.get("/admin/redemptions/?tab=ship"))
    assert one.redemption_no in waiting
    page = f"/admin/redemptions/{one.id}"
    shown = text(staff.get(page))
    assert HOME.address not in shown
    assert "王**" in shown
    shipped = send(staff, f"{page}/ship", carrier="顺丰速运", tracking_no="SF1")
    assert shipped.status_code == 302, text(shipped)
    assert now_of(core, one).tracking_no == "SF1"
    assert one.redemption_no not in text(staff.get("/admin/redemptions/?tab=ship"))
    assert one.redemption_no in text(staff.get("/admin/redemptions/?number=SF1"))
    send(staff, f"{page}/cancel", reason=" ")
    assert now_of(core, one).state == "fulfilled"
    send(staff, f"{page}/cancel", reason="拒收退回")
    assert now_of(core, one).state == "cancelled"
    life = text(staff.get(page))
    assert "拒收退回" in life
    assert "已收回，积分已退回" in life
    with core.db.reading() as session:
        assert points_queries.balance(session, one.member_id, now=NOW).available == 5000
        acts = set(session.scalars(sa.select(AuditEntry.action).where(AuditEntry.subject_id == str(one.id))))
    assert acts == {"redemption.ship", "redemption.take_back"}


def test_the_receiver_is_shown_once_for_a_reason_and_it_is_written_down(staff, core: Core):
    one = redeemed(core)
    page = f"/admin/redemptions/{one.id}"
    assert HOME.address not in text(send(staff, f"{page}/receiver", reason="").headers.get("Location") and staff.get(page))
    assert HOME.address in text(send(staff, f"{page}/receiver", reason="打包发货"))
    with core.db.reading() as session:
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "redemption.reveal")).one()
    assert (entry.reason, entry.subject_id) == ("打包发货", str(one.id))


def test_a_payment_and_a_refund_are_noted_by_hand(staff, core: Core):
    one = redeemed(core, cash_fen=1990)
    page = f"/admin/redemptions/{one.id}"
    wrong = send(staff, f"{page}/payment", payment_ref="p1", paid_fen="1.00")
    assert wrong.status_code == 422
    assert "支付金额与兑换单的现金部分不一致" in text(wrong)
    assert send(staff, f"{page}/payment", payment_ref="p1", paid_fen="19.90").status_code == 302
    assert now_of(core, one).state == "placed"
    send(staff, f"{page}/cancel", reason="缺货")
    assert one.redemption_no in text(staff.get("/admin/redemptions/?tab=refund"))
    assert send(staff, f"{page}/refund", refund_ref="f1").status_code == 302
    assert now_of(core, one).refund_state == "done"


def test_a_paid_coupon_that_waited_is_issued(staff, core: Core):
    with core.db.transaction() as session:
        template = a_template(session, now=NOW)
    one = redeemed(core, kind=Kind.COUPON, coupon_template_id=template, cash_fen=1990)
    from server.coupons import service as coupons
    from tests.factories.coupons import STAFF

    core.db.run(lambda session: coupons.pause(session, template, actor=STAFF, now=NOW))
    core.db.run(lambda session: service.pay(session, one.id, source=Source("till", "p1"), paid_fen=1990, actor=TILL, now=NOW))
    assert one.redemption_no in text(staff.get("/admin/redemptions/?tab=issue"))
    send(staff, f"/admin/redemptions/{one.id}/issue")
    assert now_of(core, one).state == "placed"
    core.db.run(lambda session: coupons.publish_template(session, template, actor=STAFF, now=NOW))
    send(staff, f"/admin/redemptions/{one.id}/issue")
    assert now_of(core, one).state == "fulfilled"


def test_a_clerk_redeems_a_voucher_once_and_may_do_no_more(signed_in_as, core: Core):
    one = redeemed(core, kind=Kind.SERVICE, voucher_days=7)
    clerk = signed_in_as("store")
    scan = "/admin/redemptions/scan"
    assert send(clerk, scan, scan, voucher_code="V0").status_code == 422
    assert send(clerk, scan, scan, voucher_code=one.voucher_code, store="S1").status_code == 302
    assert now_of(core, one).state == "fulfilled"
    again = send(clerk, scan, scan, voucher_code=one.voucher_code)
    assert again.status_code == 422
    assert "该兑换单已完成" in text(again)
    for path in ("cancel", "issue", "receiver", "ship"):
        assert send(clerk, f"/admin/redemptions/{one.id}/{path}", scan, reason="x").status_code == 403
    assert clerk.get("/admin/rewards/new").status_code == 403
    two = redeemed(core)
    assert send(clerk, f"/admin/redemptions/{two.id}/hand-over", scan, reason="到店自提").status_code == 302
    assert now_of(core, two).state == "fulfilled"


def test_the_list_is_downloaded_without_receivers_and_that_is_written_down(staff, core: Core):
    one = redeemed(core, name="=1+1")
    redeemed(core, kind=Kind.SERVICE)
    answer = send(staff, "/admin/redemptions/export?tab=ship", reason="对账")
    assert answer.status_code == 200
    table = answer.get_data().decode("utf-8-sig")
    assert len(table.strip().splitlines()) == 2
    assert one.redemption_no in table
    assert HOME.address not in table
    with core.db.reading() as session:
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "export.download")).one()
    assert (entry.subject_id, entry.after, entry.reason) == ("redemptions", {"rows": 1}, "对账")


def test_how_far_points_pay_is_set_here(staff, core: Core):
    assert send(staff, "/admin/rewards/paying", points_per_yuan="0", max_percent="50").status_code == 422
    assert send(staff, "/admin/rewards/paying", points_per_yuan="100", max_percent="50", max_points="1000").status_code == 302
    with core.db.reading() as session:
        assert queries.payment_policy(session) == PaymentPolicy(100, 50, 1000)


def test_a_search_for_a_card_that_is_not_there_finds_nothing(staff, core: Core):
    one = redeemed(core)
    assert one.redemption_no not in text(staff.get("/admin/redemptions/?card=000000000000"))
    assert one.redemption_no in text(staff.get(f"/admin/redemptions/?reward={one.reward_id}&state=placed&kind=goods"))
    assert staff.get("/admin/redemptions/?reward=nonsense").status_code == 404
