"""Tiers: their definitions, the growth that earns them, and which one a member holds.

Invariants:
- Growth is an append-only ledger. An order earns once; what its refunds take back counts on the order's own day, and full refunds take
  exactly what was earned, in any order. What an account caches can be worked out from the ledger at any time (``proofs``).
- A change of tier is a row with its cause and never altered. A member without a row holds the lowest tier.
- Upgrades are made at once; a downgrade only when a period and its grace are over, one step for a period; a lock keeps the tier.
- Reading changes nothing: time does its work in a job (``growth.reassess_due``).

Points ask nothing of tiers: whoever accrues fills the multiplier into the earning context. Orders are told by ``flows.growth``.
"""
