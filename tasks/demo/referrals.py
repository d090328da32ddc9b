"""Invitations of the demonstration: friends who bought and were rewarded, some who have not yet, a loop, and a busy day held for staff."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.flows import referral
from server.members import queries as members
from server.referrals import queries, rules, service
from server.referrals.rules import ReferralPolicy

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_INVITERS, _FRIENDS = 5, 22
_DAILY_CAP = 3


def load(session: Session, demo: DemoContext) -> None:
    """Let the members who joined last have come by the codes of some who joined first."""
    if queries.counts(session):
        return
    service.change_policy(session, ReferralPolicy(daily_cap=_DAILY_CAP), actor=demo.actor, now=demo.now - timedelta(days=90))
    people = [view for one in demo.members if (view := members.require(session, one)).joined_via == "wechat" and view.status == "active"]
    inviters, friends = people[:_INVITERS], people[-2 * _FRIENDS :: 2]
    for inviter in inviters:
        service.ensure_code(session, inviter.id, now=inviter.joined_at)
    for place, friend in enumerate(friends):
        inviter = inviters[place % _INVITERS]
        code = queries.code_of(session, inviter.id) or ""
        # The last of them brought many friends on one day, which is for staff to look at.
        late = place >= _FRIENDS - _DAILY_CAP - 2
        at = demo.now - timedelta(hours=4) if late else friend.joined_at
        who = inviters[0] if late else inviter
        code = queries.code_of(session, who.id) or code
        service.bind(session, who.id, friend.id, code, rules.SAME_DEVICE if place == 1 else None, now=at)
    while referral.reward_due(session, demo.now):
        pass
