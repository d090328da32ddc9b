"""``flask --app wsgi import-orders``: take over a shop's sales from CSV files, plain or gzipped, or from XLSX workbooks.

Safe to repeat: what was taken in before stays as it is. A broken row stops no other; it is listed in the error file by file, line, column
and reason. A file that is no plain table, or lacks a column of the mapping, is refused before anything is taken in. Lines may come in any
order: they wait in a temporary file, so memory stays flat however long the history is (a workbook, which is read whole, is bounded).
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click
from flask import current_app
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import DBAPIError

from server.catalogue import service as catalogue
from server.catalogue.errors import CatalogueInvalidError
from server.catalogue.rules import PlaceDraft, ProductDraft
from server.flows.history import CREATED, REFUSED, HistoryIntake, Outcome
from server.kernel.actors import SystemActor
from server.kernel.errors import DomainError
from server.orders.drafts import OrderDraft
from server.orders.files import RETAIL, OrderMapping, OrderReader, RowError, product_of, read_mapping
from server.transfers import service as transfers
from server.transfers.sheets import Row, Sheet, open_sheet
from tasks.refused_rows import RefusedRows

if TYPE_CHECKING:
    from server.bootstrap import Core

KIND = "orders.import"
_ACTOR = SystemActor("orders.import")
_CHUNK = 750
_STAGE = 5000


@dataclass(slots=True)
class Report:
    """What an import did."""

    created: int = 0
    same: int = 0
    refused: int = 0
    products: int = 0
    points: int = 0
    errors: int = 0
    error_file: Path | None = None
    transfer_id: UUID | None = None


@click.command("import-orders")
@click.argument("orders", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lines", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Table of the sales' lines.")
@click.option("--products", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Table of products, for their names.")
@click.option("--mapping", default="retail", show_default=True, help="'retail', or a JSON file that says which column means what.")
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), help="Where refused rows are listed.")
def command(orders: Path, lines: Path, products: Path | None, mapping: str, errors: Path | None) -> None:
    """Take over sales from ORDERS, a table (.csv, .csv.gz or .xlsx with one sheet)."""
    core: Core = current_app.extensions["huiban"]
    try:
        chosen = RETAIL if mapping == "retail" else read_mapping(json.loads(Path(mapping).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"mapping: {error}") from error
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            report = run_import(
                core, orders, lines, products, chosen, errors or orders.with_name(f"{orders.name}.errors.csv"), progress=progress
            )
    except DomainError as refusal:
        raise click.ClickException(str(refusal)) from refusal
    click.echo(
        f"{report.created} new, {report.same} unchanged, {report.refused} refused; "
        f"{report.products} new products; {report.points} points given"
    )
    if report.error_file is not None:
        click.echo(f"refused rows: {report.error_file}")


def run_import(
    core: Core,
    orders: Path,
    lines: Path,
    products: Path | None,
    mapping: OrderMapping,
    error_path: Path,
    *,
    progress: Progress | None = None,
) -> Report:
    """Take over a history.

    Arguments:
        core: of this process.
        orders: table of the sales.
        lines: table of their lines.
        products: table of products, or None.
        mapping: which column means what.
        error_path: where refused rows are listed; made only when there are some.
        progress: shows how far it is.

    Returns:
        What was done.

    Raises:
        SheetRefusedError: a file is no plain table or lacks a column; nothing was taken in.
    """
    report, errors = Report(), RefusedRows(error_path)
    total, stores = _survey(orders, mapping)
    job = core.db.run(
        lambda session: transfers.start(session, kind=KIND, name=orders.name, actor=_ACTOR, total=total, now=core.clock.now())
    )
    report.transfer_id = job
    try:
        with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "lines.db")) as staged, ExitStack() as opened:
            sales, parts = opened.enter_context(open_sheet(orders)), opened.enter_context(open_sheet(lines))
            reader = _reader(mapping, sales, parts)
            if products is not None:
                reader.products = _take_in_products(core, products, mapping, report, errors)
            _make_stores(core, stores)
            _stage_lines(staged, parts, reader, errors)
            bar = progress.add_task("orders", total=total) if progress else None
            intake = HistoryIntake(_ACTOR)
            for chunk in _chunks(sales.rows(), _CHUNK):
                before = report.refused
                drafts = _drafts(reader, chunk, staged, sales.name, report, errors)
                _take_in(core, intake, drafts, sales.name, report, errors)
                _advance(core, job, len(chunk), report.refused - before)
                if progress is not None and bar is not None:
                    progress.advance(bar, len(chunk))
            report.refused += len(sales.faults)
            errors.add_faults(sales)
            _report_orphans(staged, str(mapping.lines["order"]), parts.name, errors)
    except BaseException as failure:
        name = type(failure).__name__
        core.db.run(lambda session: transfers.fail(session, job, failure=name, now=core.clock.now()))
        raise
    finally:
        errors.close()
    report.errors = errors.count
    report.error_file = error_path if errors.count else None
    error_name = error_path.name if errors.count else None
    core.db.run(lambda session: transfers.finish(session, job, error_file=error_name, now=core.clock.now()))
    return report


def _survey(path: Path, mapping: OrderMapping) -> tuple[int, list[str]]:
    """Return how many sales a table has, and the stores they name when the mapping makes stores."""
    column = mapping.orders.get("store") if mapping.make_stores else None
    with open_sheet(path) as sheet:
        if column is None:
            return sum(1 for _ in sheet.rows()), []
        place = sheet.places([column])[column]
        count, codes = 0, set()
        for _, row in sheet.rows():
            count += 1
            codes.add(row[place].strip())
    return count, sorted(codes - {""})


def _reader(mapping: OrderMapping, sales: Sheet, parts: Sheet) -> OrderReader:
    for sheet, meanings in ((sales, mapping.orders), (parts, mapping.lines)):
        sheet.places([name for names in meanings.values() for name in ([names] if isinstance(names, str) else names)])
    return OrderReader(mapping, {}, sales.header, parts.header)


def _advance(core: Core, job: UUID, items: int, refused: int) -> None:
    core.db.run(lambda session: transfers.advance(session, job, done=items - refused, errors=refused, now=core.clock.now()))


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _take_in_products(
    core: Core, path: Path, mapping: OrderMapping, report: Report, errors: RefusedRows
) -> dict[str, tuple[str, str | None]]:
    names: dict[str, tuple[str, str | None]] = {}
    with open_sheet(path) as sheet:
        for chunk in _chunks(sheet.rows(), 5000):
            drafts: list[ProductDraft] = []
            for line, row in chunk:
                try:
                    draft = product_of(dict(zip(sheet.header, row, strict=True)), mapping)
                    names[draft.sku] = (draft.name, draft.category)
                    drafts.append(draft)
                except RowError as wrong:
                    errors.add(sheet.name, line, wrong.column, wrong.reason)
            try:
                report.products += core.db.run(
                    lambda session, drafts=drafts: catalogue.add_products(session, drafts, actor=_ACTOR, now=core.clock.now())  # type: ignore[misc]
                )
            except CatalogueInvalidError as wrong:
                errors.add(sheet.name, chunk[0][0], ",".join(wrong.fields), wrong.code)
        errors.add_faults(sheet)
    return names


def _make_stores(core: Core, codes: list[str]) -> None:
    if codes:
        drafts = [PlaceDraft(code, code) for code in codes]
        core.db.run(lambda session: catalogue.add_stores(session, drafts, actor=_ACTOR, now=core.clock.now()))


def _stage_lines(staged: sqlite3.Connection, sheet: Sheet, reader: OrderReader, errors: RefusedRows) -> None:
    """Lay the lines aside by their sale: one row for each run of lines of the same sale, since a file mostly keeps them together."""
    staged.executescript(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000; "
        "CREATE TABLE lines (number TEXT, first INTEGER, run TEXT, used INTEGER DEFAULT 0)"
    )
    insert = "INSERT INTO lines (number, first, run) VALUES (?, ?, ?)"
    as_json = json.JSONEncoder(ensure_ascii=False).encode
    place = reader.line_number_place
    current = ""
    run: list[tuple[int, list[str]]] = []
    waiting: list[tuple[str, int, str]] = []
    for line, row in sheet.rows():
        number = row[place].strip()
        if not number:
            errors.add(sheet.name, line, sheet.header[place], "empty")
            continue
        if number != current:
            if run:
                waiting.append((current, run[0][0], as_json(run)))
            if len(waiting) >= _STAGE:
                staged.executemany(insert, waiting)
                waiting = []
            current, run = number, []
        run.append((line, row))
    if run:
        waiting.append((current, run[0][0], as_json(run)))
    staged.executemany(insert, waiting)
    staged.execute("CREATE INDEX by_number ON lines (number, first)")
    staged.commit()
    errors.add_faults(sheet)


def _drafts(
    reader: OrderReader, chunk: list[Row], staged: sqlite3.Connection, name: str, report: Report, errors: RefusedRows
) -> list[tuple[int, OrderDraft]]:
    numbers = [row[reader.number_place].strip() for _, row in chunk]
    marks = ",".join("?" * len(numbers))
    lines: dict[str, list[list[str]]] = {}
    for number, run in staged.execute(f"SELECT number, run FROM lines WHERE number IN ({marks}) ORDER BY number, first", numbers):
        lines.setdefault(number, []).extend([row for _, row in json.loads(run)])
    staged.execute(f"UPDATE lines SET used = 1 WHERE number IN ({marks})", numbers)
    drafts = []
    for (line, row), number in zip(chunk, numbers, strict=True):
        try:
            drafts.append((line, reader.draft(row, lines.get(number, []))))
        except RowError as wrong:
            errors.add(name, line, wrong.column, wrong.reason)
            report.refused += 1
    return drafts


def _take_in(
    core: Core, intake: HistoryIntake, drafts: list[tuple[int, OrderDraft]], name: str, report: Report, errors: RefusedRows
) -> None:
    if not drafts:
        return
    wanted = [draft for _, draft in drafts]
    try:
        outcomes = core.db.run(lambda session: intake.take_in(session, wanted, now=core.clock.now()))
        intake.committed()
    except DBAPIError:
        # One sale that the database refuses must not cost the others: each gets a transaction of its own.
        outcomes = [_alone(core, intake, draft) for draft in wanted]
    for (line, _), outcome in zip(drafts, outcomes, strict=True):
        if outcome.result == REFUSED:
            report.refused += 1
            fields = ",".join(outcome.refusal.fields) if outcome.refusal else ""
            errors.add(name, line, fields, outcome.refusal.code if outcome.refusal else "refused_by_database")
        elif outcome.result == CREATED:
            report.created += 1
            report.points += outcome.points
        else:
            report.same += 1


def _alone(core: Core, intake: HistoryIntake, draft: OrderDraft) -> Outcome:
    try:
        (outcome,) = core.db.run(lambda session: intake.take_in(session, [draft], now=core.clock.now()))
        intake.committed()
    except DBAPIError:
        return Outcome(REFUSED)
    return outcome


def _report_orphans(staged: sqlite3.Connection, column: str, name: str, errors: RefusedRows) -> None:
    for (run,) in staged.execute("SELECT run FROM lines WHERE used = 0 ORDER BY first"):
        for line, _ in json.loads(run):
            errors.add(name, line, column, "no_such_order")
