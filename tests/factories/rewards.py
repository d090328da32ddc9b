"""Rewards and redemptions, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.kernel.actors import MemberActor, PartnerActor, StaffActor, SystemActor
from server.kernel.ids import uuid7
from server.rewards import service
from server.rewards.queries import RedemptionView
from server.rewards.rules.terms import Kind, RewardDraft
from server.rewards.service import ReceiverDraft

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SYSTEM = SystemActor("test")
STAFF = StaffActor(uuid7(), "Li Na")
TILL = PartnerActor(uuid7(), "Till")
HOME = ReceiverDraft("王小明", "13800138000", "上海市静安区南京西路 1 号")
_numbers = count(1)


def a_draft(**changes: Any) -> RewardDraft:
    """Return a thermos for 100 points, or what it becomes with changes."""
    draft = RewardDraft(code=f"r{next(_numbers)}-{uuid7().hex[-8:]}", kind=Kind.GOODS, name="保温杯", points=100)
    return replace(draft, **changes)


def a_reward(session: Session, *, now: datetime, published: bool = True, **changes: Any) -> UUID:
    """Create a reward and publish it."""
    reward_id = service.create_reward(session, a_draft(**changes), actor=STAFF, now=now)
    if published:
        service.publish_reward(session, reward_id, actor=STAFF, now=now)
    return reward_id


def a_redemption(session: Session, member_id: UUID, reward_id: UUID, *, now: datetime, **more: Any) -> RedemptionView:
    """Redeem as the member does, goods to their home."""
    values = {"receiver": HOME, "actor": MemberActor(member_id), "now": now} | more
    return service.redeem(session, member_id, reward_id, **values)
