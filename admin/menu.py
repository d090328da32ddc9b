"""The menu, declared: groups in order; each view says which group it belongs to. What may not be read is not shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import request

from admin.base import ConsoleView
from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUPS: tuple[tuple[str, str], ...] = (
    ("workbench", ""),
    ("members", N_("Members")),
    ("benefits", N_("Points & benefits")),
    ("trade", N_("Orders & fulfilment")),
    ("service", N_("Customer service")),
    ("reach", N_("Messages")),
    ("data", N_("Reports")),
    ("catalogue", N_("Catalogue")),
    ("system", N_("System")),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu."""

    title: str
    url: str
    icon: str
    current: bool


@dataclass(slots=True)
class Group:
    """A group and its lines."""

    code: str
    title: str
    items: list[Item] = field(default_factory=list)


def build_menu(views: Iterable[ConsoleView]) -> list[Group]:
    """Return the groups with the lines that who is signed in may open; empty groups are left out."""
    groups = {code: Group(code, title) for code, title in GROUPS}
    for view in sorted(views, key=lambda one: (one.order, one.slug)):
        if view.group in groups and view.allows():
            current = request.blueprint == view.endpoint
            groups[view.group].items.append(Item(view.title, view.url_to("index"), view.icon, current))
    return [group for group in groups.values() if group.items]


def group_title(view: object) -> str:
    """Return the title of a view's group, for the breadcrumb; empty for none."""
    return dict(GROUPS).get(getattr(view, "group", ""), "")
