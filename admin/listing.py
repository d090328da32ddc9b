"""Lists: a labelled search block, a dense table with text actions, and pages by key. Rendered by ``console/list.html``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from flask import render_template, request

from admin import formats
from admin.base import core, may
from admin.formats import Tag
from server.kernel.clock import start_of_day
from server.staff.permissions import Permission

Accessor = str | Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Arguments:
        label: English msgid.
        value: attribute (``"balance"``, ``"tier.name"``) or a function of the row.
        kind: ``text money points number instant minute date ago duration tag link masked code bar``; ``picture`` of an address.
        tags: for ``tag``: enum value → ``Tag``.
        href: for ``link``: gives the address of a row, or None for plain text.
        second: a second, grey line below the first; a column of its own in exports.
        second_label: English msgid, that column's heading.
        tip: English msgid that explains the column.
        permission: shown only to who holds it.
        icon: stands for a ``picture`` where there is none.
    """

    label: str
    value: Accessor
    kind: str = "text"
    tags: Mapping[Any, Tag] | None = None
    href: Callable[[Any], str | None] | None = None
    second: Accessor | None = None
    second_label: str = ""
    tip: str | None = None
    permission: Permission | None = None
    icon: str = "gift"

    @property
    def numeric(self) -> bool:
        """Tell whether the column is set flush right."""
        return self.kind in {"money", "points", "number"}

    def get(self, row: Any) -> Any:
        """Return the raw value of a row."""
        return _reach(row, self.value)

    def text(self, row: Any) -> str:
        """Return what is shown."""
        return formats.shown(self.get(row), self.kind)

    def tag(self, row: Any) -> Tag:
        """Return the tag shown."""
        return formats.tag_of(self.get(row), dict(self.tags or {}))

    def second_text(self, row: Any) -> str:
        """Return the second line, empty for none."""
        value = _reach(row, self.second) if self.second else None
        return "" if value in {None, ""} else formats.plain(value)

    def link(self, row: Any) -> str | None:
        """Return where a row's cell leads."""
        return self.href(row) if self.href else None


@dataclass(frozen=True, slots=True)
class RowAction:
    """Something to do with a row, or with a whole page, shown as text.

    Arguments:
        label: English msgid.
        href: address (of a page, or of an ``@action`` when ``post``).
        permission: shown only to who holds it.
        post: send it as a POST with a CSRF token.
        confirm: English msgid asked before.
        tone: ``""``, ``primary`` or ``danger``.
        icon: a symbol, for buttons of a page.
        reason: a POST that asks for a reason first; it comes as the form field ``reason``.
        download: the answer is a file, so the page stays and the button may be used again.
    """

    label: str
    href: str
    permission: Permission | None = None
    post: bool = False
    confirm: str | None = None
    tone: str = ""
    icon: str | None = None
    reason: bool = False
    download: bool = False

    @property
    def allowed(self) -> bool:
        """Tell whether it is shown to who is signed in."""
        return may(self.permission)


Button = RowAction


@dataclass(frozen=True, slots=True)
class Filter:
    """One labelled field of the search block.

    Arguments:
        name: of the query parameter (``date_range`` uses ``<name>_from`` and ``<name>_to``).
        label: English msgid.
        kind: ``text``, ``choice`` or ``date_range``.
        choices: for ``choice``: value → English msgid.
        placeholder: English msgid.
        default: of a ``choice``, while nothing was asked for; "All" is asked for as an empty text.
    """

    name: str
    label: str
    kind: str = "text"
    choices: Mapping[str, str] = field(default_factory=dict)
    placeholder: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for in the search block; everything that makes no sense counts as not asked.

    ``filled`` names what the page itself filled in: it is shown, and counts as not asked.
    """

    values: dict[str, str]
    filled: frozenset[str] = frozenset()

    def text(self, name: str) -> str | None:
        """Return a text, without blanks at its ends, or None."""
        return self.values.get(name) or None

    def choice(self, name: str) -> str | None:
        """Return one of the filter's choices, or None."""
        return self.values.get(name) or None

    def dates(self, name: str) -> tuple[datetime | None, datetime | None]:
        """Return a date range as instants ``[since, until)`` in the shop's time."""
        zone = core().settings.zone
        since, until = _day(self.values.get(f"{name}_from")), _day(self.values.get(f"{name}_to"))
        return (
            start_of_day(since, zone) if since else None,
            start_of_day(until + timedelta(days=1), zone) if until else None,
        )

    @property
    def any(self) -> bool:
        """Tell whether anything was asked for."""
        return any(value for name, value in self.values.items() if name not in self.filled)


