"""Risk control in words: ways in, kinds of entries, scopes, and each velocity rule as a sentence."""

from __future__ import annotations

from typing import Any

from admin.formats import Tag
from server.kernel.text import N_
from server.risk.rules import Kind, Way

WAYS: dict[Any, Tag] = {
    Way.CLAIM: Tag(N_("Claiming a coupon"), "blue"),
    Way.CODE: Tag(N_("Entering a code"), "cyan"),
    Way.GIFT: Tag(N_("Accepting a friend's coupon"), "purple"),
    Way.CHECK_IN: Tag(N_("Checking in"), "green"),
    Way.REDEMPTION: Tag(N_("Redeeming points"), "orange"),
    Way.REFERRAL: Tag(N_("Reward of an invitation"), "gold"),
    Way.WELCOME: Tag(N_("Welcome pack"), "gold"),
}
KINDS: dict[Any, Tag] = {
    Kind.MEMBER: Tag(N_("Member"), "blue"),
    Kind.PHONE: Tag(N_("Phone number"), "orange"),
    Kind.DEVICE: Tag(N_("Device"), "purple"),
    Kind.ADDRESS: Tag(N_("Delivery address"), "cyan"),
}
SCOPES: dict[Any, Tag] = {
    "all": Tag(N_("Everything"), "red"),
    "coupons": Tag(N_("Coupons"), "blue"),
    "points": Tag(N_("Points"), "green"),
    "rewards": Tag(N_("Rewards"), "orange"),
    "referrals": Tag(N_("Invitations"), "gold"),
}
# What a rule says, in one sentence for each; its numbers are filled in.
SENTENCES: dict[str, str] = {
    "claims_per_device": N_("From one device, at most %(most)d coupons are claimed within %(days)d days; its members are held afterwards."),
    "codes_per_device": N_("From one device, at most %(most)d codes are entered within %(days)d days."),
    "gifts_per_device": N_("On one device, at most %(most)d coupons of friends are accepted within %(days)d days."),
    "check_ins_per_device": N_("On one device, at most %(most)d members check in within %(days)d days."),
    "redemptions_per_address": N_("To one address, at most %(most)d redemptions are sent within %(days)d days."),
    "redeemers_per_device": N_("On one device, at most %(most)d members redeem points within %(days)d days."),
    "invited_per_device": N_("On one device, at most %(most)d invited members are rewarded within %(days)d days."),
    "welcomed_per_device": N_("On one device, at most %(most)d members get a welcome pack within %(days)d days."),
}
STATES: dict[Any, Tag] = {True: Tag(N_("Released"), "green"), False: Tag(N_("Refused"), "red")}
ON_OFF: dict[Any, Tag] = {True: Tag(N_("Switched on"), "green"), False: Tag(N_("Switched off"), "grey")}
RULE_NAMES: dict[str, str] = {
    "claims_per_device": N_("Claims from one device"),
    "codes_per_device": N_("Codes from one device"),
    "gifts_per_device": N_("Friends' coupons on one device"),
    "check_ins_per_device": N_("Members who check in on one device"),
    "redemptions_per_address": N_("Redemptions to one address"),
    "redeemers_per_device": N_("Members who redeem on one device"),
    "invited_per_device": N_("Invited members on one device"),
    "welcomed_per_device": N_("Welcome packs on one device"),
}
