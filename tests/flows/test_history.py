"""A history taken over in chunks is the very history that single sales would have made."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
import xlsxwriter

from server.catalogue import service as catalogue
from server.catalogue.rules import PlaceDraft
from server.flows.history import CREATED, REFUSED, SAME, HistoryIntake
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.orders import queries
from server.orders.drafts import MemberRef
from server.orders.files import RETAIL, OrderReader, RowError, read_mapping
from server.orders.models import Order, OrderEventRow, OrderLine
from server.points import bulk, proofs
from server.points import queries as points
from server.points import service as points_service
from server.points.models import (
    PointsAccount,
    PointsAllocation,
    PointsEntry,
    PointsLot,
    PointsPosting,
    PointsRuleBudget,
    PointsRuleShare,
)
from server.points.rulebook import RuleDraft
from server.points.rules import MULTIPLIER, PER_AMOUNT
from server.transfers import queries as transfers
from server.transfers.errors import SheetRefusedError
from tasks.commands.import_orders import run_import
from tests.conftest import START
from tests.factories.orders import SHOP, SYSTEM, a_draft, a_line, a_till_draft, an_order

NOW = START
SAMPLE = Path(__file__).parents[2] / "examples" / "retail_sample"
MADE_ANEW = {"id", "entry_id", "order_id", "lot_id", "order_no", "member_id", "fingerprint", "points_entry_id", "source_key", "rule_id"}


def shape(session, model):
    """Return a table's rows without what is made anew each time."""
    rows = session.execute(sa.select(*sa.inspect(model).local_table.columns)).mappings()
    kept = [{name: value for name, value in row.items() if name not in MADE_ANEW} for row in rows]
    for row in kept:
        if row.get("details"):
            row["details"].pop("order_no", None)
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in kept)


def the_drafts():
    return [
        a_till_draft(
            now=NOW + timedelta(days=place),
            external_no=f"H-{place}",
            member=MemberRef(external_id=f"buyer-{place % 2}"),
            lines=(a_line(1, amount_fen=1234 * (place + 1), quantity=3), a_line(2, amount_fen=77 * place, quantity=0)),
        )
        for place in range(5)
    ]


TABLES = (
    *(Order, OrderLine, OrderEventRow, PointsEntry, PointsPosting, PointsLot, PointsAllocation, PointsAccount),
    *(PointsRuleBudget, PointsRuleShare),
)


def test_a_chunk_writes_the_rows_that_single_sales_write(core):
    def prepare(session):
        points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
        bonus = {"fen_per_point": 300, "stacks": True, "max_points_per_day": 9, "max_points_per_member": 20, "max_points_in_all": 25}
        week = {"percent": 150, "weekdays": [2, 4], "channels": ["till"]}
        for kind, code, document in ((PER_AMOUNT, "bonus", bonus), (MULTIPLIER, "week", week)):
            points_service.save_rule(session, RuleDraft(code, kind, code, document), actor=SYSTEM, now=NOW)

    ends = []
    for way in ("one by one", "chunk"):
        with core.db._session(core.db.engine) as session:
            prepare(session)
            drafts = the_drafts()
            if way == "chunk":
                outcomes = HistoryIntake(SHOP).take_in(session, drafts, now=NOW)
                assert {outcome.result for outcome in outcomes} == {CREATED}
            else:
                for draft in drafts:
                    an_order(session, draft, now=draft.placed_at)
            tables = {model.__tablename__: shape(session, model) for model in TABLES}
            assert proofs.prove(session) == []
            session.rollback()
        # The instant of taking in differs on purpose: a history is taken in now.
        for name in ("orders", "order_events", "points_accounts"):
            tables[name] = [
                {k: v for k, v in json.loads(row).items() if k not in {"taken_in_at", "updated_at", "received_at", "opened_at"}}
                for row in tables[name]
            ]
            tables[name].sort(key=lambda row: json.dumps(row, sort_keys=True))
        ends.append(tables)
    for name in ends[0]:
        assert ends[0][name] == ends[1][name], name


def test_a_history_is_no_news_and_repeats_change_nothing(session):
    points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
    drafts = the_drafts()
    intake = HistoryIntake(SHOP)
    intake.take_in(session, drafts, now=NOW)
    again = intake.take_in(session, [*drafts, the_drafts()[0]], now=NOW)
    assert {outcome.result for outcome in again} == {SAME}
    assert session.scalar(sa.select(sa.func.count()).select_from(Order)) == 5
    topics = set(session.scalars(sa.select(OutboxEvent.topic)))
    assert topics <= {"members.enrolled"}


