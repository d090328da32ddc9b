"""Members who invite members: codes, who came by whose, and what keeps one person from inviting themselves.

Invariants: a member is a friend once, bound when the membership begins and never later; a referral is rewarded once, and both sides
with it (each entry's source names the referral); loops are refused by rules that look again at the moment of the reward; what a device
or a phone number is, is kept as a blind index only.
"""
