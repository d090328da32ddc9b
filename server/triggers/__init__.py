"""Triggers: coupons that are issued by themselves when something happens: joining, a tier reached, a long absence, an order.

Invariants:
- what happened gives each coupon of a rule once: the gift's row is UNIQUE by rule, business key and template, the coupon by its source;
- a rule's change is a new version; what was given, and what takes it back, follows the version that gave;
- a coupon that cannot be had is a row with its reason, is not tried for ever, and holds up nothing else;
- a coupon that an order earned ends with the order, unless it is in use already: then it stays, and is listed.
"""
