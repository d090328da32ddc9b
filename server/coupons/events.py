"""What happened to coupons, as the outbox tells it. Payloads hold ``coupon_id`` and ``member_id`` only."""

ISSUED = "coupons.issued"
REDEEMED = "coupons.redeemed"
RETURNED = "coupons.returned"
EXPIRING = "coupons.expiring"
VOIDED = "coupons.voided"

TOPICS = (ISSUED, REDEEMED, RETURNED, EXPIRING, VOIDED)
