"""Birthday gifts on the page: read by some, set by few, with a reason, and never over somebody else's change."""

from __future__ import annotations

import re
from threading import Barrier, Thread

import pytest

from server.audit import queries as audit
from server.campaigns import queries, service
from server.campaigns.errors import PolicyChangedError
from server.campaigns.rules import BirthdayPolicy, LeapDayRule
from server.kernel.actors import SystemActor
from server.kernel.db import error_of_constraint
from server.kernel.pagination import PageRequest
from tests.admin.conftest import token_of

pytestmark = pytest.mark.committing
EDIT = "/admin/birthdays/edit"
SYSTEM = SystemActor("tests")


def policy(core):
    with core.db.reading() as session:
        return queries.birthday_policy(session), len(queries.policy_versions(session))


def filled(client, **changes):
    page = client.get(EDIT).get_data(as_text=True)
    version = re.search(r'name="version"[^>]*value="(\d+)"', page)
    assert version, page[:3000]
    data = {
        "csrf_token": token_of(client, EDIT),
        "version": version.group(1),
        "enabled": "y",
        "points": "120",
        "valid_days": "45",
        "coupon_code": "",
        "leap_day": "mar_1",
        "reason": "the spring offer",
    }
    return data | changes


def test_the_policy_is_set_from_the_page_with_its_reason_on_record(core, signed_in_as):
    client = signed_in_as("operations")
    assert "没有发放过生日礼" in client.get("/admin/birthdays/").get_data(as_text=True)
    answer = client.post(EDIT, data=filled(client))
    assert answer.status_code == 302, answer.get_data(as_text=True)
    now_holds, versions = policy(core)
    assert now_holds == BirthdayPolicy(enabled=True, points=120, valid_days=45, leap_day=LeapDayRule.DAY_AFTER)
    assert versions == 1
    with core.db.reading() as session:
        entry = audit.list_entries(session, PageRequest(1), audit.EntryFilter(action="birthday_policy.set")).items[0]
    assert entry.reason == "the spring offer"
    page = client.get("/admin/birthdays/").get_data(as_text=True)
    assert "平年于 3 月 1 日发放" in page
    assert "林晓雯" in page
    assert "没有符合条件" not in client.get("/admin/birthdays/gifts?card=nobody").get_data(as_text=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points", "-1"),
        ("points", "1000001"),
        ("valid_days", "0"),
        ("valid_days", "367"),
        ("coupon_code", "none-such"),
        ("leap_day", "feb_30"),
        ("reason", " "),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(core, signed_in_as, name, value):
    client = signed_in_as("operations")
    assert client.post(EDIT, data=filled(client, **{name: value})).status_code == 422
    assert policy(core)[1] == 0


def test_a_page_left_open_does_not_overwrite_what_a_colleague_set(core, clock, signed_in_as):
    client = signed_in_as("operations")
    mine = filled(client)
    core.db.run(lambda s: service.set_birthday_policy(s, BirthdayPolicy(enabled=True, points=7), actor=SYSTEM, now=clock.now()))
    answer = client.post(EDIT, data=mine)
    assert answer.status_code == 422
    assert "刚被其他人修改" in answer.get_data(as_text=True)
    assert policy(core)[0].points == 7


def test_service_reads_and_does_not_set_the_others_see_nothing(signed_in_as):
    service_agent, clerk = signed_in_as("service"), signed_in_as("store")
    assert service_agent.get("/admin/birthdays/").status_code == 200
    assert EDIT not in service_agent.get("/admin/birthdays/").get_data(as_text=True)
    assert service_agent.get(EDIT).status_code == 403
    assert clerk.get("/admin/birthdays/").status_code == 403


def test_of_many_who_set_it_at_once_on_one_version_one_wins(core, clock):
    gate, won, lost = Barrier(4), [], []

    def put(points: int) -> None:
        gate.wait()
        try:
            core.db.run(
                lambda s: service.set_birthday_policy(
                    s, BirthdayPolicy(enabled=True, points=points), actor=SYSTEM, expected=0, now=clock.now()
                )
            )
            won.append(points)
        except Exception as error:  # noqa: BLE001 - told apart below
            lost.append(error)

    threads = [Thread(target=put, args=(points,)) for points in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert policy(core) == (BirthdayPolicy(enabled=True, points=won[0]), 1)
    assert all(isinstance(error, PolicyChangedError) or isinstance(error_of_constraint(error), PolicyChangedError) for error in lost)
