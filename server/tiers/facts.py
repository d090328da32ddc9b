"""Tiers and growth, as tables to choose members by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.tiers.models import GrowthAccount, MemberTier, Tier

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def held() -> sa.Subquery:
    """Return the code of the tier of each member who was given one; who has no row is in the lowest."""
    return sa.select(MemberTier.member_id, Tier.code).join(Tier, Tier.id == MemberTier.tier_id).subquery("tier_held")


def growth() -> sa.Subquery:
    """Return the growth of each member who has an account; who has none has none."""
    return sa.select(GrowthAccount.member_id, GrowthAccount.growth).subquery("growth_now")


def lowest_code(session: Session) -> str | None:
    """Return the code of the lowest tier; None while there are none."""
    return session.scalar(sa.select(Tier.code).order_by(Tier.rank).limit(1))
