"""The console's content review: who sees it, what is decided there, and that it stays plain text."""

from __future__ import annotations

import pytest

from server.kernel.pagination import PageRequest
from server.screening import queries
from server.screening.queries import CheckFilter
from tests.admin.conftest import token_of
from tests.factories.feedback import a_caller
from tests.screening.test_screening import avatar, nickname, rename

pytestmark = [pytest.mark.committing, pytest.mark.requirement("SVC11")]
HOME = "/admin/content/"


@pytest.fixture
def member(core):
    return a_caller(core)


def newest(core):
    with core.db.reading() as session:
        return queries.listed(session, CheckFilter(), PageRequest(1)).items[0]


def post(client, path, **form):
    return client.post(path, data={"csrf_token": token_of(client, HOME), **form}, follow_redirects=True)


def test_staff_read_why_something_waits_and_allow_it(core, client, wechat, member, signed_in_as):
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信<b>甲</b>")
    staff = signed_in_as("operations")
    listed = staff.get(HOME).text
    assert "微信建议人工审核" in listed
    assert "广告" in listed
    assert "加微信&lt;b&gt;甲" in listed
    check = newest(core)
    assert "加微信&lt;b&gt;甲" in staff.get(f"{HOME}{check.id}").text
    answer = post(staff, f"{HOME}{check.id}/allow?version={check.version}")
    assert "内容已恢复展示" in answer.text
    assert nickname(core, member) == "加微信<b>甲</b>"
    assert "没有待审核的内容" in staff.get(HOME).text
    assert "已通过" in staff.get(f"{HOME}?tab=decided").text
    again = post(staff, f"{HOME}{check.id}/refuse", reason="x")
    assert "该内容已被处理" in again.text


def test_a_picture_is_previewed_refused_with_a_reason_and_still_seen_by_who_decides(core, client, member, signed_in_as):
    avatar(client, member)
    staff, check = signed_in_as("service"), newest(core)
    assert f"{HOME}{check.id}/picture" in staff.get(f"{HOME}?tab=waiting").text
    assert "请填写原因" in post(staff, f"{HOME}{check.id}/refuse", reason=" ").text
    post(staff, f"{HOME}{check.id}/refuse", reason="请换一张头像")
    assert newest(core).state == "refused"
    shown = staff.get(f"{HOME}{check.id}/picture")
    assert (shown.status_code, shown.content_type) == (200, "image/png")
    assert "请换一张头像" in staff.get(f"{HOME}?tab=decided").text
    assert "请换一张头像" in staff.get(f"{HOME}{check.id}").text


def test_a_list_is_narrowed_and_exported_with_a_reason(core, client, wechat, member, signed_in_as):
    wechat.doubtful_words.append("加微信")
    rename(client, member, "加微信")
    staff = signed_in_as("operations")
    assert "没有待审核的内容" in staff.get(f"{HOME}?kind=avatar").text
    assert "微信建议人工审核" in staff.get(f"{HOME}?kind=nickname&cause=doubt").text
    assert post(staff, f"{HOME}export", reason="月度检查").content_type.startswith("application/vnd.openxml")


def test_who_may_not_decide_sees_nothing_of_it(core, client, member, signed_in_as):
    avatar(client, member)
    check = newest(core)
    for role in ("store", "auditor"):
        staff = signed_in_as(role)
        assert staff.get(HOME).status_code == 403
        assert staff.get(f"{HOME}{check.id}/picture").status_code == 403
