"""The verbs that change rewards and redemptions. Every one takes the session of the caller's transaction and never commits."""

from server.rewards.service.cancelling import cancel, forget_member, forget_receivers, merge_members, refund, time_out_due
from server.rewards.service.catalogue import create_reward, pause_reward, publish_reward, set_payment_policy, update_reward
from server.rewards.service.fulfilling import hand_over, issue_coupon, reveal_receiver, ship
from server.rewards.service.redeeming import ReceiverDraft, pay, redeem

__all__ = [
    "ReceiverDraft",
    "cancel",
    "create_reward",
    "forget_member",
    "forget_receivers",
    "hand_over",
    "issue_coupon",
    "merge_members",
    "pause_reward",
    "pay",
    "publish_reward",
    "redeem",
    "refund",
    "reveal_receiver",
    "set_payment_policy",
    "ship",
    "time_out_due",
    "update_reward",
]
