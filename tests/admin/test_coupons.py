"""Staff write, publish, issue, void and redeem coupons in the console."""

from __future__ import annotations

import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from server.cards import service as cards
from server.coupons import queries, service
from server.coupons.service import issue_files
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from server.staff import approvals
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


def test_steps_gifts_and_hours_are_written_and_shown_again(staff, core: Core):
    common = {**DRAFT, "amount_off_fen": "", "threshold_fen": "", "hours": "5-6 22:00-02:00\n10:00-14:00", "first_order_only": "yes"}
    steps = {**common, "code": "steps", "kind": "steps", "steps": "满100减10\n200.50 30"}
    gift = {**common, "code": "gift", "kind": "gift", "gift_sku": "CUP-1", "gift_quantity": "2", "gift_value_fen": "9.90"}
    for written, told in ((steps, "100 10\n200.5 30"), (gift, "5,6 22:00-02:00\n10:00-14:00")):
        made = send(staff, "/admin/coupon_templates/new", **written)
        assert made.status_code == 302, text(made)
        assert told in text(staff.get(f"{made.location}/edit")).replace("\r", "")
        assert staff.get(made.location).status_code == 200
    with core.db.reading() as session:
        steps_terms, gift_terms = (queries.template_by_code(session, code).draft.terms for code in ("steps", "gift"))
    assert (steps_terms.steps, steps_terms.first_order_only) == (((10000, 1000), (20050, 3000)), True)
    assert (gift_terms.gift_sku, gift_terms.gift_quantity, gift_terms.gift_value_fen) == ("CUP-1", 2, 990)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"percent_off": "20"}, "仅折扣券需要填写"),
        ({"blackouts": "soon"}, "2026-10-01 2026-10-07"),
        ({"steps": "200"}, "200 30"),
        ({"hours": "late"}, "10:00-14:00"),
        ({"amount_off_fen": "x"}, "99.00"),
    ],
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


def test_codes_are_made_downloaded_once_with_a_reason_and_stopped(staff, core: Core):
    with core.db.transaction() as session:
        template = a_template(session, now=core.clock.now())
    new = f"/admin/coupon-codes/new/{template}"
    wrong = send(staff, new, kind="shared", word="!", note="flyer")
    assert wrong.status_code == 422
    assert "3 到 32 个字母或数字。" in text(wrong)
    made = send(staff, new, kind="unique", size="1003", per_member="1", note="flyer")
    assert made.status_code == 302
    page = made.location
    batch = UUID(page.rpartition("/")[2])
    assert core.db.run(lambda session: service.make_codes(session, batch, core.clock.now())) == 1003
    assert send(staff, f"{page}/codes", page, reason="").status_code == 302
    file = send(staff, f"{page}/codes", page, reason="to the printer")
    lines = text(file).split()
    assert (file.status_code, lines[0], len(set(lines))) == (200, "code", 1004)
    assert "一人一码" in text(staff.get("/admin/coupon-codes/"))
    assert send(staff, f"{page}/stop", page, reason="leaked").status_code == 302
    assert "leaked" in text(staff.get(page))
    assert send(staff, f"{page}/codes", page, reason="again").status_code == 302


def test_a_file_is_read_started_with_a_reason_and_its_refusals_come_out_as_a_file(staff, core: Core):
    with core.db.transaction() as session:
        template = a_template(session, now=core.clock.now())
        member = a_member(session, now=core.clock.now())
        number = cards.issue(session, member, now=core.clock.now()).card_no
    new = f"/admin/coupon-issues/new/{template}"
    file = (io.BytesIO(f"card_no\n{number}\n999\n".encode()), "list.csv")
    read = staff.post(new, data={"file": file, "csrf_token": token_of(staff, new)}, content_type="multipart/form-data")
    assert read.status_code == 302
    page = read.location
    assert text(staff.get(f"{page}/refusals")).splitlines()[1].startswith("3,card_no,")
    send(staff, f"{page}/start", page, reason="thanks")
    file_id = UUID(page.rpartition("/")[2])
    assert core.db.run(lambda session: issue_files.issue_piece(session, file_id, core.clock.now())) == 1
    assert "list.csv" in text(staff.get("/admin/coupon-issues/"))
    with core.db.reading() as session:
        assert queries.count_available(session, member, core.clock.now()) == 1


def test_a_recall_shows_what_it_would_do_and_asks_a_second_person(signed_in_as, core: Core):
    at = core.clock.now()
    with core.db.transaction() as session:
        template, member = a_template(session, now=at), a_member(session, now=at)
        number = cards.issue(session, member, now=at).card_no
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        path.write_text(f"card_no\n{number}\n", encoding="utf-8")
        file_id = core.db.run(lambda session: issue_files.stage(session, template, path, name="list.csv", actor=STAFF, now=at))
    core.db.run(lambda session: issue_files.start(session, file_id, reason="thanks", actor=STAFF, now=at))
    while core.db.run(lambda session: issue_files.issue_piece(session, file_id, at)):
        pass
    staff, page = signed_in_as("operations"), f"/admin/coupon-issues/{file_id}"
    assert "未使用、将作废并通知会员：1 张" in text(staff.get(f"{page}/recall"))
    assert send(staff, f"{page}/recall", reason="wrong list").status_code == 302
    shown = text(staff.get(page))
    assert "wrong list" in shown
    assert f"{page}/recall" not in shown
    assert staff.get(f"{page}/used").status_code == 200
    with core.db.reading() as session:
        assert [each.kind for each in approvals.pending_about(session, "coupon_issue_file", file_id)] == ["coupons.recall"]
