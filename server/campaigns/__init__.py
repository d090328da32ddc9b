"""Campaigns: what the brand gives of its own accord. Today: birthdays and festivals.

Invariants:
- a member gets a birthday's gift once for each year of the birthday's own calendar, and never two within ``rules.LEAST_GAP_DAYS``,
  however often the birthday or its calendar is changed;
- the gift's points, coupon, greeting and its own row commit together;
- a member gets a festival's gift once for each of its celebrations, and a celebration is one row for each year of its calendar;
- the gifts of a piece of members and the place where the next begins commit together, so nobody is left out or given twice;
- a birthday on a day when the product was down is made up for, up to ``rules.CATCH_UP_DAYS`` later.
"""
