"""Campaigns: what the brand gives of its own accord. Today: birthdays.

Invariants:
- a member gets a birthday's gift once for each year of the birthday's own calendar, and never two within ``rules.LEAST_GAP_DAYS``,
  however often the birthday or its calendar is changed;
- the gift's points, coupon, greeting and its own row commit together;
- a birthday on a day when the product was down is made up for, up to ``rules.CATCH_UP_DAYS`` later.
"""
