"""The news orders tell. Every payload is ``{order_id, member_id}``; member_id is None for a sale to nobody we know."""

from __future__ import annotations

TAKEN_IN = "orders.taken_in"
PAID = "orders.paid"
SHIPPED = "orders.shipped"
DELIVERED = "orders.delivered"
COMPLETED = "orders.completed"
CANCELLED = "orders.cancelled"
REFUNDED = "orders.refunded"
ATTACHED = "orders.attached"

TOPICS = (TAKEN_IN, PAID, SHIPPED, DELIVERED, COMPLETED, CANCELLED, REFUNDED, ATTACHED)
