"""What happened to coupons, as the outbox tells it. Payloads hold ids only: of the coupon and its member."""

ISSUED = "coupons.issued"
REDEEMED = "coupons.redeemed"
RETURNED = "coupons.returned"
EXPIRING = "coupons.expiring"
VOIDED = "coupons.voided"
RECALLED = "coupons.recalled"
# Payload: the offer and who made it.
GIFT_ENDED = "coupons.gift_ended"
# Jobs of staff: their payloads name the batch or the file.
CODES_WANTED = "coupons.codes_wanted"
ISSUE_WANTED = "coupons.issue_wanted"
RECALL_WANTED = "coupons.recall_wanted"

TOPICS = (ISSUED, REDEEMED, RETURNED, EXPIRING, VOIDED, RECALLED, GIFT_ENDED, CODES_WANTED, ISSUE_WANTED, RECALL_WANTED)
