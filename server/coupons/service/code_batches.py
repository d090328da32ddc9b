"""Batches of codes: made piece by piece, taken out as a file for a while, stopped.

The codes themselves are nowhere: each follows from the batch's seed and its line, and only keyed hashes of them are stored. The seed is
sealed, and erased when the file's time is over; from then on nobody can say a code again, and each still works.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.coupons import events
from server.coupons.errors import (
    CodeBatchInvalidError,
    CodeBatchNotFoundError,
    CodeBatchStoppedError,
    CodesGoneError,
    CodeWordTakenError,
)
from server.coupons.models import CouponCode, CouponCodeBatch
from server.coupons.queries import find_template
from server.coupons.rules.codes import BatchDraft, BatchKind, BatchState, code_at, normalised_code, problems, shown_code
from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_rows, update_where
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.kernel.text import N_
from server.transfers import service as transfers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

TRANSFER_KIND = "coupons.codes"
INDEX_KIND = "coupon_code"
FILE_DAYS = 7
# A download that broke off may be repeated so long; after that the file is gone.
AFTER_DOWNLOAD = timedelta(hours=1)
_SEED_BYTES = 32
_NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class CodesFile:
    """The codes of a batch, for as long as whoever asked for them holds this."""

    seed: bytes
    size: int

    def codes(self) -> Iterator[str]:
        """Yield the codes as they are printed, in the order they were made."""
        return (shown_code(code_at(self.seed, line)) for line in range(1, self.size + 1))


def make_batch(session: Session, draft: BatchDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a batch down. A shared word can be claimed at once; unique codes are made in the background.

    Returns:
        Its id.

    Raises:
        TemplateNotFoundError: no such template.
        CodeBatchInvalidError: naming the fields that are wrong.
        CodeWordTakenError: the word was given out before.
    """
    template = find_template(session, draft.template_id)
    wrong = problems(draft)
    if wrong:
        raise CodeBatchInvalidError(fields=wrong)
    batch_id = uuid7()
    unique = draft.kind == BatchKind.UNIQUE
    word = None if unique else normalised_code(draft.word)
    code_hash = vault_of(session).index(INDEX_KIND, word) if word else None
    if code_hash and session.scalar(sa.select(CouponCode.line).where(CouponCode.code_hash == code_hash)) is not None:
        raise CodeWordTakenError(fields={"word": CodeWordTakenError.message})
    seed = vault_of(session).seal(secrets.token_hex(_SEED_BYTES), _place(batch_id)) if unique else None
    transfer_id = None
    if unique:
        transfer_id = transfers.start(session, kind=TRANSFER_KIND, name=template.draft.code, actor=actor, total=draft.size, now=now)
    values: dict[str, Any] = {
        "id": batch_id,
        "template_id": draft.template_id,
        "kind": draft.kind.value,
        "state": (BatchState.MAKING if unique else BatchState.OPEN).value,
        "size": draft.size,
        "made": 0 if unique else 1,
        "claimed": 0,
        "word": word,
        "per_member": draft.per_member,
        "claim_from": draft.claim_from,
        "claim_until": draft.claim_until,
        "note": draft.note.strip(),
        "seed_sealed": seed,
        "file_until": None,
        "downloads": 0,
        "transfer_id": transfer_id,
        "created_at": now,
        "created_by": _name(actor),
        "stopped_at": None,
        "stopped_by": None,
        "stopped_why": None,
    }
    session.execute(sa.insert(CouponCodeBatch), [values])
    if code_hash:
        session.execute(sa.insert(CouponCode), [{"code_hash": code_hash, "batch_id": batch_id, "line": 1}])
    else:
        publish(
            session,
            events.CODES_WANTED,
            key=f"{events.CODES_WANTED}:{batch_id}",
            aggregate_type="coupon_code_batch",
            aggregate_id=batch_id,
            payload={"batch_id": str(batch_id)},
            now=now,
        )
    facts = {"template": template.draft.code, "kind": draft.kind.value, "size": draft.size, "per_member": draft.per_member}
    _audit(session, batch_id, "coupon_codes.make", facts, reason=draft.note.strip() or None, actor=actor, now=now)
    return batch_id


