"""Codes in words: no act of the audit trail is shown as its code; a member without a nickname has the end of the card number."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from admin.words import ACTIONS, SUBJECTS
from server.kernel.ids import uuid7
from server.kernel.outbox import publish

SERVER = Path(__file__).parents[2] / "server"


def test_every_act_that_the_core_records_has_words() -> None:
    written = set()
    for path in SERVER.rglob("*.py"):
        written |= set(re.findall(r'action="([a-z_]+\.[a-z_]+)"', path.read_text(encoding="utf-8")))
    assert len(written) > 20
    assert written - set(ACTIONS) == set()


def test_every_kind_of_subject_that_the_core_records_has_words() -> None:
    written = set()
    for path in SERVER.rglob("*.py"):
        written |= set(re.findall(r'subject_type="([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert written - set(SUBJECTS) == set()


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
