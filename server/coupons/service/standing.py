"""The member's standing that a coupon's scope asks for: their tier, and the segments they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.coupons.errors import SegmentNotEligibleError
from server.rosters import queries as rosters
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.coupons.rules.terms import Scope, Terms


def tier_of(session: Session, member_id: UUID) -> str:
    """Return the code of the tier a member is in. Only asked for coupons that are for certain tiers."""
    return tiers.of_member(session, member_id).code


def segments_of(session: Session, member_id: UUID, terms: Iterable[Terms]) -> frozenset[str]:
    """Return those segments that some terms ask for and the member is in, as of the last builds.

    Nothing is read for terms that ask for none.
    """
    return rosters.memberships(session, member_id, {code for each in terms for code in each.scope.segments})


def require_segment(session: Session, member_id: UUID, scope: Scope) -> None:
    """Refuse a member who is in none of the segments a coupon is for, as of their last builds.

    Raises:
        SegmentNotEligibleError: they are in none of them.
    """
    if scope.segments and not rosters.memberships(session, member_id, scope.segments):
        raise SegmentNotEligibleError
