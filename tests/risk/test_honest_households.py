"""The default rules against real households: what 2,500 of them do in a year, each whole household on one device and one address.

``HUIBAN_TEST_RETAIL_DIR`` names the folder, as for ``tests/flows/test_real_half_year.py``.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest

from server.risk.rules import DEFAULTS, Count, Way, refuses

FOLDER = os.environ.get("HUIBAN_TEST_RETAIL_DIR", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="HUIBAN_TEST_RETAIL_DIR names no folder")


def rows_of(name):
    path = Path(FOLDER) / name
    opening = gzip.open if path.suffix == ".gz" else open
    with opening(path, "rt", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def limit(way, count):
    (rule,) = (rule for rule in DEFAULTS if rule.way is way and rule.count is count)
    return rule


def busiest(days, within):
    """Return the most happenings within so many days."""
    found = Counter(days)
    return max(sum(found[day + timedelta(days=on)] for on in range(within)) for day in found)


def test_no_household_that_shares_one_device_is_refused_for_its_size():
    people = {
        row["household_id"]: int(row["household_size"].rstrip("+"))
        for row in rows_of("households.csv")
        if row["household_size"][:1].isdigit()
    }
    assert people
    for way in (Way.CHECK_IN, Way.REDEMPTION, Way.REFERRAL, Way.WELCOME):
        rule = next(rule for rule in DEFAULTS if rule.way is way and rule.count is Count.MEMBERS)
        hit = [one for one, size in people.items() if refuses(rule, size - 1, among_them=False)]
        assert hit == [], (way, len(hit))


def test_no_household_is_refused_for_the_coupons_it_used():
    used = defaultdict(list)
    for row in rows_of("coupon_redemptions.csv"):
        used[row["household_id"]].append(date.fromisoformat(row["redemption_date"]))
    assert used
    for way in (Way.CLAIM, Way.CODE, Way.GIFT):
        rule = limit(way, Count.TIMES)
        hit = [one for one, days in used.items() if busiest(days, rule.days) > rule.most]
        assert hit == [], (way, len(hit))


def test_few_households_shop_so_often_that_a_redemption_at_each_visit_would_be_refused():
    """Nobody redeems points at every visit; who did would still nearly always stay below the rule of addresses."""
    visits = defaultdict(list)
    for row in rows_of("orders.csv.gz"):
        visits[row["household_id"]].append(date.fromisoformat(row["placed_at"][:10]))
    rule = limit(Way.REDEMPTION, Count.TIMES)
    hit = [one for one, days in visits.items() if busiest(days, rule.days) > rule.most]
    assert len(hit) / len(visits) < 0.15, (len(hit), len(visits))
