"""Coupon and points farming (羊毛党): who is held, how often one device or address may do what, what was refused, and who was let through.

Invariants: a phone number, a device and an address are kept as blind indexes only; a live entry of the block list exists once for each
thing and scope; what a live entry means for a member stands in ``risk_holds`` the moment it is decided, so that the claim of a coupon needs
one look-up by (member, scope); a rule that counts does so under a lock on the thing it counts, so that no race gets one more; every refusal
is a row, and is released once. A device nobody told of is never refused by a rule about devices.
"""
