"""Issuing to a file of up to 100,000 members: read and looked up first, then issued piece by piece by a job.

A row is issued under the source ``coupons.batch/file:<batch>:<line>``, in the transaction that moves the batch's line on: broken off, it
goes on at the next line, and no row gives a second coupon. The template's row is locked for a piece, so stock, budget and the members'
slots hold as for a claim.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.cards import queries as cards
from server.cards.rules import normalised_card_no
from server.coupons import events
from server.coupons.errors import IssueFileNotFoundError, IssueFileStateError, SegmentNotEligibleError
from server.coupons.models import Coupon, CouponIssueFile, CouponIssueRefusal, CouponIssueRow, CouponTemplate, CouponTransition
from server.coupons.queries import BATCH_NAMESPACE, TemplateView, find_template, template_view
from server.coupons.rules.issue_files import MAX_ROWS, Named, Room, RowRefusedError, columns_of, read_row
from server.coupons.rules.states import CouponState, TemplateState
from server.kernel.clock import business_date
from server.kernel.db import insert_rows, one_of, update_where, zone_of
from server.kernel.errors import InvalidError
from server.kernel.ids import random_code, uuid7
from server.kernel.outbox import OutboxEvent, publish
from server.kernel.text import N_
from server.members import bulk as members
from server.members.errors import PhoneInvalidError
from server.members.queries import resolve_many
from server.members.rules import normalised_phone
from server.rosters import queries as rosters
from server.transfers import service as transfers
from server.transfers.errors import SheetRefusedError
from server.transfers.sheets import open_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

TRANSFER_KIND = "coupons.issue"
_PIECE = 500
_CODE_CHARS = 14
_NOT_THERE = "no_such_member"


def stage(session: Session, template_id: UUID, path: Path, *, name: str, actor: Actor, now: datetime) -> UUID:
    """Read a file and find its members; nobody gets a coupon by it.

    Arguments:
        session: of an open transaction.
        template_id: what they are to get.
        path: a table (``.csv``, ``.csv.gz``, ``.xlsx``) with card numbers or phones, at most 100,000 rows.
        name: of the file.
        actor: who brings it.
        now: present instant.

    Raises:
        TemplateNotFoundError: no such template.
        SheetRefusedError: it is no plain table, or no column names members.
    """
    find_template(session, template_id)
    found: list[tuple[int, UUID]] = []
    refused: list[tuple[int, str, str]] = []
    seen: set[UUID] = set()
    with open_sheet(path, name=name, max_rows=MAX_ROWS) as sheet:
        try:
            columns = columns_of(sheet.header)
        except RowRefusedError as refusal:
            raise SheetRefusedError(name=name, reason="columns_missing", place=refusal.column) from refusal
        piece: list[tuple[int, Named]] = []
        for line, cells in sheet.rows():
            try:
                piece.append((line, read_row(cells, columns)))
            except RowRefusedError as refusal:
                refused.append((line, refusal.column, refusal.reason))
            if len(piece) == _PIECE:
                _look_up(session, piece, found, refused, seen)
                piece = []
        _look_up(session, piece, found, refused, seen)
        refused += [(fault.line, fault.column, fault.reason) for fault in sheet.faults]
    batch_id = uuid7()
    values: dict[str, Any] = {
        "id": batch_id,
        "template_id": template_id,
        "name": name[:191],
        "state": "staged",
        "members": len(found),
        "done_line": 0,
        "issued": 0,
        "refused": len(refused),
        "reason": None,
        "transfer_id": None,
        "created_at": now,
        "created_by": _name(actor),
        "actor_kind": actor.kind,
        "actor_ref": actor.ref[:64],
        "finished_at": None,
    }
    session.execute(sa.insert(CouponIssueFile), [values])
    insert_rows(session, CouponIssueRow, [{"file_id": batch_id, "line": line, "member_id": member_id} for line, member_id in found])
    _write_refusals(session, batch_id, refused)
    return batch_id


def start(session: Session, file_id: UUID, *, reason: str, actor: Actor, now: datetime) -> UUID:
    """Let a file be issued, once; return the transfer that shows how far it is.

    Raises:
        InvalidError: no reason.
        IssueFileNotFoundError: there is no such file.
        IssueFileStateError: it was started before, or names nobody.
    """
    why = reason.strip()[:300]
    if not why:
        raise InvalidError(fields={"reason": N_("Please give a reason.")})
    held = _locked(session, file_id)
    if held.state != "staged" or not held.members:
        raise IssueFileStateError
    transfer_id = transfers.start(session, kind=TRANSFER_KIND, name=held.name, actor=actor, total=held.members, now=now)
    values = {
        "state": "running",
        "reason": why,
        "transfer_id": transfer_id,
        "created_by": _name(actor),
        "actor_kind": actor.kind,
        "actor_ref": actor.ref[:64],
    }
    update_where(session, sa.update(CouponIssueFile).where(CouponIssueFile.id == file_id).values(**values))
    publish(
        session,
        events.ISSUE_WANTED,
        key=f"{events.ISSUE_WANTED}:{file_id}",
        aggregate_type="coupon_issue_file",
        aggregate_id=file_id,
        payload={"file_id": str(file_id)},
        now=now,
    )
    audit.record(
        session,
        actor=actor,
        action="coupon_issue.start",
        subject_type="coupon_issue_file",
        subject_id=file_id,
        after={"template_id": str(held.template_id), "members": held.members},
        reason=why,
        now=now,
    )
    return transfer_id


def issue_piece(session: Session, file_id: UUID, now: datetime, limit: int = _PIECE) -> int:
    """Issue to the next rows of a file; return how many were looked at, 0 when all are done.

    Two processes at once wait for one another: the file's row is the lock.

    Raises:
        IssueFileNotFoundError: there is no such file.
    """
    held = _locked(session, file_id)
    if held.state != "running":
        return 0
    statement = sa.select(CouponIssueRow.line, CouponIssueRow.member_id).where(
        CouponIssueRow.file_id == file_id, CouponIssueRow.line > held.done_line
    )
    rows = session.execute(statement.order_by(CouponIssueRow.line).limit(limit)).all()
    if not rows:
        transfers.finish(session, held.transfer_id, now=now)
        values: dict[str, Any] = {"state": "done", "finished_at": now}
    else:
        # Members before the template, as a merge goes.
        standing = resolve_many(session, {row.member_id for row in rows})
        refused = _give(session, held, [(row.line, standing.get(row.member_id)) for row in rows], now)
        _write_refusals(session, file_id, refused)
        issued = len(rows) - len(refused)
        transfers.advance(session, held.transfer_id, done=issued, errors=len(refused), now=now)
        values = {"done_line": rows[-1].line, "issued": held.issued + issued, "refused": held.refused + len(refused)}
    update_where(session, sa.update(CouponIssueFile).where(CouponIssueFile.id == file_id).values(**values))
    return len(rows)


def _give(session: Session, held: sa.Row[Any], rows: Sequence[tuple[int, UUID | None]], now: datetime) -> list[tuple[int, str, str]]:
    """Give one coupon for each row that may have one; return the others."""
    of = CouponTemplate
    row = session.scalars(sa.select(of).where(of.id == held.template_id).with_for_update().execution_options(populate_existing=True)).one()
    template, zone = template_view(row), zone_of(session)
    today = business_date(now, zone)
    begins, ends = template.draft.validity.window(now, zone)
    closed = "coupon_template_state" if template.state != TemplateState.PUBLISHED else "not_in_window" if ends <= now else None
    room = _room(session, template, row, [member for _, member in rows if member is not None], today)
    scope = template.draft.terms.scope
    invited = rosters.members_in(session, {member for _, member in rows if member is not None}, scope.segments)
    refused: list[tuple[int, str, str]] = []
    coupons: list[dict[str, Any]] = []
    terms = template.draft.terms.to_document()
    for line, member_id in rows:
        why = closed or (_NOT_THERE if member_id is None else room.refusal(member_id.bytes))
        if why is None and scope.segments and member_id not in invited:
            why = SegmentNotEligibleError.code
        if why is not None or member_id is None:
            refused.append((line, "", why or _NOT_THERE))
            continue
        coupons.append(
            {
                "id": uuid7(),
                "code": f"C{random_code(_CODE_CHARS)}",
                "template_id": template.id,
                "member_id": member_id,
                "slot": room.give(member_id.bytes),
                "state": CouponState.ISSUED.value,
                "version": 1,
                "terms": terms,
                "valid_from": begins,
                "valid_until": ends,
                "issued_at": now,
                "issued_day": today,
                "committed_fen": room.cost_fen,
                "source_namespace": BATCH_NAMESPACE,
                "source_key": f"file:{held.id.hex}:{line}",
            }
        )
    if coupons:
        update_where(
            session,
            sa.update(of)
            .where(of.id == template.id)
            .values(
                issued=row.issued + len(coupons),
                day_issued=(row.day_issued if row.day == today else 0) + len(coupons),
                day=today,
                budget_committed_fen=row.budget_committed_fen + len(coupons) * room.cost_fen,
            ),
        )
        insert_rows(session, Coupon, coupons)
        insert_rows(session, CouponTransition, [_transition(each, held, now) for each in coupons])
        insert_rows(session, OutboxEvent, [_news(each, now) for each in coupons])
    return refused


def _room(session: Session, template: TemplateView, row: CouponTemplate, wanted: Sequence[UUID], today: date) -> Room:
    limits = template.draft.limits
    room = Room(
        stock=template.left,
        today=None if limits.daily_stock is None else limits.daily_stock - (row.day_issued if row.day == today else 0),
        budget_fen=None if limits.budget_fen is None else limits.budget_fen - row.budget_committed_fen,
        cost_fen=(template.draft.terms.worst_case_fen() or 0) if limits.budget_fen is not None else 0,
        per_member=limits.per_member,
        per_member_daily=limits.per_member_daily,
        day=today,
    )
    if wanted and (limits.per_member is not None or limits.per_member_daily is not None):
        held = sa.select(Coupon.member_id, Coupon.slot, Coupon.issued_day).where(
            Coupon.template_id == template.id, one_of(session, Coupon.member_id, set(wanted))
        )
        for member_id, slot, day in session.execute(held):
            room.held.setdefault(member_id.bytes, []).append((slot, day))
    return room


def _look_up(
    session: Session,
    piece: Sequence[tuple[int, Named]],
    found: list[tuple[int, UUID]],
    refused: list[tuple[int, str, str]],
    seen: set[UUID],
) -> None:
    """Find the members of some rows; each member once in a file."""
    numbers = {named.who: normalised_card_no(named.who) for _, named in piece if named.kind == "card_no"}
    phones = {named.who: _phone(named.who) for _, named in piece if named.kind == "phone"}
    holders = cards.by_card_nos(session, set(numbers.values())) if numbers else {}
    callers = members.by_phones(session, {phone for phone in phones.values() if phone}) if phones else {}
    for line, named in piece:
        member_id = holders.get(numbers[named.who]) if named.kind == "card_no" else callers.get(phones[named.who] or "")
        if member_id is None:
            refused.append((line, named.kind, _NOT_THERE))
        elif member_id in seen:
            refused.append((line, named.kind, "repeated"))
        else:
            seen.add(member_id)
            found.append((line, member_id))


def _phone(text: str) -> str | None:
    try:
        return normalised_phone(text)
    except PhoneInvalidError:
        return None


def _write_refusals(session: Session, file_id: UUID, refused: Sequence[tuple[int, str, str]]) -> None:
    rows = [{"file_id": file_id, "line": line, "column_name": column[:40], "reason": why[:40]} for line, column, why in refused]
    insert_rows(session, CouponIssueRefusal, rows)


def _transition(coupon: dict[str, Any], held: sa.Row[Any], now: datetime) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "coupon_id": coupon["id"],
        "event": "issue",
        "from_state": None,
        "to_state": CouponState.ISSUED.value,
        "channel": None,
        "external_no": None,
        "refund_id": None,
        "discount_fen": None,
        "reason": held.reason,
        "actor_kind": held.actor_kind,
        "actor_ref": held.actor_ref,
        "occurred_at": now,
    }


def _news(coupon: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "key": f"{events.ISSUED}:{coupon['id']}:1",
        "topic": events.ISSUED,
        "aggregate_type": "coupon",
        "aggregate_id": coupon["id"],
        "version": 1,
        "payload": {"coupon_id": str(coupon["id"]), "member_id": str(coupon["member_id"])},
        "occurred_at": now,
        "expanded_at": None,
    }


def _locked(session: Session, file_id: UUID) -> sa.Row[Any]:
    table: Any = CouponIssueFile.__table__
    row = session.execute(sa.select(table).where(table.c.id == file_id).with_for_update()).one_or_none()
    if row is None:
        raise IssueFileNotFoundError
    return row


def _name(actor: Actor) -> str:
    return str(getattr(actor, "name", "") or actor.ref)[:120]
