"""The pages of orders and the catalogue: search, detail, audited reveal, closing exceptions, products and stores."""

from __future__ import annotations

import sqlalchemy as sa

from server.audit.models import AuditEntry
from server.catalogue import queries as catalogue
from server.orders import queries
from server.points import service as points_service
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.orders import RECEIVER, SYSTEM, a_draft, an_event, an_order, told

NOW = START


def an_odd_order(core):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    draft = a_draft(now=NOW, payable_fen=1)
    taken = core.db.run(lambda s: an_order(s, draft, now=NOW))
    core.db.run(lambda s: told(s, draft, an_event("shipped", NOW, carrier="yuantong", tracking_no="YT1"), now=NOW))
    return taken, draft


def test_orders_are_found_by_what_staff_know_and_shown_whole(core, signed_in_as):
    taken, draft = an_odd_order(core)
    client = signed_in_as("operations")
    for text in (taken.order_no, draft.external_no, "YT1", RECEIVER.name, RECEIVER.phone):
        page = client.get("/admin/orders/", query_string={"q": text}).get_data(as_text=True)
        assert taken.order_no in page
    assert taken.order_no not in client.get("/admin/orders/?q=nothing").get_data(as_text=True)
    detail = client.get(f"/admin/orders/{taken.order_id}").get_data(as_text=True)
    assert "YT1" in detail
    assert "「消费积分」每1元1分" in detail
    assert RECEIVER.phone not in detail
    assert client.get("/admin/orders/00000000-0000-0000-0000-000000000000").status_code == 404


def test_an_exception_is_closed_with_a_reason(core, signed_in_as):
    taken, _ = an_odd_order(core)
    client = signed_in_as("operations")
    assert taken.order_no in client.get("/admin/order-exceptions/").get_data(as_text=True)
    with core.db.reading() as session:
        found = queries.find(session, taken.order_id).exceptions[0]
    token = token_of(client, f"/admin/orders/{taken.order_id}")
    address = f"/admin/orders/exceptions/{found.id}/close"
    client.post(address, data={"csrf_token": token, "reason": " "})
    with core.db.reading() as session:
        assert queries.find(session, taken.order_id).exceptions[0].state == "open"
    assert client.post(address, data={"csrf_token": token, "reason": "shop confirmed"}).status_code == 302
    with core.db.reading() as session:
        closed = queries.find(session, taken.order_id).exceptions[0]
        assert (closed.state, closed.reason) == ("closed", "shop confirmed")
        assert session.scalar(sa.select(sa.func.count()).select_from(AuditEntry).where(AuditEntry.action == "order_exception.close")) == 1


def test_a_receiver_is_shown_only_with_a_reason_and_leaves_a_trace(core, signed_in_as):
    taken, _ = an_odd_order(core)
    client = signed_in_as("service")
    token = token_of(client, f"/admin/orders/{taken.order_id}")
    shown = client.post(f"/admin/orders/{taken.order_id}/receiver", data={"csrf_token": token, "reason": "address check"})
    with core.db.reading() as session:
        traces = session.scalar(sa.select(sa.func.count()).select_from(AuditEntry).where(AuditEntry.action == "order.reveal"))
    assert (RECEIVER.address in shown.get_data(as_text=True)) == (traces == 1)


def test_products_and_stores_are_written(core, signed_in_as):
    client = signed_in_as("operations")
    token = token_of(client, "/admin/products/edit")
    body = {"csrf_token": token, "sku": "A-1", "name": "咖啡豆", "price_fen": "49.90", "active": "yes"}
    assert client.post("/admin/products/edit", data=body).status_code == 302
    assert (
        client.post("/admin/stores/edit", data={"csrf_token": token, "code": "S1", "name": "南京路店", "active": "yes"}).status_code == 302
    )
    with core.db.reading() as session:
        assert catalogue.find_product(session, "A-1").price_fen == 4990
        assert catalogue.find_store(session, "S1").name == "南京路店"
    for path in (
        "/admin/products/?q=A-1",
        "/admin/stores/",
        "/admin/stores/warehouses",
        "/admin/transfers/",
        "/admin/products/edit?sku=A-1",
    ):
        assert client.get(path).status_code == 200
