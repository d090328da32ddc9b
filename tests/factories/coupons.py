"""Templates and coupons, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.coupons import service
from server.coupons.queries import CouponView
from server.coupons.rules.terms import Kind, Limits, Scope, TemplateDraft, Terms, Validity
from server.kernel.actors import PartnerActor, StaffActor, SystemActor
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.members import service as members

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SYSTEM = SystemActor("test")
STAFF = StaffActor(uuid7(), "Li Na")
TILL = PartnerActor(uuid7(), "Till")
_numbers = count(1)


def a_member(session: Session, *, now: datetime) -> UUID:
    """Enrol a member."""
    external = {"test": f"coupon-member-{next(_numbers)}-{uuid7().hex}"}
    return members.enrol_unclaimed(session, phone=None, external_ids=external, actor=SYSTEM, now=now)


def some_terms(**changes: Any) -> Terms:
    """Return 满100减20, or what it becomes with changes."""
    return replace(Terms(name="满100减20", kind=Kind.AMOUNT_OFF, amount_off_fen=2000, threshold_fen=10000), **changes)


def percent_terms(**changes: Any) -> Terms:
    """Return 八折, or what it becomes with changes."""
    return replace(Terms(name="八折券", kind=Kind.PERCENT_OFF, percent_off=20), **changes)


def a_draft(
    *, terms: Terms | None = None, validity: Validity | None = None, claim_centre: bool = True, code: str = "", **limits: Any
) -> TemplateDraft:
    """Return a draft that holds 30 days, its limits as given."""
    return TemplateDraft(
        code=code or f"t{next(_numbers)}-{uuid7().hex[-8:]}",
        terms=terms or some_terms(),
        validity=validity or Validity(days=30),
        limits=Limits(**limits),
        claim_centre=claim_centre,
    )


def a_template(session: Session, *, now: datetime, published: bool = True, **draft: Any) -> UUID:
    """Create a template and publish it."""
    template_id = service.create_template(session, a_draft(**draft), actor=STAFF, now=now)
    if published:
        service.publish_template(session, template_id, actor=STAFF, now=now)
    return template_id


def a_coupon(session: Session, member_id: UUID, *, now: datetime, **draft: Any) -> CouponView:
    """Issue a coupon of a new template to a member."""
    template_id = a_template(session, now=now, **draft)
    return service.issue(session, member_id, template_id, source=Source("test", f"coupon-{next(_numbers)}"), actor=STAFF, now=now)


__all__ = ["STAFF", "SYSTEM", "TILL", "Scope", "a_coupon", "a_draft", "a_member", "a_template", "percent_terms", "some_terms"]
