"""Reads tables that people hand over: CSV (plain or gzipped) and XLSX, as one header and rows of text.

What cannot be one plain table is refused as a whole before anything is taken in: a workbook of several sheets without a word which one,
merged cells, formulas (their stored result may be old), a header with holes or repeats, and files beyond the bounds.
"""

from __future__ import annotations

import csv
import gzip
import html
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, TextIO

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetVisibleEnum

from server.transfers.errors import SheetRefusedError

SUFFIXES = (".csv", ".csv.gz", ".xlsx")
MAX_ROWS = 5_000_000
MAX_XLSX_BYTES = 64 << 20
MAX_XLSX_UNPACKED_BYTES = 1 << 30
MAX_COLUMNS = 500
# A spreadsheet keeps fifteen digits of a number; what is longer has lost its end already.
_DIGITS_KEPT = 10**15
_FORMULA = re.compile(rb'<(?:\w+:)?c\b[^>]*?\br="([A-Z]{1,3}[0-9]{1,7})"[^>]*>\s*<(?:\w+:)?f[\s/>]')
_PIECE = 1 << 20
_OVERLAP = 4096

Row = tuple[int, list[str]]
NUMBER_TOO_LONG = "number_too_long"
"""Stands for a cell that cannot be trusted; ``Sheet.faults`` tells where."""


@dataclass(slots=True)
class Fault:
    """A cell that cannot be read: its row is not among the rows."""

    line: int
    column: str
    reason: str


class Sheet:
    """A table: ``header``, then ``rows()`` as (line, cells), every row as long as the header.

    Arguments:
        name: of the file, as errors call it.
        header: names of the columns.
        lines: the rows below it.
        max_rows: at most so many.
    """

    def __init__(self, name: str, header: Sequence[str], lines: Iterator[Row], max_rows: int) -> None:
        self.name = name
        self.header = tuple(header)
        self.faults: list[Fault] = []
        self._lines = lines
        self._max_rows = max_rows

    def rows(self) -> Iterator[Row]:
        """Yield (line, cells) of every row that is not blank.

        Raises:
            SheetRefusedError: the file turns out to be no table, or to be too long.
        """
        width, count = len(self.header), 0
        for line, cells in self._lines:
            if not any(cells):
                continue
            count += 1
            if count > self._max_rows:
                raise SheetRefusedError(name=self.name, reason="too_many_rows", place=str(self._max_rows))
            if len(cells) == width:
                yield line, cells
            elif any(cells[width:]):
                self.faults.append(Fault(line, "", "too_many_cells"))
            else:
                yield line, [*cells[:width], *[""] * (width - len(cells))]

    def places(self, columns: Collection[str]) -> dict[str, int]:
        """Return where the named columns stand.

        Raises:
            SheetRefusedError: naming those that are missing.
        """
        missing = sorted(set(columns) - set(self.header))
        if missing:
            raise SheetRefusedError(name=self.name, reason="columns_missing", place=", ".join(missing))
        return {name: self.header.index(name) for name in columns}


@contextmanager
def open_sheet(path: Path, *, sheet: str | None = None, name: str | None = None, max_rows: int = MAX_ROWS) -> Iterator[Sheet]:
    """Open a table by its ending: ``.csv``, ``.csv.gz`` or ``.xlsx``.

    Arguments:
        path: of the file.
        sheet: which sheet of a workbook; without it there must be only one that is visible.
        name: what errors call the file; its own name otherwise.
        max_rows: refuse more than this.

    Raises:
        SheetRefusedError: it is no plain table.
    """
    called = name or path.name
    if called.lower().endswith(".xlsx"):
        with _workbook(path, called) as book:
            found = _sheet_of(book, sheet, called)
            _refuse_formulas(path, found.name, called)
            if found.merged_cell_ranges:
                (row, column), _ = found.merged_cell_ranges[0]
                raise SheetRefusedError(name=called, reason="merged_cells", place=f"{_letters(column)}{row + 1}")
            rows = enumerate(found.iter_rows(), start=1)
            header = _header([str(cell) for cell in next(rows, (1, []))[1]], called)
            opened = Sheet(called, header, iter(()), max_rows)
            opened._lines = _texts(rows, opened)  # noqa: SLF001 - the rows tell their faults to their own sheet
            yield opened
        return
    if not called.lower().endswith((".csv", ".csv.gz")):
        raise SheetRefusedError(name=called, reason="unknown_ending", place=" ".join(SUFFIXES))
    with _text(path, called) as file:
        reader = csv.reader(file)
        lines = _csv_rows(reader, called)
        header = _header(list(next(lines, (1, []))[1]), called)
        yield Sheet(called, header, lines, max_rows)


