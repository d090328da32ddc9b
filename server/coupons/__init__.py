"""Coupons: a template promises, an issued coupon keeps the promise as it stood, an order redeems it once.

Invariants:
- a template never has more coupons than its stock, nor more budget committed than its budget (CHECK on the row);
- a member never holds more coupons of a template than it allows (UNIQUE slot);
- an issued coupon follows its own snapshot of the terms, whatever happens to the template later;
- a coupon is redeemed for one order at a time, and every change of state is a row that is never changed;
- each coupon that stands redeemed has one row of what it cost and sold, and the parts of an order's coupons add up to its sales.
"""
