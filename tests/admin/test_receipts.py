"""Staff see what became of claimed receipts, give a sale to a member by hand, and declare the policies."""

from __future__ import annotations

from datetime import timedelta

from server.cards import queries as cards
from server.cards import service as cards_service
from server.orders import policies, queries
from server.orders.drafts import MemberRef
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.orders import a_till_draft, an_order
from tests.factories.points import a_member


def test_staff_give_a_sale_to_a_member_and_see_it_in_the_list(core, signed_in_as):
    client = signed_in_as("operations")
    sale = a_till_draft(now=START - timedelta(days=90), member=MemberRef())

    def work(session):
        member = a_member(session, now=START)
        cards_service.issue(session, member, now=START)
        return an_order(session, sale, now=START).order_id, member, cards.of_member(session, member).card_no

    order_id, member, card_no = core.db.run(work)
    path = f"/admin/receipt-claims/attach/{order_id}"
    assert path in client.get(f"/admin/orders/{order_id}").text
    answer = client.post(path, data={"member": "999", "reason": "小票照片", "csrf_token": token_of(client, path)})
    assert answer.status_code == 422
    answer = client.post(path, data={"member": card_no, "reason": "小票照片", "csrf_token": token_of(client, path)})
    assert answer.status_code == 302
    with core.db.reading() as session:
        assert queries.find(session, order_id).member_id == member
    listed = client.get("/admin/receipt-claims/").text
    assert sale.external_no in listed
    assert "小票照片" in listed
    assert path not in client.get(f"/admin/orders/{order_id}").text

    form = "/admin/receipt-claims/policies"
    values = {"claim_days": "10", "claim_tries": "3", "offline_days": "2", "csrf_token": token_of(client, form)}
    assert client.post(form, data=values).status_code == 302
    with core.db.reading() as session:
        assert policies.current(session) == policies.OrderPolicies(2, 10, 3)
