"""Who hears which news: topic → subscriptions. What happens after an accrual is read here.

A handler is named as ``module:function`` and loaded when it is first needed, so the relay, which only needs the names,
stays small; a test loads every one of them. A handler gets ``(session, event, core)`` and its effect commits together
with the delivery's ``done``; it reads the present state and depends on no order. One marked ``alone`` gets
``(core, event)``, opens transactions of its own and must be safe to run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from tasks.queues import EVENTS, SCHEDULE, WorkQueue


@dataclass(frozen=True, slots=True)
class Subscription:
    """One listener.

    Arguments:
        name: unique, stored with each delivery; never renamed, or deliveries under way lose their handler.
        handler: ``module:function``.
        queue: where its work waits.
        alone: the handler runs outside the delivery's transaction.
    """

    name: str
    handler: str
    queue: WorkQueue = EVENTS
    alone: bool = False

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
}

# Topics nobody listens to, and why they are told all the same.
UNHEARD: dict[str, str] = {}


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
