"""Opening balances from an older system: read a file, find its members, ask a second person, take it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.cards import queries as cards
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.outbox import publish
from server.members import bulk as members
from server.members.errors import PhoneInvalidError
from server.members.rules import normalised_phone
from server.points import events, openings
from server.points import queries as points
from server.points.errors import OpeningEmptyError
from server.points.opening_rules import WHO, Balance, RowRefusedError, columns_of, read_balance
from server.points.openings import OpeningRow
from server.staff import approvals
from server.staff.approvals import Wanted
from server.transfers.errors import SheetRefusedError
from server.transfers.sheets import open_sheet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor, StaffActor
    from server.staff.approvals import ApprovalView

KIND = "points.opening"
MAX_ROWS = 100_000
# External ids without a channel of their own belong to the tills' system.
DEFAULT_CHANNEL = "pos"
_PIECE = 500


def stage(session: Session, path: Path, *, name: str, channel: str = DEFAULT_CHANNEL, actor: Actor, now: datetime) -> UUID:
    """Read a file of balances and keep what can be taken in; nobody gets points by it.

    Arguments:
        session: of an open transaction.
        path: a table (``.csv``, ``.csv.gz``, ``.xlsx``) of at most 100,000 rows.
        name: of the file.
        channel: of its external ids.
        actor: who brings it.
        now: present instant.

    Returns:
        The file's id, for ``openings.find``: what would be given, and what cannot be taken in and why.

    Raises:
        SheetRefusedError: it is no plain table, or no column names members or points.
    """
    faults: list[list[Any]] = []
    rows: list[OpeningRow] = []
    known, seen = 0, set[str]()  # seen: by what a row is known, of the rows before it
    today = business_date(now, zone_of(session))
    with open_sheet(path, name=name, max_rows=MAX_ROWS) as sheet:
        try:
            columns = columns_of(sheet.header)
        except RowRefusedError as refusal:
            raise SheetRefusedError(name=name, reason="columns_missing", place=refusal.column) from refusal
        piece: list[tuple[int, Balance]] = []
        for line, cells in sheet.rows():
            try:
                balance = read_balance(cells, columns, today)
            except RowRefusedError as refusal:
                faults.append([line, refusal.column, refusal.reason])
                continue
            piece.append((line, balance))
            if len(piece) == _PIECE:
                known += _resolve(session, piece, channel, seen, rows, faults)
                piece = []
        known += _resolve(session, piece, channel, seen, rows, faults)
        faults += [[fault.line, fault.column, fault.reason] for fault in sheet.faults]
    return openings.stage(session, name, rows, known=known, faults=sorted(faults), actor=actor, now=now)


def ask(session: Session, opening_id: UUID, *, reason: str, actor: Actor, now: datetime) -> UUID:
    """Ask a second person for a whole file; return the request's id.

    Raises:
        OpeningNotFoundError, OpeningEmptyError, ReasonMissingError.
    """
    view = openings.find(session, opening_id)
    if not view.balances:
        raise OpeningEmptyError
    payload = {"opening_id": str(view.id), "name": view.name, "balances": view.balances, "points": view.points, "digest": view.digest}
    wanted = Wanted(KIND, "points_opening", str(view.id), payload, f"{KIND}:{view.id}")
    approval_id = approvals.ask(session, wanted, reason=reason, actor=actor, now=now)
    openings.note_asked(session, opening_id, approval_id)
    return approval_id


def approved(session: Session, view: ApprovalView, *, actor: StaffActor, now: datetime) -> dict[str, Any]:
    """Let a file that a second person approved be taken in, piece by piece, by ``tasks.jobs.opening``."""
    opening_id = UUID(view.payload["opening_id"])
    transfer_id = openings.start(session, opening_id, digest=view.payload["digest"], actor=actor, now=now)
    publish(
        session,
        events.OPENING_APPROVED,
        key=f"{events.OPENING_APPROVED}:{opening_id}",
        aggregate_type="points_opening",
        aggregate_id=opening_id,
        payload={"opening_id": str(opening_id)},
        now=now,
    )
    return {"opening_id": str(opening_id), "transfer_id": str(transfer_id)}


def _resolve(
    session: Session,
    piece: Sequence[tuple[int, Balance]],
    channel: str,
    seen: set[str],
    rows: list[OpeningRow],
    faults: list[list[Any]],
) -> int:
    """Find the members of some rows, and what was given for the rows before; return how many were taken in before."""
    if not piece:
        return 0
    known = 0
    named = _members(session, [balance for _, balance in piece], channel)
    records = points.records_of(session, set(named.values()))
    whose = [named.get((balance.kind, balance.who)) for _, balance in piece]
    keys = [_keys(balance, records[who] if who else ()) for who, (_, balance) in zip(whose, piece, strict=True)]
    before = openings.taken_in(session, list({key for some in keys for key in some}))
    for (line, balance), member_id, wanted in zip(piece, whose, keys, strict=True):
        given = {key: before[key] for key in wanted if key in before}
        mine = [key for key in given if given[key].points == balance.points and member_id in {None, given[key].member_id}]
        key = next((key for key in mine if key not in seen), next(iter(mine or wanted), None))
        if key is None or (member_id is None and not given):
            faults.append([line, balance.kind, "no_such_member"])
        elif key in seen:
            faults.append([line, "id" if balance.own else balance.kind, "repeated"])
        elif mine:
            known += 1
        elif any(member_id not in {None, one.member_id} for one in given.values()):
            faults.append([line, "id", "taken_in_for_another_member"])
        elif given:
            faults.append([line, "points", "taken_in_with_other_points"])
        elif member_id is not None:
            rows.append(OpeningRow(line, key, member_id, balance.points, balance.expires_on, balance.note))
        if key is not None:
            seen.add(key)
    return known


def _keys(balance: Balance, records: Sequence[UUID]) -> list[str]:
    """Return by what a row may have been taken in; nothing when it has neither an id nor a member."""
    if balance.own:
        return [balance.own]
    return [balance.key_of(record) for record in records]


def _members(session: Session, balances: Sequence[Balance], channel: str) -> dict[tuple[str, str], UUID]:
    """Return whom the rows are about, by kind and text of the name."""
    by_kind = {kind: {balance.who for balance in balances if balance.kind == kind} for kind in WHO}
    named = {("card_no", who): found for who, found in cards.by_card_nos(session, by_kind["card_no"]).items()}
    named |= {("external_id", who): found for who, found in members.by_externals(session, channel, by_kind["external_id"]).items()}
    phones = {who: _phone(who) for who in by_kind["phone"]}
    holders = members.by_phones(session, {phone for phone in phones.values() if phone})
    return named | {("phone", who): holders[phone] for who, phone in phones.items() if phone in holders}


def _phone(text: str) -> str | None:
    try:
        return normalised_phone(text)
    except PhoneInvalidError:
        return None
