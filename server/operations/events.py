"""Topics this domain tells."""

from __future__ import annotations

SCHEDULE_DUE = "schedule.due"
