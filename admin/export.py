"""Small exports straight from a page. Cells can never become formulas; large exports are jobs of ``server.transfers``.

A spreadsheet takes a cell that begins with ``= + - @``, a tab or a return for a formula (OWASP, CSV injection); such cells get an
apostrophe in front. CSV carries a byte order mark, without which Excel misreads Chinese.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import xlsxwriter
from flask import Response, flash, redirect, request
from flask_babel import gettext

from admin.base import core, current_actor, now
from admin.formats import shown, tag_of, translated
from admin.listing import RowAction
from server.audit import service as audit
from server.kernel.errors import InvalidError
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from admin.base import ConsoleView
    from admin.listing import Column, ListPage
    from server.kernel.actors import Actor

MAX_ROWS = 5000
_PAGE_ROWS = 100
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: object) -> str:
    """Return a text that no spreadsheet takes for a formula; plain numbers stay as they are."""
    text = "" if value is None else str(value)
    stripped = text.lstrip(" \u3000")
    if stripped.startswith(_DANGEROUS) and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True


def _cells(columns: Sequence[Column], row: Any) -> Iterator[str]:
    for column in columns:
        text = translated(column.tag(row).label) if column.kind == "tag" else shown(column.get(row), column.kind)
        yield safe_cell("" if text == "–" else text)
        if column.second is not None:
            yield safe_cell(column.second_text(row))


def _headings(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        yield safe_cell(translated(column.label))
        if column.second is not None:
            yield safe_cell(translated(column.second_label) if column.second_label else f"{translated(column.label)} (2)")


def csv_response(name: str, columns: Sequence[Column], rows: Iterable[Any]) -> Response:
    """Return rows as a CSV file.

    Arguments:
        name: of the file, without ending; ASCII.
        columns: as in the list, so that masks and permissions hold here too.
        rows: at most ``MAX_ROWS``.

    Raises:
        InvalidError: more rows than that.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(list(_headings(columns)))
    for row in _bounded(rows):
        writer.writerow(list(_cells(columns, row)))
    return _file(out.getvalue().encode("utf-8-sig"), f"{name}.csv", "text/csv; charset=utf-8")


def xlsx_response(name: str, columns: Sequence[Column], rows: Iterable[Any]) -> Response:
    """Return rows as an Excel file; arguments and refusal as ``csv_response``."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    sheet = book.add_worksheet()
    bold = book.add_format({"bold": True, "bg_color": "#F3F5F9", "border": 1, "border_color": "#D5D9E2"})
    for place, heading in enumerate(_headings(columns)):
        sheet.write_string(0, place, heading, bold)
        sheet.set_column(place, place, 18)
    for line, row in enumerate(_bounded(rows), start=1):
        for place, text in enumerate(_cells(columns, row)):
            sheet.write_string(line, place, text)
    sheet.freeze_panes(1, 0)
    book.close()
    return _file(out.getvalue(), f"{name}.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


def export_button(view: ConsoleView, **values: str) -> RowAction:
    """Return the button that downloads what a list shows, with the search as it was asked; the view has an ``export`` action.

    Arguments:
        view: the list's.
        values: what the action's address names.
    """
    query = request.query_string.decode("ascii", "ignore")
    address = view.url_to("export", **values)
    return RowAction(
        N_("Export"),
        f"{address}?{query}" if query else address,
        Permission.EXPORTS_CREATE,
        post=True,
        reason=True,
        icon="download",
        download=True,
        confirm=N_("The rows of this search as they are shown here, at most 5,000, as an Excel file."),
    )


def export_list(name: str, load: Callable[[PageRequest], ListPage]) -> ResponseReturnValue:
    """Download what a list shows, masks and permissions included, and note who took it and why.

    Arguments:
        name: of the file and in the audit trail.
        load: gives the list's page for a place in it; the search comes with the request.

    Returns:
        An Excel file of at most ``MAX_ROWS`` rows, or the way back when no reason was given.
    """
    reason = request.form.get("reason", "").strip()
    if not reason:
        flash(gettext("Please say what the file is for."), "danger")
        return redirect(request.path.removesuffix("export"))
    rows: list[Any] = []
    cursor: str | None = None
    while len(rows) < MAX_ROWS:
        listed = load(PageRequest.of(_PAGE_ROWS, cursor))
        rows.extend(listed.table.rows)
        cursor = listed.next_cursor
        if cursor is None:
            break
    del rows[MAX_ROWS:]
    actor, at = current_actor(), now()
    core().db.run(lambda session: record_export(session, what=name, rows=len(rows), actor=actor, now=at, reason=reason[:300]))
    return xlsx_response(name, listed.table.shown_columns, rows)


def record_export(session: Session, *, what: str, rows: int, actor: Actor, now: datetime, reason: str | None = None) -> None:
    """Note in the audit trail who took data out of the console."""
    audit.record(
        session, actor=actor, action="export.download", subject_type="export", subject_id=what, after={"rows": rows}, reason=reason, now=now
    )


def _bounded(rows: Iterable[Any]) -> Iterator[Any]:
    for place, row in enumerate(rows):
        if place >= MAX_ROWS:
            raise InvalidError(fields={"rows": gettext("Narrow the search: a page exports at most %(count)d rows.", count=MAX_ROWS)})
        yield row


def _file(data: bytes, name: str, content_type: str) -> Response:
    return Response(data, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


__all__ = ["MAX_ROWS", "csv_response", "export_button", "export_list", "record_export", "safe_cell", "tag_of", "xlsx_response"]
