"""The rules of points against the documents, with fractions: ``HUIBAN_TEST_STEPS=1000000 pytest -m full tests/properties/test_rules_machine.py``."""

from __future__ import annotations

import os
import time

import pytest

from tests.properties.rules_machine import RulesMachine

SEED = int(os.environ.get("HUIBAN_TEST_SEED", "20261126"))
STEPS = int(os.environ.get("HUIBAN_TEST_STEPS", "100000"))


def test_the_rules_are_what_the_documents_say():
    RulesMachine(SEED).run(3000)


@pytest.mark.full
def test_the_rules_are_what_the_documents_say_for_long():
    began = time.monotonic()
    machine = RulesMachine(SEED + 1)
    machine.run(STEPS)
    print(f"\n{STEPS} steps, seed {SEED + 1}, {time.monotonic() - began:.0f} s, {dict(machine.done)}")
