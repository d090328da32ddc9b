"""The words that columns may hold."""

from __future__ import annotations

ENTRY_KINDS = ("accrue", "unlock", "reserve", "release", "redeem", "return", "expire", "reverse", "adjust", "merge")
MEMBER_ACCOUNTS = ("pending", "available", "reserved", "debt")
SYSTEM_ACCOUNTS = ("issuer", "redeemed", "expired", "forgiven")


def one_of(column: str, words: tuple[str, ...]) -> str:
    """Return the text of a check that a column holds one of these words."""
    return f"{column} IN ({','.join(repr(word) for word in words)})"
