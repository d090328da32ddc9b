"""Tiers: their definitions, and which one a member holds.

A change of tier is a row with its cause and never altered. A member without a row holds the lowest tier. Points ask
nothing of tiers: whoever accrues fills the multiplier into the earning context.
"""
