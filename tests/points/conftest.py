"""Fixtures of the points' tests."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from sqlalchemy import event


@pytest.fixture
def count_statements(core):
    """Give a context manager; what it yields tells how many statements were sent inside it."""

    @contextmanager
    def counting():
        sent = []

        def note(_connection, _cursor, statement, _parameters, _context, _many):
            sent.append(statement)

        event.listen(core.db.engine, "before_cursor_execute", note)
        try:
            yield lambda: len(sent)
        finally:
            event.remove(core.db.engine, "before_cursor_execute", note)

    return counting
