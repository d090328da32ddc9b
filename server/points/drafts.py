"""Drafts of rules: saved, tried out in dry runs, and published with a reason. What was published is never changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.db import insert_if_absent, update_where
from server.kernel.errors import InvalidError
from server.points import rulebook
from server.points.errors import DraftChangedError, DraftMissingError, ReasonRequiredError
from server.points.models import PointsDryRun, PointsRuleDraft
from server.points.rulebook import RuleDraft

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft as it stands; ``edits`` is asked for by whoever publishes it."""

    code: str
    kind: str
    name: str
    document: dict[str, Any]
    enabled: bool
    valid_from: datetime | None
    valid_until: datetime | None
    edits: int
    saved_at: datetime
    saved_by: str

    @property
    def draft(self) -> RuleDraft:
        """Return the rule version to be."""
        return RuleDraft(self.code, self.kind, self.name, self.document, self.enabled, self.valid_from, self.valid_until)


_COLUMNS = tuple(getattr(PointsRuleDraft, name) for name in DraftView.__slots__)


def save(session: Session, draft: RuleDraft, *, actor: Actor, now: datetime) -> None:
    """Save the draft of a rule's next version, in place of the one there is.

    Raises:
        RuleInvalidError: a document that makes no sense.
        InvalidError: a bad code, name or window, or another kind than the rule has.
    """
    rulebook.check(session, draft)
    values = {
        "kind": draft.kind,
        "name": draft.name.strip(),
        "document": draft.document,
        "enabled": draft.enabled,
        "valid_from": draft.valid_from,
        "valid_until": draft.valid_until,
        "saved_at": now,
        "saved_by": actor.ref[:80],
    }
    if not insert_if_absent(session, PointsRuleDraft, {"code": draft.code, "edits": 1, **values}):
        if draft.is_first:
            raise InvalidError(fields={"code": rulebook.CODE_TAKEN})
        statement = sa.update(PointsRuleDraft).where(PointsRuleDraft.code == draft.code)
        update_where(session, statement.values(**values, edits=PointsRuleDraft.edits + 1))
    after = {"code": draft.code, "document": draft.document, "enabled": draft.enabled}
    audit.record(
        session, actor=actor, action="points_rule.draft", subject_type="points_rule_draft", subject_id=draft.code, after=after, now=now
    )


def drop(session: Session, code: str, *, edits: int, actor: Actor, now: datetime) -> None:
    """Give a draft up.

    Raises:
        DraftMissingError: there is none.
        DraftChangedError: somebody else changed it meanwhile.
    """
    view = _taken(session, code, edits)
    before = {"document": view.document}
    audit.record(session, actor=actor, action="points_rule.drop", subject_type="points_rule_draft", subject_id=code, before=before, now=now)


def publish(session: Session, code: str, *, edits: int, reason: str, actor: Actor, now: datetime) -> UUID:
    """Let a draft hold from now on; the version points to the newest dry run that was made of this very draft.

    Arguments:
        session: of an open transaction.
        code: of the rule.
        edits: how often the draft had been changed when its publisher looked at it.
        reason: why, for the record.
        actor: who publishes.
        now: present instant.

    Returns:
        The version's id.

    Raises:
        ReasonRequiredError: an empty reason.
        DraftMissingError: there is no draft.
        DraftChangedError: somebody else changed it meanwhile.
        RuleInvalidError: it makes no sense any more.
    """
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": ReasonRequiredError.message})
    view = _taken(session, code, edits)
    draft = replace(view.draft, reason=reason, dry_run_id=_run_of(session, view))
    return rulebook.save_rule(session, draft, actor=actor, now=now)


def all_drafts(session: Session) -> list[DraftView]:
    """Return the drafts there are, by code."""
    return [DraftView(*row) for row in session.execute(sa.select(*_COLUMNS).order_by(PointsRuleDraft.code))]


def find(session: Session, code: str) -> DraftView | None:
    """Return the draft of a rule, or None."""
    row = session.execute(sa.select(*_COLUMNS).where(PointsRuleDraft.code == code)).one_or_none()
    return None if row is None else DraftView(*row)


def _taken(session: Session, code: str, edits: int) -> DraftView:
    """Remove a draft that nobody else changed, and return it."""
    row = session.execute(sa.select(*_COLUMNS).where(PointsRuleDraft.code == code).with_for_update()).one_or_none()
    if row is None:
        raise DraftMissingError
    view = DraftView(*row)
    if view.edits != edits:
        raise DraftChangedError
    session.execute(sa.delete(PointsRuleDraft).where(PointsRuleDraft.code == code))
    return view


def _run_of(session: Session, view: DraftView) -> UUID | None:
    recent = session.execute(
        sa.select(PointsDryRun.id, PointsDryRun.drafts)
        .where(PointsDryRun.state == "done", PointsDryRun.asked_at >= view.saved_at)
        .order_by(PointsDryRun.asked_at.desc(), PointsDryRun.id.desc())
        .limit(20)
    )
    wanted = (view.code, view.edits)
    return next((row.id for row in recent if wanted in {(draft["code"], draft["edits"]) for draft in row.drafts}), None)
