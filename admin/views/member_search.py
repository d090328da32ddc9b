"""What the list of members looks for, and a line of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from flask_babel import gettext

from server.cards import queries as cards
from server.flows import home
from server.kernel.pagination import Page, PageRequest
from server.members import queries

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One line of the list."""

    view: queries.MemberView
    summary: home.Summary | None

    @property
    def id(self) -> UUID:
        """Return the member's id."""
        return self.view.id

    @property
    def name(self) -> str:
        """Return the nickname, or a word in its place."""
        return self.view.nickname or gettext("No nickname")


def phone_of(row: MemberRow) -> str:
    """Return the masked phone, or nothing."""
    return row.view.phone_masked or ""


def search_members(
    session: Session,
    card: str | None,
    phone: tuple[str | None, str | None],
    nickname: str | None,
    status: str | None,
    joined: tuple[datetime | None, datetime | None],
    place: PageRequest,
) -> Page[queries.MemberView]:
    """Return a page of members; a card number finds its holder, also one of a card before the present one."""
    member_ids = None
    if card:
        holder = cards.by_card_no(session, card)
        member_ids = [holder] if holder else []
    return queries.search(
        session,
        phone=phone[0],
        tail=phone[1],
        nickname=nickname,
        status=status,
        member_ids=member_ids,
        since=joined[0],
        until=joined[1],
        page=place,
    )
