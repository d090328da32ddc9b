"""Sessions of staff as a table: which browser, from where, when last used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask_babel import gettext

from admin.formats import Tag
from admin.listing import Column, RowAction, Table
from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from server.staff.queries import SessionView

# Order matters: Edge and Opera call themselves Chrome too, Chrome calls itself Safari, Android calls itself Linux.
_BROWSERS = (
    ("MicroMessenger", N_("WeChat")),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    (r"iPhone|iPad", "iOS"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X|Macintosh", "macOS"),
    ("Linux", "Linux"),
)
_THIS: dict[object, Tag] = {True: Tag(N_("This browser"), "blue"), False: Tag(N_("Signed in"), "green")}


def device_words(agent: str) -> str:
    """Return what a browser says it is, in a few words."""
    browser = next((gettext(name) for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if re.search(mark, agent)), "")
    return " · ".join(filter(None, (browser, system))) or gettext("Unknown device")


def session_table(
    live: Sequence[SessionView], actions: Callable[[SessionView], Sequence[RowAction]] | None, this: UUID | None = None
) -> Table:
    """Return the sessions of one account.

    Arguments:
        live: the sessions that count.
        actions: of each row.
        this: the session of the browser that asks.
    """
    return Table(
        [
            Column(N_("Device"), lambda row: device_words(row.device)),
            Column(N_("Address"), "address", "code"),
            Column(N_("Signed in at"), "began_at", "minute"),
            Column(N_("Last used"), "seen_at", "ago"),
            Column(N_("State"), lambda row: row.id == this, "tag", tags=_THIS),
        ],
        live,
        actions,
        empty=N_("Not signed in anywhere"),
    )
