"""Jobs tell how far they are, and an end is an end."""

from __future__ import annotations

import pytest

from server.kernel.actors import SystemActor
from server.kernel.pagination import PageRequest
from server.transfers import queries, service
from server.transfers.errors import TransferEndedError
from tests.conftest import START

NOW = START


def test_a_job_grows_and_ends_once(session):
    job = service.start(session, kind="orders.import", name="orders.csv", actor=SystemActor("test"), total=10, now=NOW)
    service.advance(session, job, done=3, errors=1, now=NOW)
    assert queries.find(session, job).percent == 40
    service.advance(session, job, done=6, now=NOW)
    service.finish(session, job, error_file="errors.csv", now=NOW)
    view = queries.find(session, job)
    assert (view.state, view.done, view.errors, view.percent, view.error_file) == ("done", 9, 1, 100, "errors.csv")
    for again in (lambda: service.advance(session, job, done=1, now=NOW), lambda: service.fail(session, job, failure="x", now=NOW)):
        with pytest.raises(TransferEndedError):
            again()
    assert queries.find(session, job) == view


def test_a_job_that_broke_off_says_so(session):
    job = service.start(session, kind="orders.import", name="a.csv", actor=SystemActor("test"), now=NOW)
    service.advance(session, job, total=5, now=NOW)
    service.fail(session, job, failure="OSError", now=NOW)
    (listed,) = queries.list_jobs(session, PageRequest(), kind="orders.import").items
    assert (listed.state, listed.failure, listed.percent) == ("failed", "OSError", 0)
    assert queries.list_jobs(session, PageRequest(), kind="other").items == []
