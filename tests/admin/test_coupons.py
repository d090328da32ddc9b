"""Staff write, publish, issue, void and redeem coupons in the console."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from server.cards import service as cards
from server.coupons import queries, service
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from tests.admin.conftest import token_of
from tests.factories.coupons import STAFF, a_member, a_template

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core

DRAFT = {
    "name": "满100减20",
    "code": "newcomer",
    "kind": "amount_off",
    "amount_off_fen": "20",
    "threshold_fen": "100.00",
    "days": "30",
    "starts_after_days": "0",
    "return_grace_days": "0",
    "exclusion_group": "goods",
    "combinable": "yes",
    "priority": "100",
    "stock": "50",
    "per_member": "1",
    "claim_centre": "yes",
    "blackouts": "2026-10-01 2026-10-07",
    "categories": "tea，cups",
}


@pytest.fixture
def staff(signed_in_as) -> FlaskClient:
    return signed_in_as("operations")


def send(client: FlaskClient, path: str, token_page: str | None = None, **data: str):
    return client.post(path, data={**data, "csrf_token": token_of(client, token_page or path)})


def text(answer) -> str:
    return answer.get_data(as_text=True)


def test_a_template_is_previewed_written_published_and_edited(staff, core: Core):
    shown = send(staff, "/admin/coupon_templates/new", **DRAFT, preview="1")
    assert shown.status_code == 200
    assert "满100元减20元，限tea、cups，2026年10月1日至2026年10月7日不可用，领取后30天内有效。" in text(shown)
    with core.db.reading() as session:
        assert queries.template_by_code(session, "newcomer") is None
    made = send(staff, "/admin/coupon_templates/new", **DRAFT)
    assert made.status_code == 302, text(made)
    with core.db.reading() as session:
        view = queries.template_by_code(session, "newcomer")
    assert view is not None
    assert (view.state, view.draft.terms.amount_off_fen, view.draft.terms.scope.categories) == ("draft", 2000, ("tea", "cups"))
    page = f"/admin/coupon_templates/{view.id}"
    assert send(staff, f"{page}/publish", token_page="/admin/coupon_templates/new").status_code == 302
    form = text(staff.get(f"{page}/edit"))
    assert "2026-10-01 2026-10-07" in form
    assert "20.00" in form
    assert send(staff, f"{page}/edit", **{**DRAFT, "stock": "60"}).status_code == 302
    with core.db.reading() as session:
        view = queries.find_template(session, view.id)
    assert (view.state, view.draft.limits.stock) == ("published", 60)
    assert send(staff, f"{page}/pause", token_page="/admin/coupon_templates/new").status_code == 302
    assert "已暂停" in text(staff.get(page))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"percent_off": "20"}, "仅折扣券需要填写"), ({"blackouts": "soon"}, "2026-10-01 2026-10-07"), ({"amount_off_fen": "x"}, "99.00")],
)
def test_a_wrong_field_is_told_and_nothing_is_kept(staff, core: Core, wrong, told):
    for extra in ({}, {"preview": "1"}):
        answer = send(staff, "/admin/coupon_templates/new", **{**DRAFT, **wrong, **extra})
        assert answer.status_code == 422
        assert told in text(answer)
    with core.db.reading() as session:
        assert queries.template_by_code(session, "newcomer") is None


def test_a_list_of_cards_is_issued_once_and_unknown_cards_are_told(staff, core: Core, clock):
    with core.db.transaction() as session:
        template = a_template(session, now=clock.now(), stock=5)
        numbers = [cards.issue(session, a_member(session, now=clock.now()), now=clock.now()).card_no for _ in range(2)]
    path = f"/admin/coupon_templates/{template}/issue"
    batch = re.search(r'name="batch"[^>]*value="(\w+)"', text(staff.get(path)))
    assert batch
    data = {"card_nos": "\n".join([*numbers, "000000000000"]), "reason": "sorry", "batch": batch.group(1)}
    for _ in range(2):
        answer = send(staff, path, **data)
        assert answer.status_code == 200
        assert "卡号不存在" in text(answer)
    with core.db.reading() as session:
        assert queries.find_template(session, template).issued == 2
        assert len(queries.list_coupons(session, PageRequest(), now=clock.now(), template_id=template).items) == 2
    assert numbers[0] in text(answer)
    assert "/admin/coupons/" in text(staff.get(f"/admin/coupon_templates/{template}"))


def test_a_coupon_is_voided_with_a_reason_only(staff, core: Core, clock):
    with core.db.transaction() as session:
        template = a_template(session, now=clock.now())
        member = a_member(session, now=clock.now())
        coupon = service.issue(session, member, template, source=Source("test", "void"), actor=STAFF, now=clock.now())
    page = f"/admin/coupons/{coupon.id}"
    for reason, state in (("", "issued"), ("issued by mistake", "voided")):
        assert send(staff, f"{page}/void", token_page="/admin/coupons/redeem", reason=reason).status_code == 302
        with core.db.reading() as session:
            assert queries.find(session, coupon.id, now=clock.now()).state == state
    assert "issued by mistake" in text(staff.get(page))
    assert coupon.code in text(staff.get("/admin/coupons/?state=voided"))


def test_a_coupon_is_redeemed_in_store_for_one_receipt(signed_in_as, core: Core, clock):
    shop = signed_in_as("store")
    with core.db.transaction() as session:
        template = a_template(session, now=clock.now())
        member = a_member(session, now=clock.now())
        coupon = service.issue(session, member, template, source=Source("test", "scan"), actor=STAFF, now=clock.now())
    data = {"coupon_code": coupon.code.lower(), "external_no": "R-1", "goods_fen": "99"}
    refused = send(shop, "/admin/coupons/redeem", **data)
    assert refused.status_code == 422
    assert "未达到使用门槛" in text(refused)
    assert send(shop, "/admin/coupons/redeem", **{**data, "goods_fen": "120"}).status_code == 302
    again = send(shop, "/admin/coupons/redeem", **{**data, "goods_fen": "120", "external_no": "R-2"})
    assert "已核销" in text(again)
    assert send(shop, "/admin/coupons/redeem", **{**data, "coupon_code": "C0"}).status_code == 422
    with core.db.reading() as session:
        view = queries.find(session, coupon.id, now=clock.now())
    assert (view.state, view.external_no, view.discount_fen) == ("redeemed", "R-1", 2000)
    assert shop.get("/admin/coupon_templates/new").status_code == 403
