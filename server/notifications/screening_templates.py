"""The message about content that was not let pass. Part of ``templates``, where the base and the registry are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from server.kernel.text import N_
from server.notifications import fields
from server.notifications.templates import FieldSpec, MessageTemplate, Topic

_POLITE = N_("It does not fit our community rules")


@dataclass(frozen=True)
class ContentRefused(MessageTemplate):
    """Something a member wrote or showed is not shown, and why."""

    what: str
    decided_at: datetime
    why: str = _POLITE

    code = "content_refused"
    topic = Topic.SERVICE
    exempt = True
    own_moments_only = True
    label = N_("Content not shown")
    title = N_("Something you sent is not shown")
    body = N_("%(what)s: %(why)s. You may change it and send it again; your points and benefits are not touched.")
    specs = (
        FieldSpec("what", "thing", N_("Content"), "thing1", ours=True, otherwise="-"),
        FieldSpec("why", "thing", N_("Reason"), "thing2", ours=True, otherwise="不符合社区规范"),
        FieldSpec("decided_at", "time", N_("Time"), "time3"),
    )
    page = "pages/account/profile"
    demo_template_id = "demo-tmpl-content-refused"
    moments = ("ticket_opened", "profile_edited")

    # What a check may be about → how the member is told of it.
    WORDS = {  # noqa: RUF012 - never changed
        "nickname": N_("Nickname"),
        "avatar": N_("Profile picture"),
        "ticket_message": N_("Feedback text"),
        "ticket_rating": N_("Rating"),
        "ticket_image": N_("Picture"),
    }

    def texts(self, zone: ZoneInfo) -> dict[str, str]:
        """Return field → text."""
        return {"what": self.what, "why": self.why, "decided_at": fields.moment(self.decided_at, zone)}

    @classmethod
    def sample(cls) -> ContentRefused:
        """Return an example."""
        return cls(cls.WORDS["nickname"], datetime(2026, 6, 15, 4, 0, tzinfo=UTC))
