"""Writing templates: create, change, publish, pause. Coupons already issued keep their own terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.coupons.errors import (
    StockBelowIssuedError,
    TemplateCodeTakenError,
    TemplateInvalidError,
    TemplateNotFoundError,
    TemplateStateError,
)
from server.coupons.models import CouponTemplate
from server.coupons.rules.states import TEMPLATE_EDGES, TemplateState
from server.coupons.rules.terms import TemplateDraft, problems
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.rosters import queries as rosters

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


def create_template(session: Session, draft: TemplateDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a template; members see nothing of it until it is published.

    Returns:
        Its id.

    Raises:
        TemplateInvalidError: naming the fields that are wrong.
        TemplateCodeTakenError: the code belongs to another template.
    """
    _check(session, draft)
    if session.scalar(sa.select(CouponTemplate.id).where(CouponTemplate.code == draft.code)) is not None:
        raise TemplateCodeTakenError
    row = CouponTemplate(
        id=uuid7(),
        code=draft.code,
        state=TemplateState.DRAFT.value,
        version=1,
        issued=0,
        day=None,
        day_issued=0,
        budget_committed_fen=0,
        created_at=now,
        updated_at=now,
        **_columns(draft),
    )
    session.add(row)
    session.flush()
    audit.record(
        session, actor=actor, action="coupon_template.create", subject_type="coupon_template", subject_id=row.id, after=_facts(row), now=now
    )
    return row.id


def update(session: Session, template_id: UUID, draft: TemplateDraft, *, actor: Actor, now: datetime) -> None:
    """Change what coupons issued from now on promise, and how many there may be. The code stays.

    Raises:
        TemplateNotFoundError: there is none.
        TemplateInvalidError: naming the fields that are wrong, the code when it differs.
        StockBelowIssuedError: stock or budget below what has been issued.
    """
    row = _locked(session, template_id)
    if draft.code != row.code:
        raise TemplateInvalidError(fields={"code": N_("The code of a template never changes.")})
    _check(session, draft)
    limits = draft.limits
    if limits.stock is not None and limits.stock < row.issued:
        raise StockBelowIssuedError(fields={"stock": StockBelowIssuedError.message})
    if limits.budget_fen is not None and limits.budget_fen < row.budget_committed_fen:
        raise StockBelowIssuedError(fields={"budget_fen": StockBelowIssuedError.message})
    before = _facts(row)
    for name, value in _columns(draft).items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = now
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="coupon_template.update",
        subject_type="coupon_template",
        subject_id=row.id,
        before=before,
        after=_facts(row),
        now=now,
    )


def publish_template(session: Session, template_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Open a template: members may claim it and staff may issue it.

    Raises:
        TemplateNotFoundError: there is none.
        TemplateStateError: it is published already.
    """
    _move(session, template_id, "publish", actor=actor, now=now)


def pause(session: Session, template_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Stop claiming and issuing; coupons already issued stay redeemable.

    Raises:
        TemplateNotFoundError: there is none.
        TemplateStateError: it is not published.
    """
    _move(session, template_id, "pause", actor=actor, now=now)


def _move(session: Session, template_id: UUID, event: str, *, actor: Actor, now: datetime) -> None:
    row = _locked(session, template_id)
    sources, target = TEMPLATE_EDGES[event]
    if TemplateState(row.state) not in sources:
        raise TemplateStateError(state=row.state)
    before = row.state
    row.state = target.value
    row.version += 1
    row.updated_at = now
    session.flush()
    audit.record(
        session,
        actor=actor,
        action=f"coupon_template.{event}",
        subject_type="coupon_template",
        subject_id=row.id,
        before={"state": before},
        after={"state": row.state},
        now=now,
    )


def _locked(session: Session, template_id: UUID) -> CouponTemplate:
    row = session.scalar(
        sa.select(CouponTemplate).where(CouponTemplate.id == template_id).with_for_update().execution_options(populate_existing=True)
    )
    if row is None:
        raise TemplateNotFoundError
    return row


def _check(session: Session, draft: TemplateDraft) -> None:
    wrong = problems(draft)
    segments = draft.terms.scope.segments
    unknown = set(segments) - rosters.rosters(session, segments).keys() if segments else set()
    if unknown:
        wrong["segments"] = N_("There is no such segment.")
    if wrong:
        raise TemplateInvalidError(fields=wrong)


def _columns(draft: TemplateDraft) -> dict[str, Any]:
    limits, validity = draft.limits, draft.validity
    return {
        "name": draft.terms.name.strip(),
        "kind": draft.terms.kind.value,
        "terms": draft.terms.to_document(),
        "valid_from": validity.valid_from,
        "valid_until": validity.valid_until,
        "valid_days": validity.days,
        "starts_after_days": validity.starts_after_days,
        "stock": limits.stock,
        "daily_stock": limits.daily_stock,
        "budget_fen": limits.budget_fen,
        "per_member": limits.per_member,
        "per_member_daily": limits.per_member_daily,
        "claim_from": limits.claim_from,
        "claim_until": limits.claim_until,
        "claim_centre": draft.claim_centre,
    }


def _facts(row: CouponTemplate) -> dict[str, Any]:
    instants = {name: getattr(row, name) for name in ("valid_from", "valid_until", "claim_from", "claim_until")}
    numbers = ("valid_days", "starts_after_days", "stock", "daily_stock", "budget_fen", "per_member", "per_member_daily", "claim_centre")
    return {
        "code": row.code,
        "state": row.state,
        "terms": row.terms,
        **{name: value.isoformat() if value else None for name, value in instants.items()},
        **{name: getattr(row, name) for name in numbers},
    }
