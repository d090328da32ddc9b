"""Cards: the number a member is recognised by, and the code that proves the member is standing at the till.

Invariants: one active card for each member; a number is never given twice, and the numbers of merged members keep working; a
dynamic code is valid once and for sixty seconds.
"""
