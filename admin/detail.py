"""Detail pages: a header with tags and actions, sections of fields, panels with tables, charts or a timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from markupsafe import Markup

from admin import formats
from admin.base import may
from admin.charts import Chart
from admin.formats import Tag
from admin.listing import RowAction, Table
from server.staff.permissions import Permission


@dataclass(frozen=True, slots=True)
class Field:
    """One labelled value.

    Arguments:
        label: English msgid.
        value: raw; its ``kind`` says how it is shown (see ``Column``).
        kind: as in ``Column``.
        tags: for ``tag``.
        href: makes it a link.
        wide: takes the whole width.
        permission: shown only to who holds it.
    """

    label: str
    value: Any
    kind: str = "text"
    tags: Mapping[Any, Tag] | None = None
    href: str | None = None
    wide: bool = False
    permission: Permission | None = None

    @property
    def text(self) -> str:
        """Return what is shown."""
        return formats.shown(self.value, self.kind)

    @property
    def tag(self) -> Tag:
        """Return the tag shown."""
        return formats.tag_of(self.value, dict(self.tags or {}))


@dataclass(frozen=True, slots=True)
class Section:
    """A card of labelled values."""

    title: str
    fields: Sequence[Field]

    @property
    def shown(self) -> list[Field]:
        """Return the fields that who is signed in may see."""
        return [one for one in self.fields if one.permission is None or may(one.permission)]


@dataclass(frozen=True, slots=True)
class Moment:
    """One point of a timeline.

    Arguments:
        at: when.
        title: English msgid or plain text.
        text: what happened; plain text.
        tone: colour of its dot.
        by: who did it.
    """

    at: datetime
    title: str
    text: str = ""
    tone: str = "blue"
    by: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A card with one kind of content: a table, a timeline, a chart, or HTML made by one of our own templates.

    Arguments:
        title: English msgid.
        table, timeline, chart, html: exactly one of them.
        more: ``(English msgid, address)`` at its top right.
        name: makes the panel a tab, together with the other named ones.
        side: put into the narrow column at the right.
    """

    title: str
    table: Table | None = None
    timeline: Sequence[Moment] | None = None
    chart: Chart | None = None
    html: Markup | None = None
    more: tuple[str, str] | None = None
    name: str = ""
    side: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A number at the head of a page.

    Arguments:
        label: English msgid.
        value: raw.
        kind: as in ``Column``.
        tip: English msgid that defines it.
        tone: ``""``, ``red``, ``green``, ``orange``.
    """

    label: str
    value: Any
    kind: str = "number"
    tip: str = ""
    tone: str = ""

    @property
    def text(self) -> str:
        """Return what is shown."""
        return formats.shown(self.value, self.kind)


@dataclass(slots=True)
class DetailPage:
    """A whole detail page. ``render(view)`` makes its HTML.

    Arguments:
        title: what the page is about: plain text or an English msgid.
        subtitle: a grey line below it.
        tags: states, as coloured tags.
        buttons: actions.
        figures: numbers at the head.
        sections: cards of labelled values.
        panels: cards below; named ones become tabs, ``side`` ones stand at the right.
        back: ``(English msgid, address)`` of the list it belongs to.
    """

    title: str
    subtitle: str = ""
    tags: Sequence[Tag] = ()
    buttons: Sequence[RowAction] = ()
    figures: Sequence[Figure] = ()
    sections: Sequence[Section] = ()
    panels: Sequence[Panel] = ()
    back: tuple[str, str] | None = None
    notice: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def render(self, view: Any, template: str = "console/detail.html", **more: Any) -> str:
        """Return the page."""
        html: str = view.render(
            template,
            detail=self,
            buttons=[button for button in self.buttons if button.allowed],
            main_panels=[panel for panel in self.panels if not panel.side and not panel.name],
            tab_panels=[panel for panel in self.panels if panel.name],
            side_panels=[panel for panel in self.panels if panel.side],
            **more,
        )
        return html
