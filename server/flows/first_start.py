"""The first start of a deployment: what the product needs before its first member and its first sale."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from server.kernel.actors import Actor
from server.notifications import queries as notifications
from server.points import service as points
from server.staff import queries as staff
from server.staff.permissions import Permission
from server.tiers import service as tiers


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What was made now, and what only people can do.

    Arguments:
        tiers: tiers defined by this call, each with its card face.
        rules: earning rules written by this call.
        staffed: somebody can open further staff accounts.
        templates: messages for which a WeChat template is chosen.
    """

    tiers: int
    rules: int
    staffed: bool
    templates: int


def prepare(session: Session, *, actor: Actor, now: datetime) -> FirstStart:
    """Define the default tiers and write the default earning rules where there are none. What is there stays as it is.

    Coupons and WeChat's message templates are the brand's own and have no default.

    Arguments:
        session: of an open transaction.
        actor: who starts the product.
        now: present instant.
    """
    # Tiers first: of two that start at once, the second waits here for the first and then finds its rules.
    made = tiers.ensure_default_tiers(session)
    rules = points.ensure_default_rules(session, actor=actor, now=now)
    chosen = [view for view in notifications.templates(session) if view.wechat_template_id]
    return FirstStart(made, rules, bool(staff.holders(session, Permission.STAFF_EDIT)), len(chosen))
