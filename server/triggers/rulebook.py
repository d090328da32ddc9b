"""Writing rules: a change is a new version, with its reason, and never an edit."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.coupons import queries as coupon_queries
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.rosters import queries as rosters
from server.tiers import queries as tiers
from server.triggers import queries
from server.triggers.errors import TriggerChangedError, TriggerInvalidError, TriggerNotFoundError
from server.triggers.models import CouponTriggerRule

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.triggers.queries import RuleView
    from server.triggers.rules import Terms, TriggerKind

CODE_TAKEN = N_("Another rule has this code.")
NO_REASON = N_("Please give a reason.")
NOT_PUBLISHED = N_("A coupon template that is not published cannot be given.")
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_NAME_CHARS, _REASON_CHARS = 80, 300


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """A version to be.

    Arguments:
        code: names the rule through all its versions.
        kind: stays the same through all of them.
        name: shown to staff, and to members as the reason of their coupon.
        terms: what it says.
        enabled: False pauses the rule from this version on.
        valid_from, valid_until: the window it holds in; None for open.
        reason: why, for the record.
        expected: the version it was made on; 0 for a rule that is new, None for whichever holds.
    """

    code: str
    kind: TriggerKind
    name: str
    terms: Terms
    reason: str
    enabled: bool = True
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    expected: int | None = None


def save_rule(session: Session, draft: RuleDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a new version of a rule, the first if the code is new.

    Returns:
        The version's id.

    Raises:
        TriggerInvalidError: something in it makes no sense, names a template that is not published, or a tier there is not.
        TriggerChangedError: another version holds than the one expected.
    """
    versions = queries.versions(session, code=draft.code)
    last = versions[0] if versions else None
    problems = _problems(session, draft, last)
    if problems:
        raise TriggerInvalidError(fields=problems)
    if last is not None and draft.expected not in {None, last.version}:
        raise TriggerChangedError
    rule_id = uuid7()
    document = draft.terms.document(draft.kind)
    session.execute(
        sa.insert(CouponTriggerRule).values(
            id=rule_id,
            code=draft.code,
            version=last.version + 1 if last else 1,
            kind=str(draft.kind),
            name=draft.name.strip(),
            document=document,
            enabled=draft.enabled,
            valid_from=draft.valid_from,
            valid_until=draft.valid_until,
            reason=draft.reason.strip(),
            created_at=now,
            created_by=actor.ref[:80],
        )
    )
    audit.record(
        session,
        actor=actor,
        action="coupon_trigger.save",
        subject_type="coupon_trigger",
        subject_id=rule_id,
        before=None
        if last is None
        else {"version": last.version, "name": last.name, "document": last.terms.document(last.kind), "enabled": last.enabled},
        after={
            "code": draft.code,
            "version": last.version + 1 if last else 1,
            "name": draft.name.strip(),
            "document": document,
            "enabled": draft.enabled,
            "valid_from": draft.valid_from.isoformat() if draft.valid_from else None,
            "valid_until": draft.valid_until.isoformat() if draft.valid_until else None,
        },
        reason=draft.reason.strip(),
        now=now,
    )
    return rule_id


def set_enabled(session: Session, code: str, *, enabled: bool, expected: int | None, reason: str, actor: Actor, now: datetime) -> UUID:
    """Pause a rule, or publish it again, as a new version that differs in nothing else.

    Arguments:
        session: of the caller's transaction.
        code: which rule.
        enabled: False pauses it, at once.
        expected: the version that was looked at; None for whichever holds.
        reason: why.
        actor: who does it.
        now: present instant.

    Raises:
        TriggerNotFoundError: there is no such rule.
        TriggerInvalidError: no reason, or a template of it is not published any more.
        TriggerChangedError: another version holds than the one looked at.
    """
    versions = queries.versions(session, code=code)
    if not versions:
        raise TriggerNotFoundError
    draft = replace(draft_of(versions[0]), enabled=enabled, reason=reason, expected=expected)
    return save_rule(session, draft, actor=actor, now=now)


def draft_of(view: RuleView) -> RuleDraft:
    """Return the draft that would write a version once more."""
    return RuleDraft(
        view.code, view.kind, view.name, view.terms, view.reason, view.enabled, view.valid_from, view.valid_until, expected=view.version
    )


def _problems(session: Session, draft: RuleDraft, last: RuleView | None) -> dict[str, str]:
    found = draft.terms.problems(draft.kind)
    if not _CODE.fullmatch(draft.code):
        found["code"] = "a-z 0-9 - _"
    elif last is not None and (draft.expected == 0 or last.kind is not draft.kind):
        found["code"] = CODE_TAKEN
    if not 1 <= len(draft.name.strip()) <= _NAME_CHARS:
        found["name"] = f"1–{_NAME_CHARS}"
    if not draft.reason.strip():
        found["reason"] = NO_REASON
    elif len(draft.reason.strip()) > _REASON_CHARS:
        found["reason"] = f"1–{_REASON_CHARS}"
    if draft.valid_from and draft.valid_until and draft.valid_until <= draft.valid_from:
        found["valid_until"] = "> valid_from"
    if draft.enabled and "coupons" not in found:
        templates = [coupon_queries.template_by_code(session, code) for code in draft.terms.coupons]
        if any(template is None or template.state != "published" for template in templates):
            found["coupons"] = NOT_PUBLISHED
    return found | _unknown(session, draft)


def _unknown(session: Session, draft: RuleDraft) -> dict[str, str]:
    """Return what a draft names that there is not."""
    found = {}
    if draft.terms.tiers and not set(draft.terms.tiers) <= {tier.code for tier in tiers.definitions(session)}:
        found["tiers"] = ", ".join(draft.terms.tiers)
    if draft.terms.segments and not set(draft.terms.segments) <= rosters.rosters(session, draft.terms.segments).keys():
        found["segments"] = ", ".join(draft.terms.segments)
    return found
