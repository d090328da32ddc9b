"""Topics this domain tells of. Payload: ``{message_id, member_id}``; of ``DUE``: ``{place}``, which worker it calls."""

from __future__ import annotations

QUEUED = "notifications.queued"
DUE = "notifications.due"

TOPICS = (QUEUED, DUE)