def _header(cells: list[str], name: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    while header and not header[-1]:
        header.pop()
    if not header or len(header) > MAX_COLUMNS or not all(header):
        raise SheetRefusedError(name=name, reason="header_empty", place="1")
    repeated = sorted({cell for cell in header if header.count(cell) > 1})
    if repeated:
        raise SheetRefusedError(name=name, reason="header_repeats", place=", ".join(repeated))
    return header


def _csv_rows(reader: Any, name: str) -> Iterator[Row]:
    try:
        for cells in reader:
            yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise SheetRefusedError(name=name, reason="not_utf8", place=str(reader.line_num + 1)) from error
    except (csv.Error, OSError, EOFError) as error:
        raise SheetRefusedError(name=name, reason="not_a_table", place=str(reader.line_num + 1)) from error


@contextmanager
def _text(path: Path, name: str) -> Iterator[TextIO]:
    if name.lower().endswith(".gz"):
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as unpacked:
            yield unpacked
    else:
        with path.open(encoding="utf-8-sig", newline="") as plain:
            yield plain


@contextmanager
def _workbook(path: Path, name: str) -> Iterator[CalamineWorkbook]:
    # Bounded before anything is unpacked: the reader holds the whole sheet.
    try:
        if path.stat().st_size > MAX_XLSX_BYTES:
            raise SheetRefusedError(name=name, reason="too_large", place=f"{MAX_XLSX_BYTES >> 20} MiB")
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MAX_XLSX_UNPACKED_BYTES:
                raise SheetRefusedError(name=name, reason="too_large", place=f"{MAX_XLSX_UNPACKED_BYTES >> 20} MiB")
        book = CalamineWorkbook.from_path(path)
    except (zipfile.BadZipFile, CalamineError) as error:
        raise SheetRefusedError(name=name, reason="not_a_table", place="") from error
    try:
        yield book
    finally:
        book.close()


def _sheet_of(book: CalamineWorkbook, wanted: str | None, name: str) -> CalamineSheet:
    visible = [each.name for each in book.sheets_metadata if each.visible == SheetVisibleEnum.Visible]
    if wanted is not None:
        if wanted not in book.sheet_names:
            raise SheetRefusedError(name=name, reason="no_such_sheet", place=", ".join(visible))
        return book.get_sheet_by_name(wanted)
    if len(visible) != 1:
        raise SheetRefusedError(name=name, reason="which_sheet", place=", ".join(visible))
    return book.get_sheet_by_name(visible[0])


def _refuse_formulas(path: Path, sheet: str, name: str) -> None:
    with zipfile.ZipFile(path) as archive:
        for part in _parts_of(archive, sheet):
            with archive.open(part) as file:
                cell = _first_formula(file)
            if cell is not None:
                raise SheetRefusedError(name=name, reason="formula", place=cell)


def _parts_of(archive: zipfile.ZipFile, sheet: str) -> list[str]:
    """Return the part that holds a sheet; all sheets' parts when the workbook does not say it in the usual words."""
    parts = [part for part in archive.namelist() if part.startswith("xl/worksheets/") and part.endswith(".xml")]
    try:
        book = archive.read("xl/workbook.xml").decode()
        relations = archive.read("xl/_rels/workbook.xml.rels").decode()
    except (KeyError, UnicodeDecodeError):
        return parts
    for tag in re.findall(r"<(?:\w+:)?sheet\s[^>]*>", book):
        called, relation = re.search(r'\bname="([^"]*)"', tag), re.search(r'\br:id="([^"]*)"', tag)
        if called is None or relation is None or html.unescape(called.group(1)) != sheet:
            continue
        for link in re.findall(r"<Relationship\s[^>]*>", relations):
            target = re.search(r'\bTarget="/?(?:xl/)?([^"]*)"', link)
            if f'Id="{relation.group(1)}"' in link and target is not None and f"xl/{target.group(1)}" in parts:
                return [f"xl/{target.group(1)}"]
    return parts


def _first_formula(file: IO[bytes]) -> str | None:
    tail = b""
    while piece := file.read(_PIECE):
        found = _FORMULA.search(tail + piece)
        if found is not None:
            return found.group(1).decode()
        tail = piece[-_OVERLAP:]
    return None


def _texts(rows: Iterator[tuple[int, list[Any]]], sheet: Sheet) -> Iterator[Row]:
    for line, cells in rows:
        texts = [cell if isinstance(cell, str) else _words(cell) for cell in cells]
        if NUMBER_TOO_LONG in texts:
            place = texts.index(NUMBER_TOO_LONG)
            sheet.faults.append(Fault(line, sheet.header[place] if place < len(sheet.header) else "", NUMBER_TOO_LONG))
            continue
        yield line, texts


def _words(cell: Any) -> str:
    """Return a cell as text: whole numbers without a point, instants as ISO 8601."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int | float):
        if abs(cell) >= _DIGITS_KEPT:
            return NUMBER_TOO_LONG
        return str(int(cell)) if cell == int(cell) else repr(cell)
    if isinstance(cell, date | datetime):
        return cell.isoformat()
    return str(cell)


def _letters(column: int) -> str:
    """Return a column's letters, from 0 for ``A``."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