def make_codes(session: Session, batch_id: UUID, now: datetime, limit: int = 20_000) -> int:
    """Make the next codes of a batch; return how many, 0 when there is nothing left to make.

    Two processes at once wait for one another: the batch's row is the lock. Codes and their count commit together, so a run that was killed
    goes on at the next line.

    Raises:
        CodeBatchNotFoundError: there is no such batch.
    """
    batch = _locked(session, batch_id)
    if batch.state != BatchState.MAKING or batch.size is None or batch.seed_sealed is None or batch.transfer_id is None:
        return 0
    count: int = min(limit, batch.size - batch.made)
    seed, vault = _seed(session, batch), vault_of(session)
    lines = range(batch.made + 1, batch.made + count + 1)
    rows = [{"code_hash": vault.index(INDEX_KIND, code_at(seed, line)), "batch_id": batch_id, "line": line} for line in lines]
    insert_rows(session, CouponCode, rows)
    transfers.advance(session, batch.transfer_id, done=count, now=now)
    values: dict[str, Any] = {"made": batch.made + count}
    if batch.made + count == batch.size:
        transfers.finish(session, batch.transfer_id, now=now)
        values |= {"state": BatchState.OPEN.value, "file_until": now + timedelta(days=FILE_DAYS)}
    update_where(session, sa.update(CouponCodeBatch).where(CouponCodeBatch.id == batch_id).values(**values))
    return count


def stop_batch(session: Session, batch_id: UUID, *, reason: str, actor: Actor, now: datetime) -> None:
    """Let no code of a batch be claimed any more; coupons that were claimed stay.

    Raises:
        CodeBatchInvalidError: no reason.
        CodeBatchNotFoundError: there is no such batch.
        CodeBatchStoppedError: it was stopped before.
    """
    why = reason.strip()
    if not why:
        raise CodeBatchInvalidError(fields={"reason": N_("Please give a reason.")})
    batch = _locked(session, batch_id)
    if batch.state == BatchState.STOPPED:
        raise CodeBatchStoppedError
    if batch.state == BatchState.MAKING and batch.transfer_id is not None:
        transfers.fail(session, batch.transfer_id, failure="stopped", now=now)
    values = {
        "state": BatchState.STOPPED.value,
        "stopped_at": now,
        "stopped_by": _name(actor),
        "stopped_why": why[:300],
        "seed_sealed": None,
        "file_until": None,
    }
    update_where(session, sa.update(CouponCodeBatch).where(CouponCodeBatch.id == batch_id).values(**values))
    _audit(session, batch_id, "coupon_codes.stop", {"made": batch.made, "claimed": batch.claimed}, reason=why[:300], actor=actor, now=now)


def open_file(session: Session, batch_id: UUID, *, reason: str, actor: Actor, now: datetime) -> CodesFile:
    """Give the codes of a batch out, with who took them and why on record. From the first time on they can be had for one hour more.

    Raises:
        CodeBatchInvalidError: no reason.
        CodeBatchNotFoundError: there is no such batch.
        CodesGoneError: the codes are still being made, or the file's time is over.
    """
    if not reason.strip():
        raise CodeBatchInvalidError(fields={"reason": N_("Please give a reason.")})
    batch = _locked(session, batch_id)
    if batch.state != BatchState.OPEN or batch.seed_sealed is None or batch.file_until is None or batch.file_until <= now:
        raise CodesGoneError
    until = batch.file_until if batch.downloads else min(batch.file_until, now + AFTER_DOWNLOAD)
    values = {"downloads": batch.downloads + 1, "file_until": until}
    update_where(session, sa.update(CouponCodeBatch).where(CouponCodeBatch.id == batch_id).values(**values))
    _audit(session, batch_id, "coupon_codes.download", {"codes": batch.made}, reason=reason.strip()[:300], actor=actor, now=now)
    return CodesFile(_seed(session, batch), batch.made)


def forget_seeds(session: Session, now: datetime, limit: int = 500) -> int:
    """Erase the seeds of files whose time is over; return how many."""
    due = sa.select(CouponCodeBatch.id).where(CouponCodeBatch.file_until <= now).order_by(CouponCodeBatch.file_until).limit(limit)
    ids = session.scalars(due).all()
    if not ids:
        return 0
    return update_where(
        session, sa.update(CouponCodeBatch).where(CouponCodeBatch.id.in_(list(ids))).values(seed_sealed=None, file_until=None)
    )


def _locked(session: Session, batch_id: UUID) -> sa.Row[Any]:
    table: Any = CouponCodeBatch.__table__
    row = session.execute(sa.select(table).where(table.c.id == batch_id).with_for_update()).one_or_none()
    if row is None:
        raise CodeBatchNotFoundError
    return row


def _seed(session: Session, batch: sa.Row[Any]) -> bytes:
    return bytes.fromhex(vault_of(session).open(batch.seed_sealed, _place(batch.id)))


def _place(batch_id: UUID) -> Place:
    return Place("coupon_code_batches", "seed_sealed", batch_id)


def _name(actor: Actor) -> str:
    return str(getattr(actor, "name", "") or actor.ref)[:_NAME_CHARS]


def _audit(
    session: Session, batch_id: UUID, action: str, facts: dict[str, Any], *, reason: str | None, actor: Actor, now: datetime
) -> None:
    audit.record(
        session,
        actor=actor,
        action=action,
        subject_type="coupon_code_batch",
        subject_id=batch_id,
        after=facts,
        reason=reason,
        now=now,
    )
