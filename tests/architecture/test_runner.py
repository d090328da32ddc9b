"""What the suite itself stands on."""

from __future__ import annotations

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs every test")
@pytest.mark.xdist_group("the runner")
def test_tests_of_a_group_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist hands a group to one process by a suffix of the node id; without it two products shared one queue."""
    assert request.node.nodeid.endswith("@the runner")
