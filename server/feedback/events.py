"""Topics this domain publishes. Payload: ``{ticket_id, member_id}``; handlers read the present state."""

from __future__ import annotations

TICKET_OPENED = "feedback.ticket_opened"
TICKET_ANSWERED = "feedback.ticket_answered"
TICKET_CLOSED = "feedback.ticket_closed"
TICKET_RATED = "feedback.ticket_rated"