def test_other_content_is_refused_and_a_sale_to_be_shipped_goes_the_long_way(session):
    points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
    first = the_drafts()[0]
    HistoryIntake(SHOP).take_in(session, [first], now=NOW)
    other = a_till_draft(now=NOW, external_no=first.external_no)
    shipped = a_draft(now=NOW, member=MemberRef(external_id="buyer-9"))
    outcomes = HistoryIntake(SHOP).take_in(session, [other, shipped], now=NOW)
    assert [(outcome.result, getattr(outcome.refusal, "code", None)) for outcome in outcomes] == [
        (REFUSED, "order_conflict"),
        (CREATED, None),
    ]
    found = queries.by_external(session, shipped.channel, shipped.external_no)
    assert points.balance(session, found.member_id).pending == 100


def test_accruing_many_replays_by_source(session):
    from server.kernel.amounts import Points
    from server.kernel.source import Source
    from server.points.errors import SourceConflictError
    from tests.factories.points import a_member

    member = a_member(session, now=NOW)
    item = bulk.Accrual(member, Points(5), Source("test", "a"), "Gift", NOW)
    (first,) = bulk.accrue_many(session, [item], actor=SYSTEM)
    (again,) = bulk.accrue_many(session, [item], actor=SYSTEM)
    assert (again.id, again.replayed, points.balance(session, member).available) == (first.id, True, 5)
    with pytest.raises(SourceConflictError):
        bulk.accrue_many(session, [bulk.Accrual(member, Points(6), Source("test", "a"), "Gift", NOW)], actor=SYSTEM)
    assert session.scalar(sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.topic == "points.accrued")) == 1


def copied(tmp_path, *, gzipped=False):
    for name in ("orders", "order_lines", "products"):
        target = tmp_path / f"{name}.csv"
        shutil.copy(SAMPLE / f"{name}.csv", target)
        if gzipped:
            (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(target.read_bytes()))
    return [tmp_path / f"{name}.csv{'.gz' if gzipped else ''}" for name in ("orders", "order_lines", "products")]


def taken(core, paths, tmp_path):
    return run_import(core, *paths, RETAIL, tmp_path / "errors.csv")


