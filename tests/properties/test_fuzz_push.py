"""The reader of WeChat's server push against damaged pushes; the size is ``fuzz_push``'s own command."""

from __future__ import annotations

import pytest

from server.wechat import push
from tests.properties import fuzz_push


def test_damaged_pushes_are_refused_and_nothing_else_happens() -> None:
    tally = fuzz_push.run_block("suite", 0, 3_000)
    assert tally.findings == {}
    assert tally.counts["past the signature"] > 1_500
    assert tally.counts["accepted"] > 300


def test_the_search_finds_what_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(content: dict) -> str:
        return str(int(str(content.get("CreateTime") or 0)))

    monkeypatch.setattr(push, "_digest", careless)
    found = fuzz_push.run_block("suite", 0, 3_000).findings
    assert any(name.startswith("ValueError") for name in found) or any("UnicodeEncodeError" in name for name in found)


@pytest.mark.full
def test_two_hundred_thousand_damaged_pushes() -> None:
    tally = fuzz_push.run("suite-full", 200_000, 2)
    assert tally.findings == {}
    assert tally.counts["past the signature"] > 100_000
