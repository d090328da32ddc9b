"""The service desk's pages, as a browser without scripts sees them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from server.feedback import desk_queries, desk_service, queries
from server.feedback.queries import TicketView
from server.files.service import store_upload
from server.kernel.actors import SystemActor
from tests.admin.conftest import token_of
from tests.factories.feedback import Caller, a_caller, a_picture, a_ticket

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core


@pytest.fixture
def member(core: Core) -> Caller:
    return a_caller(core)


@pytest.fixture
def ticket(core: Core, member: Caller) -> TicketView:
    def work(session):
        upload = store_upload(
            session, core.files, owner_member_id=member.member_id, purpose="ticket", data=a_picture(), content_type="", now=core.clock.now()
        )
        return a_ticket(session, member, now=core.clock.now(), content="<b>外箱破了</b>", upload_ids=[upload.id])

    return core.db.run(work)


@pytest.fixture
def agent(signed_in_as) -> FlaskClient:
    return signed_in_as("service")


def text(answer) -> str:
    return answer.get_data(as_text=True)


def send(client: FlaskClient, number: str, verb: str, version: int | None = None, **fields: object):
    path = f"/admin/feedback/{number}"
    data = {"csrf_token": token_of(client, path), **fields}
    if version is not None:
        data["version"] = str(version)
    return client.post(f"{path}/{verb}", data=data, headers={"Referer": f"http://localhost{path}"})


def test_the_queue_finds_a_ticket_by_its_number_and_links_to_it(agent: FlaskClient, ticket: TicketView) -> None:
    listed = agent.get(f"/admin/feedback/?q={ticket.ticket_no}")
    assert listed.status_code == 200
    assert f'href="/admin/feedback/{ticket.ticket_no}"' in text(listed)
    for tab in ("live", "mine", "unassigned", "overdue", "review", "all", "nonsense"):
        assert agent.get(f"/admin/feedback/?tab={tab}").status_code == 200


def test_the_page_shows_text_as_text_and_photos_by_signed_address(agent: FlaskClient, ticket: TicketView) -> None:
    page = text(agent.get(f"/admin/feedback/{ticket.ticket_no}"))
    assert "&lt;b&gt;外箱破了&lt;/b&gt;" in page
    address = re.search(r'<img src="(/files/[^"]+)"', page).group(1).replace("&amp;", "&")
    assert agent.get(address).status_code == 200
    assert agent.get("/admin/feedback/T000").status_code == 404


def test_an_answer_with_a_photo_reaches_the_member(agent: FlaskClient, core: Core, member: Caller, ticket: TicketView) -> None:
    answer = send(
        agent,
        ticket.ticket_no,
        "reply",
        ticket.version,
        content="已为您补发",
        internal="0",
        photos=(io.BytesIO(a_picture("JPEG")), "a.jpg"),
    )
    assert answer.status_code == 302
    with core.db.reading() as session:
        seen = queries.detail(session, ticket.ticket_no, member_id=member.member_id)
    assert (seen.ticket.state, seen.messages[-1].content, len(seen.messages[-1].uploads)) == ("answered", "已为您补发", 1)
    assert "已为您补发" in text(agent.get(answer.location))


def test_a_collision_keeps_what_was_typed_and_sends_nothing(agent: FlaskClient, core: Core, ticket: TicketView) -> None:
    send(agent, ticket.ticket_no, "start", ticket.version)
    refused = send(agent, ticket.ticket_no, "reply", ticket.version, content="写了很久的回复", internal="0")
    assert refused.status_code == 409
    assert "写了很久的回复" in text(refused)
    with core.db.reading() as session:
        assert len(queries.detail(session, ticket.ticket_no).messages) == 1


def test_a_note_stays_inside(agent: FlaskClient, core: Core, member: Caller, ticket: TicketView) -> None:
    assert send(agent, ticket.ticket_no, "reply", content="疑似运输问题", internal="1").status_code == 302
    with core.db.reading() as session:
        assert len(queries.detail(session, ticket.ticket_no, member_id=member.member_id).messages) == 1
        assert queries.detail(session, ticket.ticket_no).messages[-1].internal
    assert "疑似运输问题" in text(agent.get(f"/admin/feedback/{ticket.ticket_no}"))


def test_a_ticket_is_taken_classified_closed_and_reopened(agent: FlaskClient, core: Core, ticket: TicketView) -> None:
    number = ticket.ticket_no

    def now_is() -> TicketView:
        with core.db.reading() as session:
            return queries.find(session, number)

    me = re.search(r'name="staff_id" value="([^"]+)"', text(agent.get(f"/admin/feedback/{number}"))).group(1)
    send(agent, number, "assign", staff_id=me)
    assert (now_is().state, str(now_is().assignee_id)) == ("assigned", me)
    send(agent, number, "classify", category="product", priority="urgent")
    assert (now_is().category, now_is().priority) == ("product", "urgent")
    send(agent, number, "assign", staff_id="")
    assert now_is().state == "open"
    send(agent, number, "close", close_reason="duplicate", comment="见上一单")
    assert (now_is().state, now_is().close_reason) == ("closed", "duplicate")
    assert "见上一单" in text(agent.get(f"/admin/feedback/{number}"))
    send(agent, number, "reopen")
    assert now_is().state == "reopened"


def test_a_change_from_an_old_page_is_refused_with_a_message(agent: FlaskClient, core: Core, ticket: TicketView) -> None:
    send(agent, ticket.ticket_no, "start", ticket.version)
    answer = send(agent, ticket.ticket_no, "close", ticket.version, close_reason="solved")
    assert "notice danger" in text(agent.get(answer.location))
    with core.db.reading() as session:
        assert queries.find(session, ticket.ticket_no).state == "working"


def test_staff_note_what_a_caller_says(agent: FlaskClient, core: Core, member: Caller) -> None:
    fields = {"channel": "phone", "category": "logistics", "priority": "high", "content": "来电：快递未到"}
    refused = agent.post("/admin/feedback/new", data={"csrf_token": token_of(agent, "/admin/feedback/new"), **fields})
    assert refused.status_code == 422
    made = agent.post("/admin/feedback/new", data={"csrf_token": token_of(agent, "/admin/feedback/new"), "phone": "13800138000", **fields})
    assert made.status_code == 302, text(made)
    of_member = f"/admin/feedback/new?member_id={member.member_id}"
    again = agent.post(of_member, data={"csrf_token": token_of(agent, of_member), **fields})
    with core.db.reading() as session:
        ticket = queries.find(session, again.location.rsplit("/", 1)[1])
    assert (ticket.member_id, ticket.channel, ticket.priority) == (member.member_id, "phone", "high")


def test_canned_replies_are_written_offered_filled_in_and_put_away(agent: FlaskClient, core: Core, ticket: TicketView) -> None:
    path = "/admin/canned_replies/new"
    body = {"title": "补发致歉", "category": "logistics", "content": '您好 {name}，工单 {ticket_no} "已补发"', "active": "y"}
    assert agent.post(path, data={"csrf_token": token_of(agent, path), **body}).status_code == 302
    assert agent.post(path, data={"csrf_token": token_of(agent, path), **body}).status_code == 422
    page = text(agent.get(f"/admin/feedback/{ticket.ticket_no}"))
    filled = re.search(r'data-fill="([^"]+)"', page).group(1)
    assert ticket.ticket_no in filled
    with core.db.reading() as session:
        reply = desk_queries.canned_replies(session)[0]
    edit = f"/admin/canned_replies/{reply.id}"
    body.pop("active")
    assert agent.post(edit, data={"csrf_token": token_of(agent, edit), **body}).status_code == 302
    assert "补发致歉" in text(agent.get("/admin/canned_replies/"))
    assert "data-fill" not in text(agent.get(f"/admin/feedback/{ticket.ticket_no}"))


def test_figures_and_settings_have_their_pages(signed_in_as, core: Core, ticket: TicketView) -> None:
    admin = signed_in_as("admin")
    agent = signed_in_as("service")
    assert agent.get("/admin/service_figures/").status_code == 200
    path = "/admin/service_figures/settings"
    assert agent.get(path).status_code == 403
    settings_page = admin.get(path)
    if settings_page.status_code == 403:
        pytest.skip("this role does not decide settings")
    names = re.findall(r'<input[^>]*name="([a-z_]+(?:__[a-z]+)?)"[^>]*value="(\d+)"', text(settings_page))
    fields = dict(names) | {"reopen_window_days": "3"}
    assert admin.post(path, data={**fields, "csrf_token": token_of(admin, path)}).status_code == 302
    with core.db.reading() as session:
        assert queries.stored_settings(session) == {"reopen_window_days": 3}


def test_whoever_may_not_read_tickets_is_refused(signed_in_as, ticket: TicketView, core: Core) -> None:
    core.db.run(
        lambda session: desk_service.add_canned_reply(session, title="a", content="b", actor=SystemActor("test"), now=core.clock.now())
    )
    auditor = signed_in_as("auditor")
    for path in ("/admin/feedback/", f"/admin/feedback/{ticket.ticket_no}", "/admin/feedback/new"):
        assert auditor.get(path).status_code == 403
