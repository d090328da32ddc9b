"""A business fact has a name of bounded length."""

from __future__ import annotations

import pytest

from server.kernel.source import Source


def test_a_source_reads_as_namespace_and_key():
    assert str(Source("n" * 60, "k" * 120)) == f"{'n' * 60}/{'k' * 120}"


@pytest.mark.parametrize(("namespace", "key"), [("", "k"), ("n", ""), ("n" * 61, "k"), ("n", "k" * 121)])
def test_a_source_without_a_bounded_name_is_a_fault_of_ours(namespace, key):
    with pytest.raises(ValueError, match="bounded"):
        Source(namespace, key)
