"""Codes in words: no act of the audit trail is shown as its code; a member without a nickname has the end of the card number."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from admin.event_words import JOBS, THINGS, TOPICS
from admin.formats import share_of_stock
from admin.permission_words import AREAS
from admin.words import ACTIONS, SOURCES, SUBJECTS
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.staff.permissions import Permission
from tasks.schedule import JOBS as JOBS_OF_THE_SCHEDULE
from tasks.subscriptions import SUBSCRIPTIONS, UNHEARD

SERVER = Path(__file__).parents[2] / "server"
ADMIN = SERVER.parent / "admin"


def test_every_act_that_the_core_records_has_words() -> None:
    written = set()
    for path in [*SERVER.rglob("*.py"), *ADMIN.rglob("*.py")]:
        written |= set(re.findall(r'action="([a-z_]+\.[a-z_]+)"', path.read_text(encoding="utf-8")))
    assert len(written) > 20
    assert written - set(ACTIONS) == set()


def test_every_kind_of_subject_that_the_core_records_has_words() -> None:
    written = set()
    for path in [*SERVER.rglob("*.py"), *ADMIN.rglob("*.py")]:
        written |= set(re.findall(r'subject_type="([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert written - set(SUBJECTS) == set()


def test_every_source_of_points_and_coupons_has_words() -> None:
    written = set()
    for path in [*SERVER.rglob("*.py"), *ADMIN.rglob("*.py")]:
        written |= set(re.findall(r'Source\([^)\n]*?, f?"([a-z-]+):', path.read_text(encoding="utf-8")))
    assert len(written) > 8
    assert written - set(SOURCES) == set()


def test_a_stock_without_a_limit_has_no_share_and_none_is_more_than_all() -> None:
    assert [share_of_stock(*each) for each in ((3, None), (0, 50), (19, 500), (50, 50), (51, 50))] == [None, 0, 3, 100, 100]


def test_an_event_opens_from_its_number_and_a_wrong_number_leads_back(signed_in_as: Any, core: Any) -> None:
    core.db.run(
        lambda session: publish(
            session, "test.told", key="told", aggregate_type="test", aggregate_id=uuid7(), payload={"n": 1}, now=datetime.now(UTC)
        )
    )
    client = signed_in_as("admin")
    listed = client.get("/admin/events/").get_data(as_text=True)
    found = re.search(r"/admin/events/details/\?id=[0-9a-f-]+", listed)
    assert found is not None
    assert client.get(found.group()).status_code == 200
    assert client.get("/admin/events/details/?id=nonsense").status_code == 302


def test_every_topic_has_words() -> None:
    told = set(SUBSCRIPTIONS) | set(UNHEARD)
    assert told - set(TOPICS) == set()


def test_every_kind_of_thing_an_event_is_about_has_words() -> None:
    written = set()
    for path in SERVER.rglob("*.py"):
        written |= set(re.findall(r'aggregate_type="([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert len(written) > 3
    assert written - set(THINGS) == set()


def test_every_periodic_job_has_words() -> None:
    assert {job.name for job in JOBS_OF_THE_SCHEDULE} - set(JOBS) == set()


def test_every_permission_stands_once_on_the_page_of_roles_with_what_it_opens() -> None:
    shown = [permission for _area, permissions in AREAS for permission in permissions]
    assert sorted(shown) == sorted(Permission)
    assert all(words.label and words.opens for _area, permissions in AREAS for words in permissions.values())


def test_the_page_of_roles_shows_words_in_both_languages_and_no_codes(signed_in_as: Any) -> None:
    client = signed_in_as("security")
    chinese = client.get("/admin/staff/roles").get_data(as_text=True)
    assert "查看完整个人信息" in chinese
    client.get("/admin/language/en?next=/admin/")
    english = client.get("/admin/staff/roles").get_data(as_text=True)
    assert "Reveal personal data" in english
    for permission in Permission:
        assert str(permission) not in chinese
        assert str(permission) not in english
        words = next(area[permission] for _title, area in AREAS if permission in area)
        assert words.label not in chinese
        assert words.opens not in chinese


def test_the_events_list_says_topics_in_words_and_finds_them_by_topic_and_subject(signed_in_as: Any, core: Any) -> None:
    first, second = uuid7(), uuid7()

    def tell(topic: str, about: Any) -> None:
        core.db.run(
            lambda session: publish(
                session, topic, key=f"{topic}:{about}", aggregate_type="order", aggregate_id=about, payload={}, now=datetime.now(UTC)
            )
        )

    tell("orders.paid", first)
    tell("orders.shipped", second)
    tell("schedule.due", uuid7())
    client = signed_in_as("admin")

    def listed(query: str = "") -> str:
        page = client.get(f"/admin/events/{query}").get_data(as_text=True)
        return page[page.index("<tbody>") :] if "<tbody>" in page else ""

    assert "订单付款" in listed()
    assert "订单发货" in listed()
    assert "定时任务到点" not in listed()
    assert "定时任务到点" in listed("?topic=schedule.due")
    assert "订单发货" not in listed("?topic=orders.paid")
    assert "订单付款" not in listed(f"?subject={second}")
    assert listed("?subject=nonsense") == ""
