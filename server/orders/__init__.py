"""Orders of every channel: intake, what happened to them since, parcels and their tracking, and what is wrong with them.

Invariants:
- an order is known by ``(channel, external_no)``; the same content again is the same order, other content is refused;
- an order is a fact: it is taken in although something about it is wrong, and what is wrong is an exception row;
- state and instants are worked out anew from all events and parcels, so they do not depend on the order in which news came;
- events and refunds are append-only, unique by the sender's own ids;
- receiver data is sealed, and found by blind index only.
"""
