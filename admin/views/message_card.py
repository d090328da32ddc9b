"""A message as the member sees it in WeChat: a phone of our own drawing."""

from __future__ import annotations

from flask import render_template
from flask_babel import gettext
from markupsafe import Markup

from server.notifications import fields
from server.notifications.templates import MessageTemplate, spoken

# The page template that brings the phone's style sheet.
PAGE = "console/messages.html"


def card(template: type[MessageTemplate], texts: dict[str, str], keys: dict[str, str], when: str) -> Markup:
    """Return a message as the member sees it in WeChat, with what is cut off told."""
    said = spoken(template, texts, gettext)
    lines = []
    for spec in template.specs:
        try:
            value = fields.fitted(keys.get(spec.name, spec.default_key), said[spec.name])
        except ValueError:
            value = "—"
        lines.append((gettext(spec.label), value, said[spec.name] if value != said[spec.name] else ""))
    return Markup(  # noqa: S704 - rendered by our own template, which escapes  # nosec B704
        render_template(
            "console/_wechat_card.html",
            bar=gettext("Service notices"),
            app=gettext("Member centre"),
            open=gettext("Open the mini-program"),
            title=gettext(template.label),
            lines=lines,
            when=when,
        )
    )
