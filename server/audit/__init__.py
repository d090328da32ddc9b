"""The sealed trail: who did what to what, before and after, why, and from where.

Invariants:
- An entry is written in the transaction of the change it tells, so there is never one without the other.
- Entries and seals are append-only; triggers hold that on every engine.
- One sealer at a time chains entries in batches: sequence, previous hash, hash. The head is also written to an anchor outside the
  database, so that altering, deleting, reordering and truncating are all found by ``queries.verify``.
- No personal data in ``before`` and ``after``: entries outlive the member they speak of.
"""
