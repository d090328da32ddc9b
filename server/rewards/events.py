"""What happened to redemptions, as the outbox tells it. Payloads hold ``redemption_id`` and ``member_id`` only."""

PLACED = "rewards.placed"
SHIPPED = "rewards.shipped"
HANDED_OVER = "rewards.handed_over"
CANCELLED = "rewards.cancelled"

TOPICS = (PLACED, SHIPPED, HANDED_OVER, CANCELLED)
