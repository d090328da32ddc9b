"""The rulebook: versions of earning rules and of the brand's policies. A change is a new version, never an edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.points import queries
from server.points.models import PointsRule, PointsSettings
from server.points.rules import CHECK_IN, PER_AMOUNT, DebtPolicy, PolicySettings, RuleRef, read_expiry, read_rule

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_MAX_REOPEN_DAYS = 3650
CODE_TAKEN = N_("Another rule has this code.")

DEFAULT_RULES = (
    ("purchase", PER_AMOUNT, N_("Purchase points"), {"fen_per_point": 100, "expiry": {"kind": "year_end", "count": 1}}),
    (
        "check-in",
        CHECK_IN,
        N_("Daily check-in"),
        {"points": 2, "streak_bonus": {"7": 10, "30": 50}, "cycle_days": 30, "expiry": {"kind": "days", "count": 365}},
    ),
)


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """A rule version to be.

    Arguments:
        code: names the rule through all its versions.
        kind: ``per_amount``, ``multiplier``, ``event`` or ``check_in``.
        name: shown to staff and members.
        document: the rule's values, see ``rules.read_rule`` and ``rules.read_expiry``.
        enabled: False switches the rule off from this version on.
        valid_from, valid_until: the window it holds in; None for open.
        reason: why it is published, for the record.
        dry_run_id: the dry run that was made for it, if any.
        is_first: refused when the code has a version, or a draft, already: whoever writes a new rule means no other one.
    """

    code: str
    kind: str
    name: str
    document: dict[str, Any]
    enabled: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    reason: str | None = None
    dry_run_id: UUID | None = None
    is_first: bool = False


def save_rule(session: Session, draft: RuleDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a new version of a rule, the first if the code is new.

    Raises:
        RuleInvalidError: a document that makes no sense.
        InvalidError: a bad code, name or window, or another kind than the rule has.
    """
    last = check(session, draft)
    rule_id = uuid7()
    version = last.version + 1 if last else 1
    session.execute(
        sa.insert(PointsRule).values(
            id=rule_id,
            code=draft.code,
            version=version,
            kind=draft.kind,
            name=draft.name.strip(),
            document=draft.document,
            enabled=draft.enabled,
            valid_from=draft.valid_from,
            valid_until=draft.valid_until,
            created_at=now,
            created_by=actor.ref[:80],
            reason=(draft.reason or "").strip()[:300] or None,
            dry_run_id=draft.dry_run_id,
        )
    )
    audit.record(
        session,
        actor=actor,
        action="points_rule.save",
        subject_type="points_rule",
        subject_id=rule_id,
        before={"version": last.version, "document": last.document, "enabled": last.enabled} if last else None,
        after={"code": draft.code, "version": version, "document": draft.document, "enabled": draft.enabled},
        reason=(draft.reason or "").strip() or None,
        now=now,
    )
    return rule_id


def check(session: Session, draft: RuleDraft) -> Any:
    """Look whether a draft can be a version of its rule; return the newest version there is, or None.

    Raises:
        RuleInvalidError: a document that makes no sense.
        InvalidError: a bad code, name or window, or another kind than the rule has.
    """
    fields = {}
    if not draft.code or len(draft.code) > 40 or not draft.code.replace("-", "").replace("_", "").isalnum():  # noqa: PLR2004 - column
        fields["code"] = "a-z 0-9 - _"
    if not draft.name.strip() or len(draft.name) > 80:  # noqa: PLR2004 - column width
        fields["name"] = "1–80"
    if draft.valid_from and draft.valid_until and draft.valid_until <= draft.valid_from:
        fields["valid_until"] = "> valid_from"
    last = session.execute(
        sa.select(PointsRule.version, PointsRule.kind, PointsRule.document, PointsRule.enabled)
        .where(PointsRule.code == draft.code)
        .order_by(PointsRule.version.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and draft.is_first:
        fields["code"] = CODE_TAKEN
    elif last is not None and last.kind != draft.kind:
        fields["kind"] = last.kind
    if fields:
        raise InvalidError(fields=fields)
    read_rule(draft.kind, draft.document, RuleRef(uuid7(), draft.code, 1, read_expiry(draft.document)))
    return last


def ensure_default_rules(session: Session, *, actor: Actor, now: datetime) -> int:
    """Write the first version of each default rule whose code is not there; return how many."""
    known = set(session.scalars(sa.select(PointsRule.code)))
    missing = [rule for rule in DEFAULT_RULES if rule[0] not in known]
    for code, kind, name, document in missing:
        save_rule(session, RuleDraft(code, kind, name, document), actor=actor, now=now)
    return len(missing)


def change_settings(session: Session, settings: PolicySettings, *, actor: Actor, now: datetime) -> None:
    """Declare new policies from now on.

    Raises:
        InvalidError: reopening days outside 1–3650.
    """
    if not 1 <= settings.reopen_days <= _MAX_REOPEN_DAYS:
        raise InvalidError(fields={"reopen_days": f"1–{_MAX_REOPEN_DAYS}"})
    before = queries.settings(session)
    version = (session.scalar(sa.select(sa.func.max(PointsSettings.version))) or 0) + 1
    session.execute(
        sa.insert(PointsSettings).values(
            version=version,
            debt_policy=str(DebtPolicy(settings.debt_policy)),
            reopen_days=settings.reopen_days,
            created_at=now,
            created_by=actor.ref[:80],
        )
    )
    audit.record(
        session,
        actor=actor,
        action="points_settings.change",
        subject_type="points_settings",
        subject_id=str(version),
        before={"debt_policy": str(before.debt_policy), "reopen_days": before.reopen_days},
        after={"debt_policy": str(settings.debt_policy), "reopen_days": settings.reopen_days},
        now=now,
    )
