"""``flask --app wsgi import-orders``: take over a shop's sales from CSV files, plain or gzipped.

Safe to repeat: what was taken in before stays as it is. A broken row stops no other; it is listed in the error file by file, line, column
and reason. Lines may come in any order: they wait in a temporary file, so memory stays flat however long the history is.
"""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
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
from server.orders.drafts import OrderDraft
from server.orders.files import RETAIL, OrderMapping, OrderReader, RowError, product_of, read_mapping
from server.transfers import service as transfers

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


@dataclass(slots=True)
class _Errors:
    """The error file, made when the first row is refused."""

    path: Path
    count: int = 0
    _file: TextIO | None = field(default=None)

    def add(self, name: str, line: int, column: str, reason: str) -> None:
        """List one refused row."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(["file", "line", "column", "reason"])
        csv.writer(self._file).writerow([name, line, column, reason])
        self.count += 1

    def close(self) -> None:
        """Close the file if there is one."""
        if self._file is not None:
            self._file.close()


@click.command("import-orders")
@click.argument("orders", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lines", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV of the sales' lines.")
@click.option("--products", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV of products, for their names.")
@click.option("--mapping", default="retail", show_default=True, help="'retail', or a JSON file that says which column means what.")
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), help="Where refused rows are listed.")
def command(orders: Path, lines: Path, products: Path | None, mapping: str, errors: Path | None) -> None:
    """Take over sales from ORDERS, a CSV file (.csv or .csv.gz)."""
    core: Core = current_app.extensions["huiban"]
    try:
        chosen = RETAIL if mapping == "retail" else read_mapping(json.loads(Path(mapping).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"mapping: {error}") from error
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        report = run_import(
            core, orders, lines, products, chosen, errors or orders.with_name(f"{orders.name}.errors.csv"), progress=progress
        )
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
        orders: CSV of the sales.
        lines: CSV of their lines.
        products: CSV of products, or None.
        mapping: which column means what.
        error_path: where refused rows are listed; made only when there are some.
        progress: shows how far it is.

    Returns:
        What was done.
    """
    report, errors = Report(), _Errors(error_path)
    total = sum(1 for _ in _rows(orders))
    job = core.db.run(
        lambda session: transfers.start(session, kind=KIND, name=orders.name, actor=_ACTOR, total=total, now=core.clock.now())
    )
    report.transfer_id = job
    try:
        with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "lines.db")) as staged:
            names = _take_in_products(core, products, mapping, report, errors) if products else {}
            if mapping.make_stores:
                _make_stores(core, orders, mapping)
            _stage_lines(staged, lines, mapping, errors)
            bar = progress.add_task("orders", total=total) if progress else None
            intake = HistoryIntake(_ACTOR)
            reader = OrderReader(mapping, names)
            for chunk in _chunks(_rows(orders), _CHUNK):
                before = report.refused
                drafts = _drafts(reader, chunk, staged, mapping, orders.name, report, errors)
                _take_in(core, intake, drafts, orders.name, report, errors)
                _advance(core, job, len(chunk), report.refused - before)
                if progress is not None and bar is not None:
                    progress.advance(bar, len(chunk))
            _report_orphans(staged, mapping, lines.name, errors)
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


def _advance(core: Core, job: UUID, items: int, refused: int) -> None:
    core.db.run(lambda session: transfers.advance(session, job, done=items - refused, errors=refused, now=core.clock.now()))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a CSV file."""
    with _opened(path) as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield (
                reader.line_num,
                {name: value or "" for name, value in row.items() if isinstance(name, str) and not isinstance(value, list)},
            )


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _chunks(rows: Iterator[tuple[int, dict[str, str]]], size: int) -> Iterator[list[tuple[int, dict[str, str]]]]:
    chunk: list[tuple[int, dict[str, str]]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _take_in_products(core: Core, path: Path, mapping: OrderMapping, report: Report, errors: _Errors) -> dict[str, tuple[str, str | None]]:
    names: dict[str, tuple[str, str | None]] = {}
    for chunk in _chunks(_rows(path), 5000):
        drafts: list[ProductDraft] = []
        for line, row in chunk:
            try:
                draft = product_of(row, mapping)
                names[draft.sku] = (draft.name, draft.category)
                drafts.append(draft)
            except RowError as wrong:
                errors.add(path.name, line, wrong.column, wrong.reason)
        try:
            report.products += core.db.run(
                lambda session, drafts=drafts: catalogue.add_products(session, drafts, actor=_ACTOR, now=core.clock.now())  # type: ignore[misc]
            )
        except CatalogueInvalidError as wrong:
            errors.add(path.name, chunk[0][0], ",".join(wrong.fields), wrong.code)
    return names


def _make_stores(core: Core, orders: Path, mapping: OrderMapping) -> None:
    column = mapping.orders.get("store")
    if column is None:
        return
    codes = sorted({row.get(column, "").strip() for _, row in _rows(orders)} - {""})
    core.db.run(
        lambda session: catalogue.add_stores(session, [PlaceDraft(code, code) for code in codes], actor=_ACTOR, now=core.clock.now())
    )


def _stage_lines(staged: sqlite3.Connection, path: Path, mapping: OrderMapping, errors: _Errors) -> None:
    staged.executescript(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; CREATE TABLE lines (number TEXT, line INTEGER, row TEXT, used INTEGER DEFAULT 0)"
    )
    column = mapping.lines["order"]
    for chunk in _chunks(_rows(path), _STAGE):
        rows = []
        for line, row in chunk:
            number = row.get(column, "").strip()
            if number:
                rows.append((number, line, json.dumps(row)))
            else:
                errors.add(path.name, line, column, "empty")
        staged.executemany("INSERT INTO lines (number, line, row) VALUES (?, ?, ?)", rows)
    staged.execute("CREATE INDEX by_number ON lines (number, line)")
    staged.commit()


def _drafts(
    reader: OrderReader,
    chunk: list[tuple[int, dict[str, str]]],
    staged: sqlite3.Connection,
    mapping: OrderMapping,
    name: str,
    report: Report,
    errors: _Errors,
) -> list[tuple[int, OrderDraft]]:
    column = mapping.orders["external_no"]
    numbers = [row.get(column, "").strip() for _, row in chunk]
    marks = ",".join("?" * len(numbers))
    lines: dict[str, list[dict[str, str]]] = {}
    for number, row in staged.execute(f"SELECT number, row FROM lines WHERE number IN ({marks}) ORDER BY number, line", numbers):
        lines.setdefault(number, []).append(json.loads(row))
    staged.execute(f"UPDATE lines SET used = 1 WHERE number IN ({marks})", numbers)
    drafts = []
    for (line, row), number in zip(chunk, numbers, strict=True):
        try:
            drafts.append((line, reader.draft(row, lines.get(number, []))))
        except RowError as wrong:
            errors.add(name, line, wrong.column, wrong.reason)
            report.refused += 1
    return drafts


def _take_in(core: Core, intake: HistoryIntake, drafts: list[tuple[int, OrderDraft]], name: str, report: Report, errors: _Errors) -> None:
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


def _report_orphans(staged: sqlite3.Connection, mapping: OrderMapping, name: str, errors: _Errors) -> None:
    for (line,) in staged.execute("SELECT line FROM lines WHERE used = 0 ORDER BY line"):
        errors.add(name, line, mapping.lines["order"], "no_such_order")