def test_the_sample_adds_up_to_the_fen_and_a_second_run_changes_nothing(core, tmp_path):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    paths = copied(tmp_path, gzipped=True)
    first = taken(core, paths, tmp_path)
    rows = (SAMPLE / "orders.csv").read_text().splitlines()[1:]
    paid = [int(row.split(",")[5]) for row in rows]
    assert (first.created, first.refused, first.errors) == (len(rows), 0, 0)
    again = taken(core, paths, tmp_path)
    assert (again.created, again.same, again.points, again.products) == (0, len(rows), 0, 0)
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.sum(Order.payable_fen))) == sum(paid)
        assert session.scalar(sa.select(sa.func.sum(OrderLine.amount_fen))) == sum(paid)
        assert session.scalar(sa.select(sa.func.sum(PointsEntry.points))) == first.points == sum(fen // 100 for fen in paid)
        assert proofs.prove(session) == []
        job = transfers.find(session, first.transfer_id)
        assert (job.state, job.total, job.done, job.errors, job.percent) == ("done", len(rows), len(rows), 0, 100)


def test_a_broken_row_stops_no_other_row(core, tmp_path):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    paths = copied(tmp_path)
    rows = paths[0].read_text().splitlines()
    broken = rows[3].split(",")
    broken[3] = "yesterday"
    rows[3] = ",".join(broken)
    odd = rows[5].split(",")
    odd[5] = "12.5"
    rows[5] = ",".join(odd)
    rows.append("999,1,330,2017-06-30T10:00:00-05:00,1,50,0,0,0")
    paths[0].write_text("\n".join(rows) + "\n")
    with paths[1].open("a") as file:
        file.write("888,1,1,50,0,0,0\n")
    report = taken(core, paths, tmp_path)
    assert (report.created, report.refused) == (len(rows) - 1 - 3, 3)
    listed = (tmp_path / "errors.csv").read_text().splitlines()
    assert listed[0] == "file,line,column,reason"
    assert "orders.csv,4,placed_at,not_an_instant" in listed
    assert "orders.csv,6,paid_cents,not_a_whole_number" in listed
    assert f"orders.csv,{len(rows)},lines,lines_missing" in listed
    assert any(row.endswith("basket_id,no_such_order") for row in listed)


def test_a_mapping_of_ones_own_reads_yuan():
    document = {
        "channel": "shop",
        "money": "yuan",
        "orders": {"external_no": "no", "placed_at": "at", "payable": "total", "phone": "phone"},
        "lines": {"order": "no", "sku": "sku", "quantity": "n", "amount": "sum"},
    }
    reader = OrderReader(read_mapping(document), {}, ("no", "at", "total", "phone"), ("no", "sku", "n", "sum"))
    row = ["1", "2026-06-01 10:00:00", "12.30", "13800138000"]
    draft = reader.draft(row, [["1", "A", "2", "12.30"]])
    assert (draft.payable_fen, draft.lines[0].amount_fen, draft.placed_at.utcoffset()) == (1230, 1230, timedelta(hours=8))
    for total in ("1.234", "", "NaN", "twelve"):
        with pytest.raises(RowError):
            reader.draft([*row[:2], total, row[3]], [])
    with pytest.raises(RowError, match="phone: column_missing"):
        OrderReader(read_mapping(document), {}, ("no", "at", "total"), ("no", "sku", "n", "sum"))
    for part in ("orders", "lines"):
        with pytest.raises(ValueError, match="lacks"):
            read_mapping({**document, part: {}})


def test_stores_of_a_history_are_made_once(session):
    drafts = [PlaceDraft("S1", "S1"), PlaceDraft("S2", "S2"), PlaceDraft("S1", "S1")]
    assert catalogue.add_stores(session, drafts, actor=SYSTEM, now=NOW) == 2
    assert catalogue.add_stores(session, drafts, actor=SYSTEM, now=NOW) == 0


def as_workbooks(tmp_path, paths):
    books = []
    for path in paths:
        target = path.with_suffix(".xlsx")
        book = xlsxwriter.Workbook(str(target))
        sheet = book.add_worksheet("Data")
        with path.open(encoding="utf-8", newline="") as file:
            for place, row in enumerate(csv.reader(file)):
                for column, cell in enumerate(row):
                    (sheet.write_number if cell.lstrip("-").isdigit() else sheet.write_string)(
                        place, column, cell if not cell.isdigit() else int(cell)
                    )
        book.close()
        books.append(target)
    return books


def test_workbooks_are_the_same_history_as_csv(core, tmp_path):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    paths = copied(tmp_path)
    first = taken(core, as_workbooks(tmp_path, paths), tmp_path)
    assert (first.refused, first.errors) == (0, 0)
    # Nothing new in the CSV: every fingerprint is the same.
    again = taken(core, paths, tmp_path)
    assert (again.created, again.same, again.refused) == (0, first.created, 0)


def test_a_table_without_a_column_is_refused_before_anything_is_taken_in(core, tmp_path):
    paths = copied(tmp_path)
    paths[1].write_text(paths[1].read_text().replace("sales_value_cents", "amount", 1))
    with pytest.raises(SheetRefusedError) as caught:
        taken(core, paths, tmp_path)
    assert caught.value.params == {"name": "order_lines.csv", "reason": "columns_missing", "place": "sales_value_cents"}
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Order)) == 0
        (job,) = transfers.list_jobs(session, PageRequest()).items
        assert (job.state, job.failure) == ("failed", "SheetRefusedError")


@pytest.mark.committing
def test_two_imports_of_one_file_at_once_end_like_one(core, tmp_path):
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    paths = copied(tmp_path)
    start = Barrier(2)

    def run(number):
        start.wait()
        return run_import(core, *paths, RETAIL, tmp_path / f"errors-{number}.csv")

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(run, range(2)))
    rows = (SAMPLE / "orders.csv").read_text().splitlines()[1:]
    assert [report.errors for report in reports] == [0, 0]
    assert sum(report.created for report in reports) == len(rows)
    assert sum(report.same for report in reports) == len(rows)
    with core.db.reading() as session:
        paid = [int(row.split(",")[5]) for row in rows]
        assert session.scalar(sa.select(sa.func.sum(OrderLine.amount_fen))) == sum(paid)
        assert session.scalar(sa.select(sa.func.sum(PointsEntry.points))) == sum(fen // 100 for fen in paid)
        assert session.scalar(sa.select(sa.func.count(sa.distinct(Order.member_id)))) == len({row.split(",")[1] for row in rows})
        assert proofs.prove(session) == []
