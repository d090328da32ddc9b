"""Why each entry of a statement was made, in words: what its rule left as a trace, and what the books around it say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.db import one_of, zone_of
from server.points.models import PointsEntry, PointsLot, PointsReservation
from server.points.queries import rule_names
from server.points.rules import why_entry
from server.points.rules.sentence import Language
from server.points.rules.why_kinds import Background, why_kind

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class _Lot:
    reason: str
    unlock_at: datetime | None
    expires_at: datetime | None


def explain(
    session: Session,
    entry_ids: Collection[UUID],
    language: Language,
    translate: Callable[[str], str],
    *,
    for_staff: bool = False,
) -> dict[UUID, list[str]]:
    """Return entry → why it moved so many points, at least one sentence each. Five statements at the most, however many entries.

    Arguments:
        session: any.
        entry_ids: which.
        language: ``zh`` or ``en``.
        translate: gettext, for our own reasons and rules' names.
        for_staff: whether to tell who asked and who approved.
    """
    rows = _entries(session, list(entry_ids))
    names = {code: translate(name) for code, name in rule_names(session).items()}
    others = {row.id: row for row in _entries(session, [row.reverses_id for row in rows if row.reverses_id])}
    lots = _lots(session, _ids(rows, "lot_id"))
    held = _reserved_until(session, [row.id for row in rows if row.kind == "reserve"])
    told: dict[UUID, list[str]] = {}
    for row in rows:
        other, lot = others.get(row.reverses_id), lots.get(str((row.details or {}).get("lot_id")))
        ends_at = held.get(row.id)
        if lot is not None:
            ends_at = lot.unlock_at if row.kind == "unlock" else lot.expires_at
        about = Background(
            row.kind,
            row.points,
            translate(row.reason),
            row.source_namespace,
            row.details or {},
            translate(other.reason if other is not None else lot.reason if lot is not None else ""),
            other.points if other is not None else 0,
            ends_at,
        )
        trace = why_entry(row.details, language, names)
        by_rule = row.kind == "accrue" and bool(trace)
        told[row.id] = trace if by_rule else [*why_kind(about, language, zone_of(session), for_staff=for_staff), *trace]
    return told


def _entries(session: Session, entry_ids: Sequence[UUID]) -> Sequence[sa.Row[Any]]:
    if not entry_ids:
        return []
    names = ("id", "kind", "points", "reason", "source_namespace", "details", "reverses_id")
    columns: tuple[Any, ...] = tuple(getattr(PointsEntry, name) for name in names)
    return session.execute(sa.select(*columns).where(one_of(session, PointsEntry.id, list(entry_ids)))).all()


def _ids(rows: Sequence[sa.Row[Any]], name: str) -> list[UUID]:
    return [UUID(row.details[name]) for row in rows if (row.details or {}).get(name)]


def _lots(session: Session, lot_ids: Sequence[UUID]) -> dict[str, _Lot]:
    if not lot_ids:
        return {}
    columns: tuple[Any, ...] = (PointsLot.id, PointsEntry.reason, PointsLot.unlock_at, PointsLot.expires_at)
    statement = sa.select(*columns).join(PointsEntry, PointsEntry.id == PointsLot.entry_id)
    rows = session.execute(statement.where(one_of(session, PointsLot.id, list(lot_ids))))
    return {str(row[0]): _Lot(*row[1:]) for row in rows}


def _reserved_until(session: Session, entry_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    if not entry_ids:
        return {}
    of = PointsReservation
    rows = session.execute(sa.select(of.entry_id, of.expires_at).where(one_of(session, of.entry_id, list(entry_ids))))
    return {row.entry_id: row.expires_at for row in rows}
