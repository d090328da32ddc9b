"""The news tiers tell.

``tiers.changed`` has ``{change_id, member_id, from, to, upgrade, cause}`` (tier codes), ``tiers.at_risk`` has ``{member_id, tier,
ends_on}``: the tier will be lost at the end of its period unless growth is earned.
"""

from __future__ import annotations

CHANGED = "tiers.changed"
AT_RISK = "tiers.at_risk"

TOPICS = (CHANGED, AT_RISK)
