"""Who hears which news: topic → subscriptions. What happens after an accrual is read here.

A handler is named as ``module:function`` and loaded when it is first needed, so the relay, which only needs the names,
stays small; a test loads every one of them. A handler gets ``(session, event, core)`` and its effect commits together
with the delivery's ``done``; it reads the present state and depends on no order. One marked ``alone`` gets
``(core, event)``, opens transactions of its own and must be safe to run twice; one marked ``bulk`` likewise, and gets
``(core, events)`` with all that came in one job, for work that waits on somebody outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from tasks.queues import EVENTS, MESSAGES, SCHEDULE, WorkQueue


@dataclass(frozen=True, slots=True)
class Subscription:
    """One listener.

    Arguments:
        name: unique, stored with each delivery; never renamed, or deliveries under way lose their handler.
        handler: ``module:function``.
        queue: where its work waits.
        alone: the handler runs outside the delivery's transaction.
        bulk: so it does, with many events at once.
    """

    name: str
    handler: str
    queue: WorkQueue = EVENTS
    alone: bool = False
    bulk: bool = False

    def load(self) -> Callable[..., Any]:
        """Return the handler.

        Raises:
            ImportError: there is no such module.
            AttributeError: there is no such function in it.
        """
        return load_function(self.handler)


@cache
def load_function(name: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


SUBSCRIPTIONS: dict[str, tuple[Subscription, ...]] = {
    "schedule.due": (Subscription("schedule.run", "tasks.jobs.scheduled:run_due", queue=SCHEDULE, alone=True),),
    "members.enrolled": (Subscription("cards.issue", "tasks.jobs.cards:on_member_enrolled"),),
    "points.accrued": (Subscription("notifications.points_accrued", "tasks.jobs.notifications:on_points_accrued"),),
    "coupons.expiring": (Subscription("notifications.coupon_expiring", "tasks.jobs.notifications:on_coupon_expiring"),),
    "orders.shipped": (
        Subscription("notifications.order_shipped", "tasks.jobs.notifications:on_order_shipped"),
        Subscription("orders.follow_parcel", "tasks.jobs.orders:follow_parcel", alone=True),
    ),
    "feedback.ticket_answered": (Subscription("notifications.ticket_answered", "tasks.jobs.notifications:on_ticket_answered"),),
    "notifications.queued": (Subscription("notifications.send", "tasks.jobs.sending:send_queued", queue=MESSAGES, bulk=True),),
}

# Topics nobody listens to inside the product, and why they are told all the same.
UNHEARD: dict[str, str] = {
    "members.phone_bound": "the merge it may bring is done in the same transaction",
    "members.profile_completed": "part of the record of events; no reward is set for it",
    "members.merged": "every domain moves its rows in the merge's own transaction",
    "points.redeemed": "part of the record of events",
    "points.reversed": "part of the record of events",
    "points.expired": "part of the record of events",
    "coupons.issued": "the member's wallet shows it at once",
    "coupons.redeemed": "the order's flow redeems in its own transaction",
    "coupons.returned": "as above",
    "coupons.voided": "part of the record of events",
    "orders.taken_in": "points and coupons of an order are settled in the intake's transaction",
    "orders.paid": "as above",
    "orders.delivered": "as above",
    "orders.completed": "as above",
    "orders.refunded": "as above",
    "feedback.ticket_opened": "the service desk's queue shows it at once",
    "feedback.ticket_closed": "part of the record of events",
    "feedback.ticket_rated": "as above",
    "tiers.changed": "the home page and the card show it at once",
}


def by_name(table: Mapping[str, tuple[Subscription, ...]] | None = None) -> dict[str, Subscription]:
    """Return all subscriptions by name.

    Raises:
        ValueError: when two of them share one.
    """
    found: dict[str, Subscription] = {}
    for subscriptions in (SUBSCRIPTIONS if table is None else table).values():
        for subscription in subscriptions:
            if subscription.name in found:
                raise ValueError(f"two subscriptions are named {subscription.name}")
            found[subscription.name] = subscription
    return found
