"""The migration writes the uses of coupons that were redeemed before as they would have been written at the time."""

from __future__ import annotations

import importlib

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from server.coupons.models import CouponRedemption
from tests.reporting.test_coupon_report import a_history

take_over = importlib.import_module("server.migrations.versions.0034_coupon_reports")


def uses(session):
    of = CouponRedemption
    rows = session.execute(
        sa.select(
            of.coupon_id, of.template_id, of.source_namespace, of.channel, of.external_no, of.day, of.cost_fen, of.sales_fen, of.part_fen
        )
    )
    return sorted(tuple(row) for row in rows)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_what_was_redeemed_before_is_taken_over_in_pieces(session, monkeypatch, chunk):
    _, _, known = a_history(session, 7)
    session.flush()
    written = uses(session)
    assert len(written) > 20
    assert len({row[3:5] for row in written}) < len(written)  # some share an order
    session.execute(sa.delete(CouponRedemption))
    monkeypatch.setattr(take_over, "_CHUNK", chunk)
    with Operations.context(MigrationContext.configure(session.connection())):
        take_over._take_over()
    session.expire_all()
    assert uses(session) == written
    for use in session.scalars(sa.select(CouponRedemption)):
        order = (use.channel, use.external_no)
        assert use.store_code == ((known[order] or "") if order in known else None)
