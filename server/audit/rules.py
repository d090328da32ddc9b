"""How an entry is hashed into the chain. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Sealable:
    """Everything of an entry that the seal vouches for."""

    id: str
    occurred_at: datetime
    actor_kind: str
    actor_ref: str
    actor_name: str
    address: str | None
    action: str
    subject_type: str
    subject_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None


def seal_hash(sequence: int, previous_hash: str, entry: Sealable) -> str:
    """Return the hash that puts an entry at one place of the chain.

    Arguments:
        sequence: its place, from 1.
        previous_hash: of the entry before it; ``GENESIS`` for the first.
        entry: what is sealed.

    Returns:
        Lower-hex SHA-256 of the canonical JSON of all of it.
    """
    document = {
        "sequence": sequence,
        "previous": previous_hash,
        "id": entry.id,
        "occurred_at": entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": [entry.actor_kind, entry.actor_ref, entry.actor_name, entry.address],
        "action": entry.action,
        "subject": [entry.subject_type, entry.subject_id],
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(document: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a document as it will come back from the database: ids, dates and amounts as text, keys as text."""
    if document is None:
        return None
    restored: dict[str, Any] = json.loads(json.dumps(document, ensure_ascii=False, default=_as_text, sort_keys=True))
    return restored


def _as_text(value: object) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(str(item) for item in value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
