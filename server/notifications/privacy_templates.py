"""The message to a member who is leaving. Part of ``templates``, where the base and the registry are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import NEWS, FieldSpec, MessageTemplate, Topic


@dataclass(frozen=True)
class MembershipDeletion(MessageTemplate):
    """A membership is to be deleted; it may not be its owner who asked, so they are told."""

    asked_at: datetime
    until: datetime
    hint: str = "期限前可在小程序撤回"

    code = "membership_deletion"
    topic = Topic.SERVICE
    channels = NEWS
    exempt = True
    to_leavers = True
    own_moments_only = True
    label = N_("Membership deletion")
    title = N_("Your membership will be deleted")
    body = N_("Asked for at %(asked_at)s. Until %(until)s you can take it back; then your personal data is erased.")
    specs = (
        FieldSpec("asked_at", "time", N_("Asked for at"), "time1"),
        FieldSpec("until", "time", N_("Can be taken back until"), "time2"),
        FieldSpec("hint", "thing", N_("Hint"), "thing3", otherwise="-"),
    )
    page = "pages/account/deletion"
    demo_template_id = "demo-tmpl-membership-deletion"
    moments = ("deletion_requested",)

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"asked_at": fields.moment(self.asked_at, zone), "until": fields.moment(self.until, zone), "hint": self.hint}

    @classmethod
    def sample(cls) -> MembershipDeletion:
        """Return an example."""
        return cls(datetime(2026, 6, 15, 4, 0, tzinfo=UTC), datetime(2026, 6, 22, 4, 0, tzinfo=UTC))
