from __future__ import annotations

import re

from server.partners import queries
from tests.admin.test_members import post, text_of


def partner_of(core):
    with core.db.reading() as session:
        return queries.list_partners(session)[0]


def test_a_partners_life(core, signed_in_as):
    client = signed_in_as("admin")
    made = post(client, "/admin/partners/new", "/admin/partners/new", name="Till 1", scopes=["members:read", "orders:write"])
    text = text_of(made)
    partner = partner_of(core)
    page = f"/admin/partners/{partner.id}"
    with core.db.reading() as session:
        secret = queries.key(session, partner.keys[0].key_id).secret
    assert secret in text
    assert secret not in text_of(client.get(page))
    assert "Till 1" in text_of(client.get("/admin/partners/"))
    second = text_of(post(client, f"{page}/keys", page))
    assert len(set(re.findall(r"hk_[A-Z0-9]{16}", second))) == 2
    assert post(client, f"{page}/keys", page).status_code == 302
    post(client, f"{page}/keys/{partner.keys[0].key_id}/revoke", page)
    assert [key.revoked_at is None for key in partner_of(core).keys] == [False, True]
    assert post(client, f"{page}/scopes", f"{page}/scopes", scopes=[]).status_code == 422
    assert post(client, f"{page}/scopes", f"{page}/scopes", scopes=["stock:write"]).status_code == 302
    assert partner_of(core).scopes == ["stock:write"]
    post(client, f"{page}/off", page)
    assert partner_of(core).active is False
    post(client, f"{page}/on", page)
    assert partner_of(core).active is True


def test_a_name_is_taken_once_and_only_who_may_sees_partners(core, signed_in_as):
    client = signed_in_as("admin")
    for status in (200, 422):
        assert post(client, "/admin/partners/new", "/admin/partners/new", name="Till", scopes=["members:read"]).status_code == status
    with core.db.reading() as session:
        assert len(queries.list_partners(session)) == 1
    assert signed_in_as("service").get("/admin/partners/").status_code == 403
