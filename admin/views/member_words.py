"""The words and colours of members in the console, and reading what staff type to find one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from flask_babel import gettext

from admin.formats import Tag
from server.cards import queries as cards
from server.kernel.errors import DomainError
from server.kernel.text import N_
from server.members import queries
from server.members.rules import Birthday, normalised_phone
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_TAIL_DIGITS = 4

STATUSES = {
    "active": Tag(N_("In good standing"), "green"),
    "frozen": Tag(N_("Frozen"), "red"),
    "deleting": Tag(N_("Leaving"), "orange"),
    "deleted": Tag(N_("Deleted"), "grey"),
    "merged": Tag(N_("Merged"), "purple"),
}
CHANGE_STATES = {
    "pending": Tag(N_("Waiting"), "orange"),
    "approved": Tag(N_("Approved"), "green"),
    "refused": Tag(N_("Refused"), "grey"),
}
TIER_TONES = {"standard": "grey", "silver": "cyan", "gold": "gold", "black": "purple"}
GENDERS = {"female": Tag(N_("Female"), "red"), "male": Tag(N_("Male"), "blue"), "unknown": Tag(N_("Not given"), "grey")}
WAYS = {
    "wechat": Tag(N_("Mini program"), "green"),
    "partner": Tag(N_("Till or shop"), "blue"),
    "system": Tag(N_("Import"), "grey"),
    "staff": Tag(N_("By staff"), "orange"),
}


def birthday_text(birthday: Birthday | None) -> str:
    """Return a birthday as people write it."""
    if birthday is None:
        return "–"
    day = f"{birthday.month:02d}-{birthday.day:02d}"
    full = f"{birthday.year}-{day}" if birthday.year else day
    return gettext("Lunar %(day)s", day=full) if birthday.calendar == "lunar" else full


def tier_tags(session: Session) -> dict[object, Tag]:
    """Return the tiers by name, each in the colour of its rank."""
    return {tier.name: tier_tag(tier.code, tier.name) for tier in tiers.definitions(session)}


def tier_tag(code: str, name: str) -> Tag:
    """Return a tier as a tag in the colour of its rank."""
    return Tag(name, TIER_TONES.get(code, "blue"))


def phone_asked(text: str | None) -> tuple[str | None, str | None]:
    """Return ``(whole number, last digits)`` of what was typed; a number that cannot exist finds nobody."""
    if not text:
        return None, None
    if text.isdigit() and len(text) == _TAIL_DIGITS:
        return None, text
    try:
        return normalised_phone(text), None
    except DomainError:
        return text, None


def member_by_number(session: Session, text: str) -> UUID | None:
    """Return the member of a card number or a whole phone number."""
    holder = cards.by_card_no(session, text)
    if holder is None:
        phone, _ = phone_asked(text)
        holder = queries.by_phone(session, phone) if phone else None
    return holder
