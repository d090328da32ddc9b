"""The table of calls that the walks stand on: whole, and each call does what it is for."""

from __future__ import annotations

import pytest

from tests.factories.calls import CALLS, as_itself, operations
from tests.factories.world import a_world
from wsgi import create_app

pytestmark = pytest.mark.committing


def test_every_operation_has_its_call_and_every_call_works(core):
    app = create_app(core=core)
    guards = operations(app)
    assert set(guards) == set(CALLS)
    world, client = a_world(core), app.test_client()
    wrong = {}
    for operation in CALLS:
        answer = as_itself(client, operation, world, guards[operation])
        if not 200 <= answer.status_code < 300:
            wrong[operation] = (answer.status_code, answer.get_data(as_text=True)[:400])
    assert wrong == {}
