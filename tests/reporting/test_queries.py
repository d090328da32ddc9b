"""The workbench's figures follow the shop's calendar days and their written definitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa

from server.kernel.db import Base
from server.reporting import queries

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)  # noon in Shanghai
MIDNIGHT = datetime(2026, 6, 14, 16, 0, tzinfo=UTC)  # where the shop's 15 June begins


def a_member(session, joined_at, status="active", merged_into=None):
    member_id = uuid4()
    session.execute(
        sa.insert(Base.metadata.tables["members"]).values(
            id=member_id,
            status=status,
            merged_into=merged_into,
            gender="unknown",
            interests=[],
            joined_via="till",
            joined_at=joined_at,
            updated_at=joined_at,
        )
    )
    return member_id


def test_a_member_counts_on_the_shops_day_and_merged_records_do_not(session):
    first = a_member(session, MIDNIGHT)
    a_member(session, MIDNIGHT - timedelta(microseconds=1))
    a_member(session, MIDNIGHT, "merged", first)
    days = queries.last_days(session, NOW, days=3)
    assert [day.members_joined for day in days] == [0, 1, 1]
    assert [day.day.isoformat() for day in days] == ["2026-06-13", "2026-06-14", "2026-06-15"]


def test_an_empty_shop_has_nothing_waiting_and_only_zeros(session):
    waiting = queries.waiting(session, NOW)
    assert waiting == queries.Waiting(0, 0, 0, 0, 0, 0, 0)
    assert all(
        (day.orders, day.sales_fen, day.points_issued, day.points_redeemed, day.coupons_redeemed) == (0, 0, 0, 0, 0)
        for day in queries.last_days(session, NOW)
    )
    assert queries.order_states(session, NOW) == []


def test_a_change_that_waits_for_approval_is_counted(session):
    member_id = a_member(session, MIDNIGHT)
    session.execute(
        sa.insert(Base.metadata.tables["member_change_requests"]).values(
            id=uuid4(), member_id=member_id, kind="birthday", before={}, after={}, state="pending", open_slot="x", requested_at=NOW
        )
    )
    assert queries.waiting(session, NOW).change_requests == 1
