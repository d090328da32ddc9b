"""``flask --app wsgi import-legacy-cards``: let the card numbers of an older system stand for members.

Safe to repeat: a number that stands for its member already stays as it is. A broken row stops no other; it is listed in the error file by
file, line, column and reason. ``--preview`` says what would happen and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click
from flask import current_app
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.flows.legacy_cards import ADDED, REFUSED, LegacyRow, Outcome, take_in
from server.kernel.actors import SystemActor
from server.kernel.errors import DomainError
from server.transfers import service as transfers
from server.transfers.sheets import Sheet, open_sheet
from tasks.refused_rows import RefusedRows

if TYPE_CHECKING:
    from server.bootstrap import Core

KIND = "cards.import"
_ACTOR = SystemActor("cards.import")
_CHUNK = 500
_NEEDED = "legacy_no"
_NAMES = ("card_no", "phone", "channel", "external_id")


@dataclass(slots=True)
class Report:
    """What an import did, or would do."""

    added: int = 0
    same: int = 0
    refused: int = 0
    error_file: Path | None = None
    transfer_id: UUID | None = None


@click.command("import-legacy-cards")
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), help="Where refused rows are listed.")
@click.option("--preview", is_flag=True, help="Say what would happen; write nothing but the list of refused rows.")
@with_appcontext
def command(table: Path, errors: Path | None, *, preview: bool) -> None:
    """Take over card numbers from TABLE (.csv, .csv.gz or .xlsx): legacy_no, and card_no, phone, or channel with external_id."""
    core: Core = current_app.extensions["huiban"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            report = run_import(core, table, errors or table.with_name(f"{table.name}.errors.csv"), preview=preview, progress=progress)
    except DomainError as refusal:
        raise click.ClickException(str(refusal)) from refusal
    click.echo(f"{'preview: ' if preview else ''}{report.added} new, {report.same} unchanged, {report.refused} refused")
    if report.error_file is not None:
        click.echo(f"refused rows: {report.error_file}")


def run_import(core: Core, table: Path, error_path: Path, *, preview: bool = False, progress: Progress | None = None) -> Report:
    """Take over card numbers, or look what that would do.

    Arguments:
        core: of this process.
        table: of the numbers.
        error_path: where refused rows are listed; made only when there are some.
        preview: write nothing into the database.
        progress: shows how far it is.

    Raises:
        SheetRefusedError: the file is no plain table or lacks a column; nothing was taken over.
    """
    report, errors = Report(), RefusedRows(error_path)
    with open_sheet(table) as sheet:
        sheet.places([_NEEDED])
        total = sum(1 for _ in sheet.rows())
    with _job(core, table.name, total, report, errors, preview=preview), open_sheet(table) as sheet:
        bar = progress.add_task("cards", total=total) if progress else None
        rows = _rows(sheet)
        while chunk := list(islice(rows, _CHUNK)):
            outcomes = _take_in(core, [row for _, row in chunk], preview=preview)
            refused = 0
            for (line, _), outcome in zip(chunk, outcomes, strict=True):
                if outcome.result == REFUSED:
                    refused += 1
                    errors.add(sheet.name, line, outcome.column, outcome.reason)
                elif outcome.result == ADDED:
                    report.added += 1
                else:
                    report.same += 1
            report.refused += refused
            _advance(core, report.transfer_id, len(chunk) - refused, refused)
            if progress is not None and bar is not None:
                progress.advance(bar, len(chunk))
        report.refused += len(sheet.faults)
        errors.add_faults(sheet)
    report.error_file = error_path if errors.count else None
    return report


def _take_in(core: Core, rows: list[LegacyRow], *, preview: bool) -> list[Outcome]:
    return core.db.run(lambda session: take_in(session, rows, preview=preview, actor=_ACTOR, now=core.clock.now()))


def _rows(sheet: Sheet) -> Iterator[tuple[int, LegacyRow]]:
    names = (_NEEDED, *(name for name in _NAMES if name in sheet.header))
    places = sheet.places(names)
    for line, cells in sheet.rows():
        yield line, LegacyRow(**{name: cells[place].strip() for name, place in places.items()})


def _advance(core: Core, job: UUID | None, done: int, refused: int) -> None:
    if job is not None:
        core.db.run(lambda session: transfers.advance(session, job, done=done, errors=refused, now=core.clock.now()))


@contextmanager
def _job(core: Core, name: str, total: int, report: Report, errors: RefusedRows, *, preview: bool) -> Iterator[None]:
    """Write down the job around its work; a preview is none."""
    if not preview:
        report.transfer_id = core.db.run(
            lambda session: transfers.start(session, kind=KIND, name=name, actor=_ACTOR, total=total, now=core.clock.now())
        )
    job = report.transfer_id
    try:
        yield
    except BaseException as failure:
        if job is not None:
            kind = type(failure).__name__
            core.db.run(lambda session: transfers.fail(session, job, failure=kind, now=core.clock.now()))
        raise
    finally:
        errors.close()
    if job is not None:
        error_file = errors.path.name if errors.count else None
        core.db.run(lambda session: transfers.finish(session, job, error_file=error_file, now=core.clock.now()))
