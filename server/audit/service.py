"""Writes entries, and seals them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit.models import AuditEntry, AuditHead, AuditPending, AuditSeal
from server.audit.queries import sealable_of
from server.audit.rules import GENESIS, plain, seal_hash
from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_CHAIN = "main"
_REASON_CHARS = 500


def record(
    session: Session,
    *,
    actor: Actor,
    action: str,
    subject_type: str,
    subject_id: UUID | str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str | None = None,
    now: datetime,
) -> UUID:
    """Write one entry in the transaction of the change it tells.

    Arguments:
        session: of that transaction.
        actor: who did it.
        action: ``noun.verb`` (``points.adjust``), at most 64 characters.
        subject_type: what kind of thing it was done to (``member``, ``coupon_template``…).
        subject_id: which one.
        before: the fields that changed, as they were; no personal data.
        after: the same fields as they are now; no personal data.
        reason: why, in the actor's own words; cut at 500 characters.
        now: when.

    Returns:
        The entry's id.
    """
    entry_id = uuid7()
    entry = AuditEntry(
        id=entry_id,
        occurred_at=now,
        actor_kind=actor.kind,
        actor_ref=actor.ref[:64],
        actor_name=str(getattr(actor, "name", "") or actor.ref)[:120],
        address=getattr(actor, "address", None),
        action=action,
        subject_type=subject_type,
        subject_id=str(subject_id)[:64],
        before=plain(before),
        after=plain(after),
        reason=reason[:_REASON_CHARS] if reason else None,
    )
    session.add_all([entry, AuditPending(entry_id=entry_id)])
    session.flush()
    return entry_id


def seal(session: Session, now: datetime, limit: int = 1000) -> int:
    """Chain the oldest entries that wait. A second sealer waits for the first and goes on behind it.

    Arguments:
        session: of a transaction.
        now: when they are sealed.
        limit: at most this many entries.

    Returns:
        How many were sealed; 0 when none waits.
    """
    insert_if_absent(session, AuditHead, {"name": _CHAIN, "sequence": 0, "hash": GENESIS, "updated_at": now})
    head = session.scalars(
        sa.select(AuditHead).where(AuditHead.name == _CHAIN).with_for_update().execution_options(populate_existing=True)
    ).one()
    entries = session.scalars(
        sa.select(AuditEntry)
        .join(AuditPending, AuditPending.entry_id == AuditEntry.id)
        .order_by(AuditEntry.occurred_at, AuditEntry.id)
        .limit(limit)
    ).all()
    if not entries:
        return 0
    sequence, last = head.sequence, head.hash
    seals = []
    for entry in entries:
        sequence += 1
        own = seal_hash(sequence, last, sealable_of(entry))
        seals.append({"sequence": sequence, "entry_id": entry.id, "previous_hash": last, "hash": own, "sealed_at": now})
        last = own
    session.execute(sa.insert(AuditSeal), seals)
    session.execute(sa.delete(AuditPending).where(AuditPending.entry_id.in_([entry.id for entry in entries])))
    head.sequence, head.hash, head.updated_at = sequence, last, now
    session.flush()
    return len(seals)


def write_anchor(session: Session, path: Path, *, now: datetime) -> bool:
    """Append the end of the chain to a file outside the database, unless it is the file's last line already.

    Call it in a transaction after the one that sealed, so that only what is committed is anchored.

    Arguments:
        session: only reads.
        path: the anchor file; best kept on another machine's disk or shipped away with the logs.
        now: when.

    Returns:
        True when a line was written.
    """
    head = session.get(AuditHead, _CHAIN)
    if head is None or head.sequence == 0:
        return False
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines and json.loads(lines[-1])["sequence"] == head.sequence:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"at": now.isoformat(), "sequence": head.sequence, "hash": head.hash})
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True
