"""How categories, priorities and states of tickets are called and coloured, on every page that shows tickets."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from admin.formats import Tag, translated
from server.kernel.text import N_

STATES: dict[object, Tag] = {
    "open": Tag(N_("Waiting to be taken"), "blue"),
    "assigned": Tag(N_("Assigned"), "cyan"),
    "working": Tag(N_("In progress"), "purple"),
    "answered": Tag(N_("Answered"), "green"),
    "closed": Tag(N_("Closed"), "grey"),
    "reopened": Tag(N_("Reopened"), "orange"),
}
CATEGORIES: dict[object, Tag] = {
    "product": Tag(N_("Product"), "blue"),
    "service": Tag(N_("Service quality"), "purple"),
    "logistics": Tag(N_("Logistics"), "cyan"),
    "payment": Tag(N_("Payment"), "gold"),
    "suggestion": Tag(N_("Suggestion"), "green"),
    "praise": Tag(N_("Praise"), "green"),
    "other": Tag(N_("Other matter"), "grey"),
}
PRIORITIES: dict[object, Tag] = {
    "urgent": Tag(N_("Urgent"), "red"),
    "high": Tag(N_("High priority"), "orange"),
    "normal": Tag(N_("Ordinary"), "blue"),
    "low": Tag(N_("Low priority"), "grey"),
}
CHANNELS: dict[object, Tag] = {
    "phone": Tag(N_("Phone call"), "blue"),
    "store": Tag(N_("In the shop"), "blue"),
    "email": Tag(N_("E-mail"), "blue"),
    "mini_program": Tag(N_("Mini-program"), "blue"),
    "partner": Tag(N_("Partner system"), "blue"),
}
CLOSE_REASONS: dict[object, Tag] = {
    "solved": Tag(N_("Solved"), "green"),
    "no_answer": Tag(N_("Member did not answer"), "grey"),
    "duplicate": Tag(N_("Duplicate"), "grey"),
    "not_for_us": Tag(N_("Not for us"), "grey"),
    "spam": Tag(N_("Spam"), "grey"),
}
DEADLINES: dict[object, Tag] = {
    "first_response": Tag(N_("First response"), "blue"),
    "resolution": Tag(N_("Resolution"), "blue"),
}


def labels_of(tags: Mapping[object, Tag]) -> dict[str, str]:
    """Return value → msgid, for a filter."""
    return {str(value): tag.label for value, tag in tags.items()}


def choices_of(tags: Mapping[object, Tag], *, leave_out: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return ``(value, text)`` in the reader's language, for a select field."""
    return [(str(value), translated(tag.label)) for value, tag in tags.items() if value not in leave_out]
