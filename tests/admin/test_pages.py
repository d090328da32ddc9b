"""The pages that come with the console: staff, trail, queues, refusals; hostile texts stay texts."""

from __future__ import annotations

from uuid import uuid4

import pytest

from admin.export import safe_cell
from server.audit import queries as audit
from server.audit import service as audit_service
from server.kernel.actors import StaffActor, SystemActor
from server.staff import queries, service
from tests.admin.conftest import token_of

pytestmark = pytest.mark.committing
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-'", "</script><svg onload=alert(1)>", "{{ 7*7 }}", "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
]  # fmt: skip


def other_account(core, name="周子涵"):
    return core.db.run(
        lambda session: service.create(
            session,
            email="zhou@example.com",
            name=name,
            password="kqzv-7712-Berg-hain",
            roles=["service"],
            actor=SystemActor("tests"),
            reason="joins",
            now=core.clock.now(),
        )
    )


def view(core, staff_id):
    with core.db.reading() as session:
        return queries.find(session, staff_id)


def test_an_account_is_opened_changed_and_switched_off_from_the_page_with_a_reason(core, signed_in_as):
    client = signed_in_as("security")
    token = token_of(client, "/admin/staff/new")
    wrong = client.post(
        "/admin/staff/new",
        data={"csrf_token": token, "name": "王芳", "email": "wang@example.com", "roles": ["admin", "auditor"], "reason": "joins"},
    )
    assert wrong.status_code == 422
    assert "须由不同人员担任" in wrong.get_data(as_text=True)
    done = client.post(
        "/admin/staff/new", data={"csrf_token": token, "name": "王芳", "email": "wang@example.com", "roles": ["service"], "reason": "joins"}
    )
    assert done.status_code == 200
    with core.db.reading() as session:
        account = queries.list_accounts(session, text="王芳").items[0]
    data = {"csrf_token": token, "roles": ["store"], "reason": "moves"}
    assert client.post(f"/admin/staff/{account.id}/roles", data=data).status_code == 302
    assert view(core, account.id).roles == ("store",)
    assert client.post(f"/admin/staff/{account.id}/disable", data={"csrf_token": token, "reason": " "}).status_code == 302
    assert view(core, account.id).active
    assert client.post(f"/admin/staff/{account.id}/disable", data={"csrf_token": token, "reason": "leaves"}).status_code == 302
    assert not view(core, account.id).active
    assert client.post(f"/admin/staff/{account.id}/enable", data={"csrf_token": token, "reason": "back"}).status_code == 302
    assert client.post(f"/admin/staff/{account.id}/second-factor", data={"csrf_token": token, "reason": "phone lost"}).status_code == 302
    assert client.post(f"/admin/staff/{account.id}/password", data={"csrf_token": token, "reason": "forgot"}).status_code == 200
    page = client.get(f"/admin/staff/{account.id}").get_data(as_text=True)
    assert "phone lost" in page
    assert "zhou@example.com" not in page


def test_nobody_switches_themselves_off_from_the_page(core, signed_in_as):
    client = signed_in_as("security")
    with core.db.reading() as session:
        me = queries.list_accounts(session).items[0]
    token = token_of(client, "/admin/account/")
    client.post(f"/admin/staff/{me.id}/disable", data={"csrf_token": token, "reason": "x"})
    assert view(core, me.id).active
    assert "不能对自己的账号" in client.get("/admin/staff/").get_data(as_text=True)


def test_hostile_texts_are_shown_as_texts_everywhere(core, signed_in_as):
    client = signed_in_as("auditor")
    for text in HOSTILE:
        core.db.run(
            lambda session, text=text: audit_service.record(
                session,
                actor=StaffActor(uuid4(), text[:60]),
                action="points.adjust",
                subject_type="member",
                subject_id=uuid4(),
                before={text: text},
                after={text: "x"},
                reason=text,
                now=core.clock.now(),
            )
        )
    with core.db.reading() as session:
        entries = audit.list_entries(session).items
    pages = [client.get("/admin/audit/"), *(client.get(f"/admin/audit/{entry.id}") for entry in entries)]
    pages += [client.get("/admin/audit/", query_string={"who": text, "subject": text}) for text in HOSTILE]
    for answer in pages:
        html = answer.get_data(as_text=True)
        assert answer.status_code == 200
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "<svg onload" not in html
        assert "<a href=javascript" not in html


