"""What every domain stands on: database, time, ids, amounts, errors, encryption, idempotency and outbox.

The kernel knows no domain. Nothing here is named after a member, a point or a coupon.
"""
