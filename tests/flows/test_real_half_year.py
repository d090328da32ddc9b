"""Half a year of a real shop, taken over and recounted: every total of the files is worked out here anew and must be found in the database.

``HUIBAN_TEST_RETAIL_DIR`` names the folder; the sample in ``examples/`` is recounted in ``test_history.py`` at every run.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from server.kernel.db import Base
from server.orders.files import RETAIL
from server.orders.models import Order, OrderException, OrderLine
from server.points import proofs
from server.points import service as points_service
from server.points.models import PointsAccount, PointsEntry, PointsLot
from tasks.commands.import_orders import run_import
from tests.conftest import START
from tests.factories.orders import SYSTEM

FOLDER = os.environ.get("HUIBAN_TEST_RETAIL_DIR", "")
pytestmark = [
    pytest.mark.full,
    pytest.mark.committing,
    pytest.mark.skipif(not FOLDER, reason="HUIBAN_TEST_RETAIL_DIR names no folder"),
]
FEN_PER_POINT = 100
# What a second run may write: its own job, and nothing else.
WRITTEN_AGAIN = {"transfer_jobs"}


@dataclass
class Counted:
    """What the files say, counted with nothing but the csv module."""

    orders: int = 0
    paid_fen: int = 0
    discount_fen: int = 0
    lines: int = 0
    amount_fen: int = 0
    points: int = 0
    earning_orders: int = 0
    unequal: int = 0
    households: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    odd: Counter[str] = field(default_factory=Counter)
    points_of: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    household_of: dict[str, str] = field(default_factory=dict)


def rows(name):
    with gzip.open(Path(FOLDER) / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def odd_kinds(quantity, amount):
    """Return which kinds of odd line one is; the same words are counted in the database."""
    return [
        kind
        for kind, so in (
            ("no quantity", quantity == 0),
            ("no money", amount == 0),
            ("neither", quantity == 0 and amount == 0),
            ("money for nothing", quantity == 0 and amount > 0),
            ("does not divide", quantity > 0 and amount % quantity != 0),
        )
        if so
    ]


def counted():
    found = Counted()
    by_order = Counter()
    for row in rows("order_lines"):
        quantity, amount = int(row["quantity"]), int(row["sales_value_cents"])
        assert quantity >= 0
        assert amount >= 0
        found.lines += 1
        found.amount_fen += amount
        by_order[row["basket_id"]] += amount
        found.odd.update(odd_kinds(quantity, amount))
    for row in rows("orders"):
        found.orders += 1
        found.paid_fen += int(row["paid_cents"])
        found.discount_fen += int(row["retail_discount_cents"]) + int(row["coupon_match_cents"])
        found.unequal += int(row["paid_cents"]) != by_order[row["basket_id"]]
        points = by_order[row["basket_id"]] // FEN_PER_POINT
        found.points += points
        found.earning_orders += points > 0
        found.points_of[row["household_id"]] += points
        found.households.add(row["household_id"])
        found.household_of[row["basket_id"]] = row["household_id"]
        found.stores.add(row["store_id"])
    return found


def one(session, *columns):
    return tuple(session.execute(sa.select(*columns)).one())


def check_member_by_member(session, wanted):
    """Each household is one member, whose account, entries and lots come to what its baskets earn: known by the baskets' numbers alone."""
    buyers = set(session.execute(sa.select(Order.member_id, Order.external_no)).all())
    member_of = {wanted.household_of[number]: member_id for member_id, number in buyers}
    assert {(member_of[household], number) for number, household in wanted.household_of.items()} == buyers
    assert len(set(member_of.values())) == len(wanted.households)
    expected = {member_of[household]: points for household, points in wanted.points_of.items() if points}
    for owner, points in (
        (PointsAccount.member_id, sa.func.sum(PointsAccount.available)),
        (PointsEntry.member_id, sa.func.sum(PointsEntry.points)),
        (PointsLot.member_id, sa.func.sum(PointsLot.left_)),
    ):
        found = {member_id: int(total) for member_id, total in session.execute(sa.select(owner, points).group_by(owner)) if total}
        assert found == expected, owner


def table_sizes(session):
    return {
        name: session.scalar(sa.select(sa.func.count()).select_from(table))
        for name, table in Base.metadata.tables.items()
        if name not in WRITTEN_AGAIN
    }


def last_touch(session):
    return (
        one(session, sa.func.max(Order.updated_at), sa.func.sum(Order.version)),
        one(session, sa.func.sum(PointsAccount.version), sa.func.sum(PointsAccount.available)),
        one(session, sa.func.sum(PointsLot.left_)),
    )


def test_every_total_of_the_files_is_in_the_database_and_a_second_run_changes_nothing(core, tmp_path):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=START))
    paths = [Path(FOLDER) / f"{name}.csv.gz" for name in ("orders", "order_lines", "products")]
    wanted = counted()

    first = run_import(core, *paths, RETAIL, tmp_path / "errors.csv")
    assert (first.created, first.same, first.refused, first.errors) == (wanted.orders, 0, 0, 0)
    assert not (tmp_path / "errors.csv").exists()
    with core.db.reading() as session:
        assert one(
            session, sa.func.count(), sa.func.sum(Order.payable_fen), sa.func.sum(Order.goods_fen), sa.func.sum(Order.discount_fen)
        ) == (
            wanted.orders,
            wanted.paid_fen,
            wanted.amount_fen,
            wanted.discount_fen,
        )
        assert one(session, sa.func.count(OrderLine.id), sa.func.sum(OrderLine.amount_fen), sa.func.sum(OrderLine.paid_fen)) == (
            wanted.lines,
            wanted.amount_fen,
            wanted.amount_fen,
        )
        odd = Counter()
        for quantity, amount, count in session.execute(
            sa.select(OrderLine.quantity, OrderLine.amount_fen, sa.func.count()).group_by(OrderLine.quantity, OrderLine.amount_fen)
        ):
            odd.update(dict.fromkeys(odd_kinds(quantity, amount), count))
        assert odd == wanted.odd
        # Odd lines are kept as they are; only amounts that do not add up, or a store or buyer nobody knows, are exceptions.
        opened = session.execute(sa.select(OrderException.rule, sa.func.count()).group_by(OrderException.rule))
        exceptions = {row[0]: row[1] for row in opened}
        assert exceptions == ({"amounts_differ": wanted.unequal} if wanted.unequal else {})
        assert one(session, sa.func.count(), sa.func.sum(PointsEntry.points)) == (wanted.earning_orders, wanted.points)
        assert one(session, sa.func.sum(Order.points_earned)) == one(session, sa.func.sum(OrderLine.points)) == (wanted.points,)
        assert first.points == wanted.points
        check_member_by_member(session, wanted)
        assert session.scalar(sa.select(sa.func.count(sa.distinct(Order.store_code)))) == len(wanted.stores)
        assert proofs.prove(session) == []
        before, touched = table_sizes(session), last_touch(session)

    again = run_import(core, *paths, RETAIL, tmp_path / "errors.csv")
    assert (again.created, again.same, again.refused, again.points, again.products) == (0, wanted.orders, 0, 0, 0)
    with core.db.reading() as session:
        assert (table_sizes(session), last_touch(session)) == (before, touched)
