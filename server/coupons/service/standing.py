"""The member's standing that a coupon's scope asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.tiers import queries as tiers

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session


def tier_of(session: Session, member_id: UUID) -> str:
    """Return the code of the tier a member is in. Only asked for coupons that are for certain tiers."""
    return tiers.of_member(session, member_id).code
