"""Codes: how they are read, made and checked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server.coupons.rules.codes import CODE_CHARS, BatchDraft, BatchKind, code_at, normalised_code, problems, shown_code
from server.kernel.ids import uuid7

NOW = datetime(2026, 6, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("abcd-efgh", "ABCDEFGH"),
        (" ａｂｃｄ　2345 ", "ABCD2345"),
        ("hello", "HE110"),
        ("HEIL0", "HE110"),
        ("双十一2026", "双十一2026"),
        ("ab", None),
        ("a" * 33, None),
        ("abc!", None),
        ("", None),
    ],
)
def test_width_case_blanks_and_look_alikes_make_no_difference(typed, meant):
    assert normalised_code(typed) == meant


def test_codes_follow_from_the_seed_and_the_line_and_survive_being_printed():
    codes = [code_at(b"a" * 32, line) for line in range(1, 200)]
    assert len(set(codes)) == 199
    assert codes == [code_at(b"a" * 32, line) for line in range(1, 200)]
    assert not set(codes) & {code_at(b"b" * 32, line) for line in range(1, 200)}
    assert {len(code) for code in codes} == {CODE_CHARS}
    assert all(normalised_code(shown_code(code).lower()) == code for code in codes)


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({"size": None}, "size"),
        ({"size": 1_000_001}, "size"),
        ({"kind": BatchKind.SHARED, "size": 0, "word": "word"}, "size"),
        ({"kind": BatchKind.SHARED, "size": None, "word": "!"}, "word"),
        ({"per_member": 0}, "per_member"),
        ({"claim_from": NOW, "claim_until": NOW}, "claim_until"),
        ({"note": "x" * 301}, "note"),
        ({}, None),
        ({"kind": BatchKind.SHARED, "size": None, "word": "word"}, None),
    ],
)
def test_a_batch_that_cannot_be_made_names_the_field(draft, field):
    wanted = BatchDraft(**{"template_id": uuid7(), "kind": BatchKind.UNIQUE, "size": 10, **draft})
    assert set(problems(wanted)) == ({field} if field else set())
