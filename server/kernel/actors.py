"""Who does a thing: a member, a member of staff, a partner system or the product itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID


# How records name a member who acts.
MEMBER = "member"


@dataclass(frozen=True, slots=True)
class MemberActor:
    """A member acting for themselves."""

    member_id: UUID

    @property
    def kind(self) -> str:
        """Return the word the audit trail uses."""
        return MEMBER

    @property
    def ref(self) -> str:
        """Return who it was, as text."""
        return str(self.member_id)


@dataclass(frozen=True, slots=True)
class StaffActor:
    """A member of staff.

    Arguments:
        staff_id: key of the account.
        name: as shown in the trail.
        permissions: the ``noun:verb`` codes held now.
        address: network address the request came from, if any.
    """

    staff_id: UUID
    name: str
    permissions: frozenset[str] = frozenset()
    address: str | None = None

    @property
    def kind(self) -> str:
        """Return the word the audit trail uses."""
        return "staff"

    @property
    def ref(self) -> str:
        """Return who it was, as text."""
        return str(self.staff_id)


@dataclass(frozen=True, slots=True)
class PartnerActor:
    """A till, shop or ERP that signs its calls."""

    partner_id: UUID
    name: str

    @property
    def kind(self) -> str:
        """Return the word the audit trail uses."""
        return "partner"

    @property
    def ref(self) -> str:
        """Return who it was, as text."""
        return str(self.partner_id)


@dataclass(frozen=True, slots=True)
class SystemActor:
    """The product itself: a job, an event handler, an import."""

    job: str

    @property
    def kind(self) -> str:
        """Return the word the audit trail uses."""
        return "system"

    @property
    def ref(self) -> str:
        """Return who it was, as text."""
        return self.job


Actor = MemberActor | StaffActor | PartnerActor | SystemActor
