"""The growth rule by versions: a draft is edited, looked at, and published with a reason. What was published is never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import SystemActor
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.tiers import accounts, qualifying
from server.tiers.errors import GrowthDraftChangedError, GrowthDraftMissingError, TierReasonRequiredError
from server.tiers.models import GrowthRule
from server.tiers.qualifying import Formula

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


def save_draft(session: Session, formula: Formula, *, edits: int | None, actor: Actor, now: datetime) -> int:
    """Write the draft of the next version, or change it.

    Arguments:
        session: of an open transaction.
        formula: the whole of it.
        edits: how often the draft had been changed when the writer saw it; None when there was none.
        actor: who writes it.
        now: present instant.

    Returns:
        The version it will be.

    Raises:
        GrowthRuleInvalidError: naming the wrong fields.
        GrowthDraftChangedError: somebody else began, changed or published the draft meanwhile.
    """
    qualifying.check(formula, [rung.code for rung in accounts.rungs(session)])
    draft = _draft(session)
    document = formula.document()
    if draft is None:
        if edits is not None:
            raise GrowthDraftChangedError
        version = int(session.scalar(sa.select(sa.func.max(GrowthRule.version))) or 0) + 1
        values = {
            "id": uuid7(),
            "version": version,
            "state": "draft",
            "draft_slot": 1,
            "document": document,
            "edits": 0,
            "reason": None,
            "updated_at": now,
            "updated_by": actor.ref[:80],
            "published_at": None,
        }
        if not insert_if_absent(session, GrowthRule, values):
            raise GrowthDraftChangedError
        before = None
    else:
        version, before = draft.version, draft.document
        same = sa.and_(GrowthRule.id == draft.id, GrowthRule.state == "draft", GrowthRule.edits == (-1 if edits is None else edits))
        values = {"document": document, "edits": GrowthRule.edits + 1, "updated_at": now, "updated_by": actor.ref[:80]}
        if update_where(session, sa.update(GrowthRule).where(same).values(**values)) == 0:
            raise GrowthDraftChangedError
    audit.record(
        session,
        actor=actor,
        action="growth_rule.draft",
        subject_type="growth_rule",
        subject_id=str(version),
        before=before,
        after=document,
        now=now,
    )
    return version


def publish(session: Session, *, edits: int, reason: str, actor: Actor, now: datetime) -> int:
    """Let the draft hold from now on. Members are looked at again by the job, bit by bit; growth earned stays what it is.

    Arguments:
        session: of an open transaction.
        edits: how often the draft had been changed when its publisher looked at it.
        reason: why, for the audit trail.
        actor: who publishes.
        now: present instant.

    Returns:
        The version.

    Raises:
        TierReasonRequiredError: an empty reason.
        GrowthDraftMissingError: there is no draft.
        GrowthDraftChangedError: it is not what the publisher saw.
        GrowthRuleInvalidError: the tiers have changed since it was written, and it no longer fits them.
    """
    if not reason.strip():
        raise TierReasonRequiredError(fields={"reason": TierReasonRequiredError.message})
    draft = _draft(session)
    if draft is None:
        raise GrowthDraftMissingError
    qualifying.check(Formula(**draft.document), [rung.code for rung in accounts.rungs(session)])
    before = accounts.current_rule(session)
    values = {"state": "published", "draft_slot": None, "reason": reason.strip()[:300], "published_at": now, "updated_by": actor.ref[:80]}
    same = sa.and_(GrowthRule.id == draft.id, GrowthRule.state == "draft", GrowthRule.edits == edits)
    if update_where(session, sa.update(GrowthRule).where(same).values(**values)) == 0:
        raise GrowthDraftChangedError
    audit.record(
        session,
        actor=actor,
        action="growth_rule.publish",
        subject_type="growth_rule",
        subject_id=str(draft.version),
        before=None if before is None else {"version": before.version, **before.formula.document()},
        after={"version": draft.version, **draft.document},
        reason=reason.strip(),
        now=now,
    )
    return draft.version


def drop_draft(session: Session, *, edits: int, actor: Actor, now: datetime) -> None:
    """Give a draft up; its number is not used again.

    Raises:
        GrowthDraftMissingError: there is no draft.
        GrowthDraftChangedError: it is not what was seen.
    """
    draft = _draft(session)
    if draft is None:
        raise GrowthDraftMissingError
    same = sa.and_(GrowthRule.id == draft.id, GrowthRule.state == "draft", GrowthRule.edits == edits)
    values = {"state": "dropped", "draft_slot": None, "updated_at": now, "updated_by": actor.ref[:80]}
    if update_where(session, sa.update(GrowthRule).where(same).values(**values)) == 0:
        raise GrowthDraftChangedError
    audit.record(
        session,
        actor=actor,
        action="growth_rule.drop",
        subject_type="growth_rule",
        subject_id=str(draft.version),
        before=draft.document,
        now=now,
    )


def ensure_default_rule(session: Session, *, actor: Actor | None = None, now: datetime) -> bool:
    """Publish a first rule for the tiers there are, unless one was written; return whether it was."""
    codes = {rung.code for rung in accounts.rungs(session)}
    if not codes or session.scalar(sa.select(sa.func.count()).select_from(GrowthRule)):
        return False
    formula = Formula()
    fitting = Formula(thresholds={code: growth for code, growth in formula.thresholds.items() if code in codes})
    who = actor or SystemActor("tiers")
    save_draft(session, fitting, edits=None, actor=who, now=now)
    publish(session, edits=0, reason="default", actor=who, now=now)
    return True


def _draft(session: Session) -> GrowthRule | None:
    return session.scalars(sa.select(GrowthRule).where(GrowthRule.draft_slot == 1).execution_options(populate_existing=True)).one_or_none()
