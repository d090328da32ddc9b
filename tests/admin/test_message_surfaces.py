"""The pages of the flow, the forecast and the festivals, as a browser without scripts sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from server.campaigns import festival_queries as festivals
from server.kernel.pagination import PageRequest
from tasks.jobs import festivals as festival_job
from tasks.jobs import message_figures as job
from tests.admin.conftest import token_of
from tests.campaigns.test_festivals import say
from tests.factories.members import a_member
from tests.factories.notifications import a_grant, all_templates
from tests.reporting.test_messages import make

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core

pytestmark = pytest.mark.committing


def text(answer) -> str:
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def in_english(client: FlaskClient) -> FlaskClient:
    client.get("/admin/language/en?next=/admin/")
    return client


@pytest.fixture
def messages(core: Core) -> None:
    def work(session):
        at = core.clock.now()
        all_templates(session, now=at)
        member_id = a_member(session, now=at)
        a_grant(session, member_id, key="g", now=at)
        make(session, member_id, at, "failed", "rejected_40037")
        make(session, member_id, at - timedelta(hours=2), "skipped", "no_grant")
        make(session, member_id, at - timedelta(days=2), "sent")
        make(session, member_id, at - timedelta(days=3), "queued", due=at - timedelta(minutes=30))

    core.db.run(work)
    job.roll_up(core, core.clock.now())
    job.build_reach(core, core.clock.now())


@pytest.mark.usefixtures("messages")
def test_the_flow_shows_a_window_and_leads_to_the_very_messages(signed_in_as, core: Core) -> None:
    client = in_english(signed_in_as("operations"))
    day, week = text(client.get("/admin/messages/?within=24h")), text(client.get("/admin/messages/"))
    assert "Refused by WeChat (40037)" in day
    assert "Oldest waiting" in day
    link = "/admin/messages/all?within=24h&amp;state=failed&amp;reason=rejected_40037"
    assert link in day
    assert "within=7d" in week
    listed = client.get("/admin/messages/all?within=24h")
    assert text(listed).count("/admin/members/") < text(client.get("/admin/messages/all?within=7d")).count("/admin/members/")
    assert "/admin/messages/all?within=24h&amp;template=ticket_answered" in day
    core.clock.move(timedelta(minutes=10))
    assert "The sums stand still" in text(client.get("/admin/messages/"))


def test_a_flow_that_was_never_summed_says_so(signed_in_as) -> None:
    shown = text(in_english(signed_in_as("operations")).get("/admin/messages/"))
    assert "The messages have not been summed up yet." in shown


@pytest.mark.usefixtures("messages")
def test_the_forecast_tells_whom_and_why_not(signed_in_as) -> None:
    client = in_english(signed_in_as("operations"))
    shown = text(client.get("/admin/message-reach/"))
    assert "/admin/message-reach/ticket_answered" in shown
    detail = text(client.get("/admin/message-reach/ticket_answered"))
    assert "Would be reached now" in detail
    assert "Why not the others" in detail
    assert "Allowances by day" in detail
    assert client.get("/admin/message-reach/nothing").status_code == 404
    data = {"csrf_token": token_of(client, "/admin/messages/all"), "reason": "活动前评估"}
    exported = client.post("/admin/message-reach/export", data=data)
    assert exported.status_code == 200
    assert exported.get_data().startswith(b"PK")  # an Excel file, as every export


def test_a_festival_is_set_switched_celebrated_and_shown(signed_in_as, core: Core) -> None:
    def work(session):
        member_id = a_member(session, now=core.clock.now() - timedelta(days=1))
        say(session, member_id, core.clock.now() - timedelta(days=1), granted=True)

    core.db.run(work)
    client = in_english(signed_in_as("operations"))
    shown = text(client.get("/admin/festivals/"))
    assert "Spring Festival" in shown
    assert "Not celebrated" in shown
    today = core.clock.now().astimezone(core.settings.zone).date()
    form = {
        "csrf_token": token_of(client, "/admin/festivals/new"), "code": "anniversary", "name": "店庆", "kind": "solar", "month": today.month,
        "day": today.day, "weekday": "0", "term": "qingming", "greeting": "店庆快乐", "points": "8", "valid_days": "30", "coupon_code": "",
        "send_from": "0", "reason": "十周年", "version": "0",
    }  # fmt: skip
    page = text(client.get("/admin/festivals/new"))
    for name in [part.split('"')[0] for part in page.split('name="coupon__')[1:]]:
        form[f"coupon__{name}"] = "*"
    assert client.post("/admin/festivals/new", data=form | {"day": "40"}).status_code == 422
    answer = client.post("/admin/festivals/new", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/festivals/anniversary")
    token = {"csrf_token": token_of(client, "/admin/festivals/anniversary"), "reason": "开始"}
    assert client.post("/admin/festivals/anniversary/start", data=token).status_code == 302
    assert festival_job.celebrate(core, core.clock.now()) == 1
    detail = text(client.get("/admin/festivals/anniversary"))
    with core.db.reading() as session:
        run = festivals.runs(session)[0]
        assert festivals.gifts(session, run.id, PageRequest(10)).items[0].points == 8
    assert f"/admin/festivals/celebrations/{run.id}" in detail
    assert "Greeting" in text(client.get(f"/admin/festivals/celebrations/{run.id}"))
    assert "Nobody was given anything" in text(client.get(f"/admin/festivals/celebrations/{run.id}?only=problems"))
    edit = text(client.get("/admin/festivals/mid_autumn/edit"))
    assert 'name="month"' not in edit
    assert client.get("/admin/festivals/nothing").status_code == 404
    assert client.post("/admin/festivals/anniversary/stop", data=token).status_code == 302
    with core.db.reading() as session:
        assert festivals.festival(session, "anniversary").enabled is False


def test_who_may_only_read_changes_no_festival(signed_in_as, core: Core) -> None:
    client = signed_in_as("auditor")
    token = {"csrf_token": token_of(client, "/admin/"), "reason": "x"}
    assert client.post("/admin/festivals/mid_autumn/start", data=token).status_code == 403
    assert client.get("/admin/festivals/new").status_code == 403
    with core.db.reading() as session:
        assert not any(one.enabled for one in festivals.festivals(session))
