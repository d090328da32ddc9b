"""Topics this domain tells of. Payload: ``{message_id, member_id}``."""

from __future__ import annotations

QUEUED = "notifications.queued"

TOPICS = (QUEUED,)
