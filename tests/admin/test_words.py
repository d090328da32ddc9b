"""Codes in words: no act of the audit trail is shown as its code; a member without a nickname has the end of the card number."""

from __future__ import annotations

import re
from pathlib import Path

from admin.words import ACTIONS, SUBJECTS

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
