"""The news tiers tell: ``tiers.changed`` with ``{member_id, from, to, upgrade}`` (tier codes)."""

from __future__ import annotations

CHANGED = "tiers.changed"

TOPICS = (CHANGED,)
