"""One key, one effect: whoever comes while the first still works waits a moment and is told so, and changes nothing."""

from __future__ import annotations

import threading
import time

import pytest

from server.bootstrap import build_core
from server.kernel import idempotency
from tests.conftest import START

pytestmark = pytest.mark.committing


def begin(session, request_hash="h" * 64):
    return idempotency.begin(session, caller="member:1", route="POST /x", key="k", request_hash=request_hash, now=START)


def test_a_second_request_waits_for_the_lock_and_is_told_that_the_first_still_works(core, settings):
    if core.db.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: a second one waits for the file, not for the key")
    web = build_core(settings, clock=core.clock, lock_wait_seconds=1)
    taken, go_on = threading.Event(), threading.Event()

    def first():
        with core.db.transaction() as session:
            record_id = begin(session)
            taken.set()
            go_on.wait(30)
            idempotency.finish(session, record_id, idempotency.StoredAnswer(201, b'{"n":1}'))

    holder = threading.Thread(target=first)
    holder.start()
    assert taken.wait(30)
    started = time.monotonic()
    with pytest.raises(idempotency.RequestInProgressError):
        web.db.run(begin)
    # Once the wait of one statement, not once for each of the attempts that a deadlock would get.
    assert 0.9 <= time.monotonic() - started < 4.5
    go_on.set()
    holder.join(30)
    assert web.db.run(begin) == idempotency.StoredAnswer(201, b'{"n":1}')
    with pytest.raises(idempotency.KeyReusedError):
        web.db.run(lambda session: begin(session, "o" * 64))
    web.close()
