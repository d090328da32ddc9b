"""Codes that members type for a coupon: how they are made, and how what was typed is read."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from server.kernel.text import N_

MAX_CODES = 1_000_000
# Thirty letters and digits that nobody takes for one another; sixteen of them are 78 bits, so a million codes are needles in 10^17 stacks.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_CHARS = 16
_GROUP = 4
MIN_WORD, MAX_WORD = 3, 32
# Folded on both sides, so a word with such letters is found however it was read.
_LOOK_ALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})
_MAX_NOTE = 300


class BatchKind(StrEnum):
    """Whether each code is for one claim, or one word is for all."""

    UNIQUE = "unique"
    SHARED = "shared"


class BatchState(StrEnum):
    """Where a batch of codes stands; a stopped one never opens again."""

    MAKING = "making"
    OPEN = "open"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class BatchDraft:
    """A batch of codes as staff want it.

    Arguments:
        template_id: what a code gives.
        kind: unique codes or a shared word.
        size: how many codes; of a shared word, how many claims in all, None for no limit but the template's.
        word: the shared word as members type it.
        per_member: most claims of one member from this batch.
        claim_from, claim_until: the window, either end open.
        note: for staff.
    """

    template_id: UUID
    kind: BatchKind
    size: int | None
    word: str = ""
    per_member: int | None = 1
    claim_from: datetime | None = None
    claim_until: datetime | None = None
    note: str = ""


def normalised_code(text: str) -> str | None:
    """Return what a typed code means: width, case, blanks, hyphens and look-alike letters make no difference. None for no code at all."""
    plain = unicodedata.normalize("NFKC", text).upper()
    kept = "".join(each for each in plain if not each.isspace() and each not in "-_·.—–").translate(_LOOK_ALIKES)
    return kept if MIN_WORD <= len(kept) <= MAX_WORD and kept.isalnum() else None


def code_at(seed: bytes, line: int) -> str:
    """Return one code of a batch: unguessable without the seed, and the same each time, so a batch goes on where it broke off."""
    number = int.from_bytes(hmac.digest(seed, line.to_bytes(8, "big"), hashlib.sha256)[:16], "big")
    letters = []
    for _ in range(CODE_CHARS):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(letters)


def shown_code(code: str) -> str:
    """Return a code in groups of four, as it is printed."""
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def problems(draft: BatchDraft) -> dict[str, str]:
    """Return what is wrong with a draft: field → English msgid."""
    wrong: dict[str, str] = {}
    if draft.kind == BatchKind.UNIQUE and (draft.size is None or not 1 <= draft.size <= MAX_CODES):
        wrong["size"] = N_("From 1 to 1,000,000 codes.")
    if draft.kind == BatchKind.SHARED and draft.size is not None and draft.size < 1:
        wrong["size"] = N_("At least one claim.")
    if draft.kind == BatchKind.SHARED and normalised_code(draft.word) is None:
        wrong["word"] = N_("3 to 32 letters and digits.")
    if draft.per_member is not None and draft.per_member < 1:
        wrong["per_member"] = N_("At least one claim.")
    if draft.claim_from is not None and draft.claim_until is not None and draft.claim_from >= draft.claim_until:
        wrong["claim_until"] = N_("The window has to end after it begins.")
    if len(draft.note) > _MAX_NOTE:
        wrong["note"] = N_("At most 300 characters.")
    return wrong
