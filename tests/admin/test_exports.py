"""Lists are downloaded as they are shown: the same search, masked, with a reason on record, and only by who may."""

from __future__ import annotations

import io

import pytest
from python_calamine import CalamineWorkbook

from server.audit import queries as audit
from server.kernel.pagination import PageRequest
from tasks.demo import load_demo
from tests.admin.conftest import SECRETS, sign_in, token_of

pytestmark = pytest.mark.committing
LISTS = {
    "members": "/admin/members/",
    "points": "/admin/points/",
    "coupons": "/admin/coupons/",
    "orders": "/admin/orders/",
    "order-exceptions": "/admin/order-exceptions/",
    "tickets": "/admin/feedback/",
    "messages": "/admin/messages/",
    "products": "/admin/products/",
}


def sheet(answer) -> list[list[object]]:
    assert answer.status_code == 200, answer.headers
    assert answer.mimetype == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return CalamineWorkbook.from_filelike(io.BytesIO(answer.data)).get_sheet_by_index(0).to_python()


def exports(core):
    with core.db.reading() as session:
        return audit.list_entries(session, PageRequest(100), audit.EntryFilter(action="export.download")).items


def test_each_list_is_downloaded_as_shown_by_operations_with_a_reason(app, core):
    load_demo(core)
    client = sign_in(app.test_client(), core, SECRETS["operations"].role)
    token = token_of(client, "/admin/account/")
    for name, path in LISTS.items():
        shown = client.get("/admin/messages/all" if name == "messages" else path).get_data(as_text=True)
        assert f"{path}export" in shown, name
        rows = sheet(client.post(f"{path}export", data={"csrf_token": token, "reason": "monthly figures"}))
        assert len(rows) > 1, name
        assert len(set(rows[0])) == len(rows[0]), (name, rows[0])
    assert [(entry.subject_id, entry.reason) for entry in reversed(exports(core))] == [(name, "monthly figures") for name in LISTS]
    # Beyond the first page, and only what was searched for.
    everybody = sheet(client.post("/admin/members/export", data={"csrf_token": token, "reason": "all"}))
    assert len(everybody) > 60
    assert all("*" in str(row[1]) for row in everybody[1:] if row[1])
    nobody = sheet(client.post("/admin/members/export?nickname=nobody-is-called-so", data={"csrf_token": token, "reason": "none"}))
    assert len(nobody) == 1


def test_without_a_reason_nothing_is_handed_out(core, signed_in_as):
    client = signed_in_as("operations")
    answer = client.post("/admin/orders/export", data={"csrf_token": token_of(client, "/admin/account/"), "reason": "  "})
    assert answer.status_code == 302
    assert "请填写导出用途" in client.get(answer.headers["Location"]).get_data(as_text=True)
    assert list(exports(core)) == []


@pytest.mark.parametrize("role", ["service", "store"])
def test_who_reads_a_list_does_not_download_it_without_the_permission(core, signed_in_as, role):
    client = signed_in_as(role)
    for name in ("members", "orders"):
        assert "export" not in client.get(LISTS[name]).get_data(as_text=True)
        answer = client.post(f"{LISTS[name]}export", data={"csrf_token": token_of(client, "/admin/account/"), "reason": "x"})
        assert answer.status_code == 403
    assert list(exports(core)) == []
