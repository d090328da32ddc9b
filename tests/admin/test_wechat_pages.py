"""The pages of the connection to WeChat and of its templates."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from server.audit import queries as audit
from server.notifications.templates import REGISTRY
from server.wechat import troubles
from server.wechat.errors import WeChatMisconfiguredError
from server.wechat.failures import Failure
from server.wechat.gateway.templates import AccountTemplate
from tests.admin.conftest import token_of
from tests.factories.notifications import all_templates
from tests.fakes.wechat import a_record

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock
    from tests.fakes.wechat import FakeWeChat

pytestmark = pytest.mark.committing


def text(answer) -> str:
    return answer.get_data(as_text=True)


def an_account(*without: str) -> list[AccountTemplate]:
    return [
        AccountTemplate(one.demo_template_id, one.title, {spec.default_key: spec.label for spec in one.specs})
        for one in REGISTRY.values()
        if one.code not in without
    ]


def test_health_tells_what_failed_what_it_means_and_what_to_do(core: Core, signed_in_as) -> None:
    appid = core.settings.wechat_appid
    core.db.run(lambda s: troubles.note(s, Failure(troubles.SEND_ENDPOINT, "40164", "rid-<b>"), appid=appid, now=core.clock.now()))
    client = signed_in_as("admin")
    client.get("/admin/language/en")
    shown = text(client.get("/admin/wechat-health/"))
    assert "not on the app&#39;s whitelist" in shown
    assert "IP whitelist" in shown
    assert "rid-&lt;b&gt;" in shown
    assert "Refused by WeChat" in shown
    assert core.settings.wechat_secret not in shown
    client.get("/admin/language/zh_CN")
    assert "白名单" in text(client.get("/admin/wechat-health/"))


def test_a_quota_is_looked_up(core: Core, wechat: FakeWeChat, signed_in_as) -> None:
    wechat.quota_used = 1234
    client = signed_in_as("admin")
    path = "/admin/wechat-health/quota"
    token = token_of(client, path)
    shown = text(client.post(path, data={"path": "/cgi-bin/message/subscribe/send", "csrf_token": token}))
    assert "1,234" in shown
    assert client.post(path, data={"path": "/cgi-bin/message/subscribe/send"}).status_code == 400
    wechat.upkeep_failures = [WeChatMisconfiguredError(40125)]
    shown = text(client.post(path, data={"path": "/cgi-bin/message/subscribe/send", "csrf_token": token}))
    assert "1,234" not in shown
    assert text(client.post(path, data={"path": "/elsewhere", "csrf_token": token})).count("1,234") == 0


def test_a_request_is_looked_up_by_its_number(wechat: FakeWeChat, signed_in_as) -> None:
    wechat.records["r-1"] = a_record(40037)
    client = signed_in_as("admin")
    client.get("/admin/language/en")
    path = "/admin/wechat-health/request"
    token = token_of(client, path)
    shown = text(client.post(path, data={"rid": " r-1 ", "csrf_token": token}))
    assert "/cgi-bin/message/subscribe/send" in shown
    assert "The template is not in the account." in shown
    assert "76001" in text(client.post(path, data={"rid": "r-2", "csrf_token": token}))
    assert 'value="r-3"' in text(client.get(f"{path}?rid=r-3"))


def test_quotas_are_cleared_with_a_reason_once_and_on_record(core: Core, clock: MovableClock, wechat: FakeWeChat, signed_in_as) -> None:
    client = signed_in_as("admin")
    path = "/admin/wechat-health/clear-quota"
    token = token_of(client, "/admin/wechat-health/")
    client.post(path, data={"csrf_token": token})
    assert wechat.clearings == 0
    for _ in range(2):
        client.post(path, data={"reason": "campaign", "csrf_token": token})
    assert wechat.clearings == 1
    clock.move(timedelta(minutes=11))
    wechat.upkeep_failures = [WeChatMisconfiguredError(40125)]
    client.post(path, data={"reason": "again", "csrf_token": token})
    assert wechat.clearings == 1
    with core.db.reading() as session:
        found = audit.list_entries(session, None, audit.EntryFilter(action="wechat.clear_quota")).items
    assert sorted(entry.reason for entry in found) == ["again", "campaign"]


@pytest.mark.parametrize(("role", "status"), [("operations", 403), ("store", 403), ("auditor", 200), ("admin", 200)])
def test_health_is_for_those_who_run_the_product(signed_in_as, role: str, status: int) -> None:
    client = signed_in_as(role)
    assert client.get("/admin/wechat-health/").status_code == status
    if role == "auditor":
        token = token_of(client, "/admin/wechat-health/quota")
        assert client.post("/admin/wechat-health/clear-quota", data={"reason": "x", "csrf_token": token}).status_code == 403


@pytest.mark.requirement("NTF1")
def test_the_account_is_compared_with_the_messages(core: Core, wechat: FakeWeChat, signed_in_as) -> None:
    core.db.run(lambda s: all_templates(s, now=core.clock.now()))
    changed = REGISTRY["tier_at_risk"]
    wechat.templates = [
        *(one for one in an_account("ticket_answered") if one.template_id != changed.demo_template_id),
        AccountTemplate(changed.demo_template_id, changed.title, {"thing1": "会员等级", "thing9": "<b>"}),
        AccountTemplate("tmpl-idle", "闲置模板", {"thing1": "内容"}),
    ]
    client = signed_in_as("operations")
    client.get("/admin/language/en")
    shown = text(client.get("/admin/template-check/"))
    assert "not looked up yet" in shown
    token = token_of(client, "/admin/template-check/")
    assert client.post("/admin/template-check/sync", data={"csrf_token": token}).status_code == 302
    shown = text(client.get("/admin/template-check/"))
    assert shown.count("Not in the account") >= 1
    assert "Left empty: thing9." in shown
    assert "闲置模板" in shown
    client.post("/admin/template-check/sync", data={"csrf_token": token})
    with core.db.reading() as session:
        (told,) = audit.list_entries(session, None, audit.EntryFilter(action="message_template.sync")).items
    assert told.actor_kind == "staff"
    assert signed_in_as("service").post("/admin/template-check/sync", data={"csrf_token": token}).status_code in {400, 403}


def test_a_refusal_of_wechat_is_said_and_changes_nothing(core: Core, wechat: FakeWeChat, signed_in_as) -> None:
    wechat.template_failures = [WeChatMisconfiguredError(48001)]
    client = signed_in_as("operations")
    token = token_of(client, "/admin/template-check/")
    client.post("/admin/template-check/sync", data={"csrf_token": token})
    with core.db.reading() as session:
        assert audit.list_entries(session, None, audit.EntryFilter(action="message_template.sync")).items == []
