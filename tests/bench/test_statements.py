"""The limit that earning is held against runs the product's own statements."""

from __future__ import annotations

import pytest

from bench.statements import of_one_accrual, of_the_script, skeleton


def test_the_script_runs_what_the_product_runs(core):
    if core.db.engine.dialect.name != "postgresql":
        pytest.skip("the limit is PostgreSQL's")
    assert [skeleton(statement) for statement in of_the_script()] == [skeleton(statement) for statement in of_one_accrual(core)]
