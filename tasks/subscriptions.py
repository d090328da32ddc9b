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
    "members.profile_completed": (
        Subscription("tiers.profile_growth", "tasks.jobs.tiers:on_profile_completed"),
        Subscription("points.profile", "tasks.jobs.points:on_profile_completed"),
    ),
    "members.enrolled": (
        Subscription("cards.issue", "tasks.jobs.cards:on_member_enrolled"),
        Subscription("points.sign_up", "tasks.jobs.points:on_member_enrolled"),
        Subscription("triggers.welcome", "tasks.jobs.triggers:on_member_enrolled"),
    ),
    "members.deletion_requested": (Subscription("notifications.deletion_requested", "tasks.jobs.privacy:on_deletion_requested"),),
    "members.email_code_asked": (Subscription("channels.email_code", "tasks.jobs.channels:send_email_codes", queue=MESSAGES, bulk=True),),
    "points.accrued": (
        Subscription("notifications.points_accrued", "tasks.jobs.notifications:on_points_accrued"),
        Subscription("tiers.check_in_growth", "tasks.jobs.tiers:on_points_accrued"),
    ),
    "points.dry_run_asked": (Subscription("points.dry_run", "tasks.jobs.rule_lab:on_dry_run_asked", queue=SCHEDULE, alone=True),),
    "points.expiring": (Subscription("notifications.points_expiring", "tasks.jobs.points_messages:on_points_expiring"),),
    "points.opening_approved": (Subscription("points.take_in_opening", "tasks.jobs.opening:take_in", alone=True),),
    "coupons.codes_wanted": (Subscription("coupons.make_codes", "tasks.jobs.coupons:on_codes_wanted", queue=SCHEDULE, alone=True),),
    "coupons.issue_wanted": (Subscription("coupons.issue_file", "tasks.jobs.coupons:on_issue_wanted", queue=SCHEDULE, alone=True),),
    "coupons.recall_wanted": (Subscription("coupons.recall_file", "tasks.jobs.coupons:on_recall_wanted", queue=SCHEDULE, alone=True),),
    "coupons.recalled": (Subscription("notifications.coupon_recalled", "tasks.jobs.notifications:on_coupon_recalled"),),
    "coupons.gift_ended": (Subscription("notifications.coupon_gift_ended", "tasks.jobs.notifications:on_coupon_gift_ended"),),
    "coupons.expiring": (Subscription("notifications.coupon_expiring", "tasks.jobs.notifications:on_coupon_expiring"),),
    "orders.paid": (
        Subscription("tiers.paid_growth", "tasks.jobs.tiers:on_order_changed"),
        Subscription("points.first_order_paid", "tasks.jobs.points:on_order_changed"),
        Subscription("triggers.order_paid", "tasks.jobs.triggers:on_order_changed"),
    ),
    "orders.cancelled": (
        Subscription("tiers.cancelled_growth", "tasks.jobs.tiers:on_order_changed"),
        Subscription("points.first_order_cancelled", "tasks.jobs.points:on_order_changed"),
        Subscription("triggers.order_cancelled", "tasks.jobs.triggers:on_order_changed"),
    ),
    "orders.attached": (
        Subscription("tiers.attached_growth", "tasks.jobs.tiers:on_order_changed"),
        Subscription("points.first_order_attached", "tasks.jobs.points:on_order_changed"),
        Subscription("triggers.order_attached", "tasks.jobs.triggers:on_order_changed"),
    ),
    "orders.refunded": (
        Subscription("tiers.refunded_growth", "tasks.jobs.tiers:on_order_changed"),
        Subscription("points.first_order_refunded", "tasks.jobs.points:on_order_changed"),
        Subscription("triggers.order_refunded", "tasks.jobs.triggers:on_order_changed"),
    ),
    "orders.shipped": (
        Subscription("notifications.order_shipped", "tasks.jobs.notifications:on_order_shipped"),
        Subscription("orders.follow_parcel", "tasks.jobs.orders:follow_parcel", alone=True),
    ),
    "rewards.placed": (Subscription("notifications.reward_placed", "tasks.jobs.notifications:on_reward_placed"),),
    "rewards.shipped": (Subscription("notifications.reward_shipped", "tasks.jobs.notifications:on_reward_shipped"),),
    "rewards.cancelled": (Subscription("notifications.reward_cancelled", "tasks.jobs.notifications:on_reward_cancelled"),),
    "feedback.ticket_answered": (Subscription("notifications.ticket_answered", "tasks.jobs.notifications:on_ticket_answered"),),
    "feedback.ticket_rated": (
        Subscription("tiers.rating_growth", "tasks.jobs.tiers:on_ticket_rated"),
        Subscription("points.rating", "tasks.jobs.points:on_ticket_rated"),
    ),
    "screening.check_wanted": (Subscription("screening.ask", "tasks.jobs.screening:ask_wanted", queue=MESSAGES, bulk=True),),
    "screening.content_refused": (Subscription("notifications.content_refused", "tasks.jobs.screening:on_content_refused"),),
    "wechat.media_checked": (Subscription("screening.media_checked", "tasks.jobs.screening:on_media_checked"),),
    "tiers.changed": (
        Subscription("tiers.gift", "tasks.jobs.tiers:on_tier_changed"),
        Subscription("triggers.tier_up", "tasks.jobs.triggers:on_tier_changed"),
        Subscription("notifications.tier_changed", "tasks.jobs.tier_messages:on_tier_changed"),
    ),
    "tiers.at_risk": (Subscription("notifications.tier_at_risk", "tasks.jobs.tier_messages:on_tier_at_risk"),),
    "notifications.due": (Subscription("notifications.drain", "tasks.jobs.sending:drain", queue=MESSAGES, alone=True),),
    "wechat.data_withdrawn": (Subscription("privacy.data_withdrawn", "tasks.jobs.wechat:on_data_withdrawn"),),
    "notifications.queued": (Subscription("notifications.send", "tasks.jobs.sending:send_queued", queue=MESSAGES, bulk=True),),
}

# Topics nobody listens to inside the product, and why they are told all the same.
UNHEARD: dict[str, str] = {
    "members.phone_bound": "the merge it may bring is done in the same transaction",
    "members.merged": "every domain moves its rows in the merge's own transaction",
    "members.erased": "every domain forgets in the deletion's own transaction",
    "points.redeemed": "part of the record of events",
    "points.reversed": "part of the record of events",
    "points.expired": "part of the record of events",
    "coupons.issued": "the member's wallet shows it at once",
    "coupons.redeemed": "the order's flow redeems in its own transaction",
    "coupons.returned": "as above",
    "coupons.voided": "part of the record of events",
    "orders.taken_in": "points and coupons of an order are settled in the intake's transaction",
    "orders.delivered": "as above",
    "orders.completed": "as above",
    "rewards.handed_over": "the member stands at the counter",
    "feedback.ticket_opened": "the service desk's queue shows it at once",
    "feedback.ticket_closed": "part of the record of events",
    "wechat.trade_event": "the push is stored; shipping is not uploaded yet",
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
