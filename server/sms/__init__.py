"""Text messages to phones: one Protocol, the providers behind it, and a stand-in for this machine.

Invariants: an adapter makes one call for one message and says truthfully how it ended: taken in, refused (by whose fault), not
arrived at all, or unknown. Nothing that it logs or raises holds a number, a text or a secret.
"""