def test_the_trail_is_searched_checked_and_downloaded(core, signed_in_as):
    client = signed_in_as("auditor")
    core.db.run(
        lambda session: audit_service.record(
            session,
            actor=SystemActor("=cmd|x"),
            action="points.adjust",
            subject_type="member",
            subject_id="1",
            reason="=1+1",
            now=core.clock.now(),
        )
    )
    core.db.run(lambda session: audit_service.seal(session, core.clock.now()))
    token = token_of(client, "/admin/audit/")
    assert "=cmd|x" in client.get("/admin/audit/?action=points.adjust").get_data(as_text=True)
    assert "没有符合条件的记录" in client.get("/admin/audit/?who=nobody").get_data(as_text=True)
    answer = client.post("/admin/audit/verify", data={"csrf_token": token}, follow_redirects=True)
    assert "链条完整" in answer.get_data(as_text=True)
    answer = client.post("/admin/audit/export?action=points.adjust", data={"csrf_token": token, "reason": "yearly review"})
    assert answer.get_data().startswith(b"\xef\xbb\xbf")
    assert "'=1+1" in answer.get_data(as_text=True)
    with core.db.reading() as session:
        assert "export.download" in audit.known_actions(session)


@pytest.mark.parametrize("text", ["=1+1", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", "　=1"])
def test_a_cell_never_becomes_a_formula(text):
    assert safe_cell(text).startswith("'")


def test_plain_cells_stay_as_they_are():
    assert [safe_cell(value) for value in ("-12.50", "1,234", "林晓雯", None)] == ["-12.50", "1,234", "林晓雯", ""]


def test_each_refusal_has_a_page_of_its_own(app, signed_in_as, monkeypatch):
    client = signed_in_as("service")
    assert "页面不存在" in client.get("/admin/nothing/here").get_data(as_text=True)
    answer = client.get("/admin/staff/")
    assert answer.status_code == 403
    assert "您没有访问权限" in answer.get_data(as_text=True)
    view = next(view for view in app.extensions["console_views"] if view.slug == "account")

    def broken(*_args, **_kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(view), "reading", broken)
    answer = client.get("/admin/account/")
    assert answer.status_code == 500
    assert "出了点问题" in answer.get_data(as_text=True)
    assert "secret detail" not in answer.get_data(as_text=True)
    assert client.get("/admin/staff/not-an-id").status_code in {403, 404}


def test_the_queues_page_and_its_events_are_read_only_tables(core, signed_in_as):
    from server.kernel.outbox import publish

    event_id = uuid4()
    core.db.run(
        lambda session: publish(
            session,
            "points.accrued",
            key="k1",
            aggregate_type="member",
            aggregate_id=event_id,
            payload={"entry_id": "<b>1</b>"},
            now=core.clock.now(),
        )
    )
    client = signed_in_as("admin")
    assert client.get("/admin/queues/").status_code == 200
    html = client.get("/admin/events/").get_data(as_text=True)
    assert "points.accrued" in html
    link = html.split('href="/admin/events/details/')[1].split('"')[0].replace("&amp;", "&")
    detail = client.get(f"/admin/events/details/{link}").get_data(as_text=True)
    assert "<b>1</b>" not in detail
    for path in ("new/", "edit/", "delete/", "action/", "export/csv/", "ajax/update/"):
        assert client.get(f"/admin/events/{path}").status_code in {302, 403, 404, 405}
        assert client.post(f"/admin/events/{path}").status_code in {400, 403, 404, 405}


def test_a_dead_delivery_goes_back_to_work_with_a_reason_on_the_trail(core, signed_in_as):
    import sqlalchemy as sa

    from server.kernel.ids import uuid7
    from server.kernel.outbox import OutboxDelivery, OutboxEvent, publish

    delivery_id = uuid7()

    def work(session):
        publish(session, "x.y", key="k2", aggregate_type="member", aggregate_id=uuid4(), payload={}, now=core.clock.now())
        event = session.scalars(sa.select(OutboxEvent.id)).first()
        session.add(
            OutboxDelivery(
                id=delivery_id, event_id=event, subscription="s", state="dead", attempts=9, available_at=core.clock.now(), error="boom"
            )
        )

    core.db.run(work)
    client = signed_in_as("admin")
    assert "boom" in client.get("/admin/queues/").get_data(as_text=True)
    token = token_of(client, "/admin/account/")
    assert client.post(f"/admin/queues/{delivery_id}/retry", data={"csrf_token": token, "reason": "cause gone"}).status_code == 302
    with core.db.reading() as session:
        assert session.get(OutboxDelivery, delivery_id).state == "pending"
        assert "delivery.retry" in audit.known_actions(session)


def test_the_workbench_shows_only_figures_its_reader_may_see(core, signed_in_as):
    operations = signed_in_as("operations")
    page = operations.get("/admin/").get_data(as_text=True)
    assert "今日销售额" in page
    assert "/admin/coupon_templates/?left=little" in page
    assert "没有符合条件的券模板" in operations.get("/admin/coupon_templates/?left=little").get_data(as_text=True)
    page = signed_in_as("auditor").get("/admin/").get_data(as_text=True)
    assert "今日销售额" not in page
