"""Campaigns are taken over as templates, coupons and redemptions; the funnels say what the files say."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from server.coupons import queries
from server.coupons.funnel_queries import funnel
from server.coupons.models import Coupon
from tasks.campaign_files import read_campaigns
from tasks.commands.import_campaigns import run_import

SAMPLE = Path(__file__).parents[2] / "examples" / "retail_sample" / "campaigns"


def test_the_funnels_agree_with_a_count_of_the_files_and_twice_is_once(core):
    with (SAMPLE / "campaign_households.csv").open() as mailed, (SAMPLE / "coupon_redemptions.csv").open() as came_back:
        households = {(row["campaign_id"], row["household_id"]) for row in csv.DictReader(mailed)}
        redeemed = Counter((row["campaign_id"], row["household_id"]) for row in csv.DictReader(came_back))
    issued = {number: 0 for number, _ in households}
    for held in households | set(redeemed):
        issued[held[0]] += max(1, redeemed[held])
    for _ in range(2):
        report = run_import(core, read_campaigns(SAMPLE))
        assert (report.coupons, report.redemptions) == (sum(issued.values()), sum(redeemed.values()))
        with core.db.reading() as session:
            for number, wanted in issued.items():
                template = queries.template_by_code(session, f"campaign-{number}")
                assert template is not None
                found = funnel(session, template.id, now=core.clock.now())
                back = sum(count for (campaign, _), count in redeemed.items() if campaign == number)
                assert (found.issued, found.redeemed, found.expired) == (wanted, back, wanted - back)
            assert session.scalar(sa.select(sa.func.count()).select_from(Coupon)) == sum(issued.values())
    assert report.new_members == 0


def test_a_discount_is_taken_from_the_days_basket_once(tmp_path):
    files = {
        "campaigns": "campaign_id,campaign_type,start_date,end_date\n1,A,2017-01-01,2017-01-31\n",
        "campaign_households": "campaign_id,household_id\n1,7\n1,8\n",
        "coupon_products": "coupon_upc,product_id,campaign_id\nu1,p1,1\nu2,p1,1\nu2,p2,1\nu3,p9,1\n",
        "coupon_redemptions": "household_id,coupon_upc,campaign_id,redemption_date\n"
        "7,u1,1,2017-01-02\n7,u2,1,2017-01-02\n7,u3,1,2017-01-02\n9,u1,1,2017-01-05\n",
        "orders": "basket_id,household_id,placed_at,paid_cents\nb1,7,2017-01-02T09:00:00-05:00,900\nb2,7,2017-01-03T09:00:00-05:00,1\n",
        "order_lines": "basket_id,product_id,coupon_disc_cents\nb1,p1,60\nb1,p2,40\nb2,p1,999\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    [campaign] = read_campaigns(tmp_path)
    told = [(each.coupon, each.external_no, each.discount_fen, each.sales_fen) for each in campaign.redemptions]
    assert told[:2] == [("u1", "b1", 60, 900), ("u2", "b1", 40, None)]
    assert [each[2] for each in told[2:]] == [None, None]
    assert (campaign.face_fen, campaign.issued, campaign.coupons, campaign.products) == (40, 3 + 1 + 1, 3, 3)
