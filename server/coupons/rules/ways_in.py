"""The ways in which coupons come into wallets, by the namespace of their source, in words."""

from __future__ import annotations

from server.kernel.text import N_

# Whoever issues coupons under a namespace of its own adds its words here; until then staff read the namespace itself.
WAYS: dict[str, str] = {
    "claim": N_("Claim centre"),
    "staff": N_("Staff, one member"),
    "coupons.batch": N_("Staff, list or file"),
    "coupons.code": N_("Code typed in"),
    "rewards": N_("Redeemed with points"),
    "campaigns": N_("Birthday gift"),
    "tiers": N_("Tier gift"),
    "campaign.import": N_("Campaign of the past"),
}


def words(namespace: str) -> str:
    """Return the English msgid of a way in, or the namespace as it is when nobody put it into words."""
    return WAYS.get(namespace, namespace)
