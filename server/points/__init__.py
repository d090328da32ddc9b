"""Points: a double-entry ledger with lots, the rules that earn them, and the member's statement.

Invariants, each held by a constraint or proved nightly by ``queries.prove``:

- an entry's postings sum to zero; entries, postings and allocations are never changed or removed;
- a source (namespace and key) makes exactly one entry; the same source with other content is refused;
- the cached account equals the sum of its postings, and Σ lot.left = pending + available + reserved;
- 0 ≤ reserved ≤ left ≤ amount for every lot; no cached balance is below zero;
- points are spent earliest expiry first, then oldest, then by id;
- an event gives once for each business key, and what happens once in a lifetime once for each person;
- a rule's budget is never outrun: its row is locked after the accounts, before anything is given by it.

Every verb locks the member's account row first, then looks for a replay, then applies the rule, then inserts.
"""
