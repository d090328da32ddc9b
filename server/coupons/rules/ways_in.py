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
    "festivals": N_("Festival gift"),
    "tiers": N_("Tier gift"),
    "campaign.import": N_("Campaign of the past"),
    "coupons.gift": N_("A friend's gift"),
    "coupons.trigger": N_("Automatic coupons"),
}
# These have a namespace for each of their rules: ``coupons.trigger/<code of the rule>``.
FAMILIES = frozenset({"coupons.trigger"})


def words(namespace: str) -> str:
    """Return the English msgid of a way in, or the namespace as it is when nobody put it into words."""
    family, _, _rule = namespace.partition("/")
    return WAYS.get(family if family in FAMILIES else namespace, namespace)


def rule_of(namespace: str) -> str:
    """Return the code of the rule that a way in of a family belongs to; empty for every other."""
    family, _, rule = namespace.partition("/")
    return rule if family in FAMILIES else ""
