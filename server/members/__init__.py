"""Members: one record per person, who they are in every channel, and what they agreed to.

Invariants: a phone number belongs to at most one live member; a channel identity to exactly one; a merged member keeps its row
and points at the survivor; consents and merges are rows that nobody edits.
"""
