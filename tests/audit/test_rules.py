"""A document is sealed as it will come back from the database."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from uuid import UUID

from server.audit.rules import plain


def test_what_json_does_not_know_becomes_text_that_stays_the_same():
    document = {
        "scopes": frozenset({"b", "a"}),
        "at": datetime(2026, 6, 1, 8, tzinfo=UTC),
        "day": date(2026, 6, 1),
        "id": UUID(int=7),
        "streaks": {7: {2, 1}},
    }
    kept = plain(document)
    assert kept == {
        "at": "2026-06-01T08:00:00+00:00",
        "day": "2026-06-01",
        "id": "00000000-0000-0000-0000-000000000007",
        "scopes": ["a", "b"],
        "streaks": {"7": ["1", "2"]},
    }
    assert plain(json.loads(json.dumps(kept))) == kept
    assert plain(None) is None