def read_filters(filters: Sequence[Filter]) -> Asked:
    """Read what the request asks for."""
    values: dict[str, str] = {}
    for wanted in filters:
        names = (f"{wanted.name}_from", f"{wanted.name}_to") if wanted.kind == "date_range" else (wanted.name,)
        for name in names:
            given = request.args.get(name, wanted.default).strip()[:120]
            if wanted.kind == "choice" and given not in wanted.choices:
                given = ""
            if wanted.kind == "date_range" and _day(given) is None:
                given = ""
            values[name] = given
    return Asked(values)


@dataclass(slots=True)
class Table:
    """A table inside a page: in a list, or in a panel of a detail page.

    Arguments:
        columns: its columns, those without permission left out when shown.
        rows: what it shows.
        actions: gives a row's actions; the first two as text, the rest behind "More".
        empty: English msgid of the empty state.
        empty_hint: English msgid below it.
    """

    columns: Sequence[Column]
    rows: Sequence[Any]
    actions: Callable[[Any], Sequence[RowAction]] | None = None
    empty: str = "Nothing here yet"
    empty_hint: str = ""

    @property
    def shown_columns(self) -> list[Column]:
        """Return the columns that who is signed in may see."""
        return [column for column in self.columns if column.permission is None or may(column.permission)]

    def row_actions(self, row: Any) -> list[RowAction]:
        """Return the actions of a row that who is signed in may take."""
        return [wanted for wanted in (self.actions(row) if self.actions else ()) if wanted.allowed]


@dataclass(slots=True)
class ListPage:
    """A whole list page. ``render(view)`` makes its HTML.

    Arguments:
        title: English msgid.
        table: columns, rows, row actions.
        filters: the search block; empty leaves it out.
        asked: from ``read_filters``.
        next_cursor: of the keyset page, or None at the end.
        buttons: actions of the page (new, export), at its top right.
        tabs: ``(English msgid, address, current, count or None)``.
        intro: English msgid below the title.
        total: a number shown beside the title, when it is cheap to know.
        export: the view has an ``export`` action, which a button offers.
    """

    title: str
    table: Table
    filters: Sequence[Filter] = ()
    asked: Asked | None = None
    next_cursor: str | None = None
    buttons: Sequence[RowAction] = ()
    tabs: Sequence[tuple[str, str, bool, int | None]] = ()
    intro: str = ""
    total: int | None = None
    export: bool = False

    def render(self, view: Any, template: str = "console/list.html", **more: Any) -> str:
        """Return the page."""
        from admin.export import export_button  # noqa: PLC0415 - exports are made of lists

        buttons = [*([export_button(view)] if self.export else []), *self.buttons]
        arguments = {name: value for name, value in request.args.items() if name != "cursor" and value}
        shell: str = view.render(
            template,
            list=self,
            first_url=_url(arguments) if request.args.get("cursor") else None,
            next_url=_url({**arguments, "cursor": self.next_cursor}) if self.next_cursor else None,
            buttons=[button for button in buttons if button.allowed],
            **more,
        )
        return shell


def table_html(table: Table) -> str:
    """Return one table's HTML, for a page that is put together by hand."""
    return render_template("console/_table.html", table=table)


def _url(arguments: dict[str, str]) -> str:
    from urllib.parse import urlencode  # noqa: PLC0415 - used here only

    return f"{request.path}?{urlencode(arguments)}" if arguments else request.path


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _reach(row: Any, accessor: Accessor) -> Any:
    if callable(accessor):
        return accessor(row)
    value = row
    for part in accessor.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
        if value is None:
            return None
    return value
