"""What the console calls the states of messages, and why they were not sent."""

from __future__ import annotations

from flask_babel import gettext

from admin.formats import Tag
from server.kernel.text import N_
from server.notifications.templates import REGISTRY

STATES = {
    "queued": Tag(N_("Queued"), "blue"),
    "sending": Tag(N_("Sending"), "cyan"),
    "sent": Tag(N_("Sent"), "green"),
    "delivered": Tag(N_("Arrived"), "green"),
    "failed": Tag(N_("Failed"), "red"),
    "uncertain": Tag(N_("Uncertain"), "orange"),
    "skipped": Tag(N_("Inbox only"), "grey"),
}
REASONS = {
    "no_grant": N_("No subscription allowance"),
    "no_wechat": N_("Does not use the mini-program"),
    "no_template": N_("No WeChat template chosen"),
    "preference": N_("Switched off by the member"),
    "member_gone": N_("Membership ended"),
    "contact_cap": N_("Contacted often enough this week"),
    "stale": N_("Too old to be pushed"),
    "quiet_hours": N_("Waits for the end of quiet hours"),
    "does_not_fit": N_("The text does not fit the template"),
    "refused_or_no_grant": N_("Refused by the member, or allowance used up"),
    "busy": N_("WeChat was busy"),
    "quota": N_("WeChat's quota was used up"),
    "connect": N_("WeChat could not be reached"),
    "misconfigured": N_("WeChat connection misconfigured"),
    "paused": N_("Waits until WeChat takes messages again"),
    "timeout": N_("No answer in time"),
    "broken_off": N_("Broken off during the call"),
    "broken": N_("Broken off during the call"),
    "given_up": N_("Given up by staff"),
    "decided_sent": N_("Taken as sent by staff"),
    "sent_again": N_("Sent again by staff"),
    "no_follower": N_("Does not follow the Official Account"),
    "no_phone": N_("No phone number"),
    "no_email": N_("No e-mail address"),
    "not_connected": N_("The channel is not set up"),
    "switched_off": N_("All channels switched off for this message"),
    "bad_number": N_("The phone number is not in use"),
    "bad_address": N_("The e-mail address does not exist"),
    "blocked": N_("The phone number refuses our text messages"),
    "content": N_("The provider refused the text"),
    "too_often": N_("Too many text messages to this number"),
    "too_late": N_("Not allowed at this time of day"),
    "system_error": N_("Trouble at the provider"),
}
LABELS = {code: template.label for code, template in REGISTRY.items()}


def reason_text(reason: str | None) -> str:
    """Return why a message was not sent, in the reader's language."""
    if not reason:
        return ""
    known = REASONS.get(reason)
    if known:
        return str(gettext(known))
    if reason.startswith("receipt_"):
        return str(gettext("Did not arrive (%(code)s)", code=reason.removeprefix("receipt_")))
    if reason.startswith("rejected_"):
        return str(gettext("Refused by WeChat (%(code)s)", code=reason.rpartition("_")[2]))
    return reason


def message_label(code: str) -> str:
    """Return what staff call a message, in the reader's language."""
    return str(gettext(LABELS.get(code, code)))
