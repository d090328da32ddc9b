"""Topics this domain tells of. Payload: ``{job, period}``; the aggregate is the run."""

from __future__ import annotations

SCHEDULE_DUE = "schedule.due"

TOPICS = (SCHEDULE_DUE,)
