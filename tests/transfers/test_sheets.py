"""A table is read alike from CSV and from a workbook; what cannot be one plain table is refused with a reason and a place."""

from __future__ import annotations

import gzip
import zipfile
from datetime import datetime

import pytest
import xlsxwriter

from server.transfers import sheets
from server.transfers.errors import SheetRefusedError
from server.transfers.sheets import Fault, open_sheet


def a_workbook(path, fill, *, names=("Orders",)):
    book = xlsxwriter.Workbook(str(path))
    made = [book.add_worksheet(name) for name in names]
    fill(book, *made)
    book.close()
    return path


def read(path, **options):
    with open_sheet(path, **options) as sheet:
        return sheet.header, list(sheet.rows()), sheet.faults


def refusal(path, **options):
    with pytest.raises(SheetRefusedError) as caught:
        read(path, **options)
    return caught.value.params["reason"], caught.value.params["place"]


def test_csv_and_workbook_give_the_same_rows(tmp_path):
    text = "no,at,sum,note\n31198570044,2026-06-01T10:00:00,12.5,真\n\n7,,0,\n"
    (tmp_path / "a.csv").write_text("\ufeff" + text, encoding="utf-8")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))

    def fill(book, sheet):
        sheet.write_row(0, 0, ["no", "at", "sum", "note"])
        sheet.write_row(1, 0, [31198570044])
        sheet.write_datetime(1, 1, datetime(2026, 6, 1, 10), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}))
        sheet.write_row(1, 2, [12.5, "真"])
        sheet.write_row(3, 0, [7])
        sheet.write_row(3, 2, [0])

    a_workbook(tmp_path / "a.xlsx", fill)
    wanted = ("no", "at", "sum", "note"), [(2, ["31198570044", "2026-06-01T10:00:00", "12.5", "真"]), (4, ["7", "", "0", ""])], []
    for name in ("a.csv", "a.csv.gz", "a.xlsx"):
        assert read(tmp_path / name) == wanted


def test_what_is_no_plain_table_is_refused(tmp_path, monkeypatch):
    def two(_book, *made):
        for sheet in made:
            sheet.write_row(0, 0, ["a", "b"])

    several = a_workbook(tmp_path / "two.xlsx", two, names=("One", "Two & more"))
    assert refusal(several) == ("which_sheet", "One, Two & more")
    assert refusal(several, sheet="Three") == ("no_such_sheet", "One, Two & more")
    assert read(several, sheet="Two & more")[0] == ("a", "b")

    def formula(_book, sheet, other):
        sheet.write_row(0, 0, ["a", "b"])
        other.write_row(0, 0, ["a"])
        other.write_formula(4, 2, "=1+1")

    mixed = a_workbook(tmp_path / "formula.xlsx", formula, names=("Plain", "Sums"))
    assert refusal(mixed, sheet="Sums") == ("formula", "C5")
    # A formula on a sheet that is not asked for harms nobody.
    assert read(mixed, sheet="Plain")[0] == ("a", "b")

    def merged(_book, sheet):
        sheet.write_row(1, 0, ["a", "b"])
        sheet.merge_range(0, 1, 0, 2, "Sales")

    assert refusal(a_workbook(tmp_path / "merged.xlsx", merged)) == ("merged_cells", "B1")

    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04 nothing")
    assert refusal(tmp_path / "broken.xlsx")[0] == "not_a_table"
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as archive:
        archive.writestr("a.txt", "no workbook")
    assert refusal(tmp_path / "other.xlsx")[0] == "not_a_table"
    (tmp_path / "a.txt").write_text("a\n1\n")
    assert refusal(tmp_path / "a.txt")[0] == "unknown_ending"
    (tmp_path / "gbk.csv").write_bytes("名,a\n".encode("gb18030") * 3)
    assert refusal(tmp_path / "gbk.csv")[0] == "not_utf8"
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n" + bytes(range(32, 126)) * 500)[:-20])
    assert refusal(tmp_path / "cut.csv.gz")[0] == "not_a_table"
    for text, reason in (("", "header_empty"), ("a,,b\n", "header_empty"), ("a,b,a\n", "header_repeats")):
        (tmp_path / "head.csv").write_text(text)
        assert refusal(tmp_path / "head.csv")[0] == reason
    (tmp_path / "long.csv").write_text("a\n" + "1\n" * 4)
    assert refusal(tmp_path / "long.csv", max_rows=3) == ("too_many_rows", "3")
    monkeypatch.setattr(sheets, "MAX_XLSX_UNPACKED_BYTES", 1000)
    assert refusal(several)[0] == "too_large"
    monkeypatch.setattr(sheets, "MAX_XLSX_BYTES", 1000)
    assert refusal(several)[0] == "too_large"


def test_a_cell_that_cannot_be_trusted_costs_its_row_alone(tmp_path):
    def fill(_book, sheet):
        sheet.write_row(0, 0, ["no", "sum"])
        sheet.write_row(1, 0, [1234567890123456, 1])
        sheet.write_row(2, 0, [2, 2])

    header, rows, faults = read(a_workbook(tmp_path / "a.xlsx", fill))
    assert (header, rows, faults) == (("no", "sum"), [(3, ["2", "2"])], [Fault(2, "no", "number_too_long")])
    (tmp_path / "a.csv").write_text("no,sum\n1,2,3\n4\n5,6,,\n")
    assert read(tmp_path / "a.csv")[1:] == ([(3, ["4", ""]), (4, ["5", "6"])], [Fault(2, "", "too_many_cells")])


def test_missing_columns_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("no,sum\n1,2\n")
    with open_sheet(tmp_path / "a.csv") as sheet:
        assert sheet.places(["sum"]) == {"sum": 1}
        with pytest.raises(SheetRefusedError) as caught:
            sheet.places(["sum", "b", "a"])
    assert (caught.value.params["reason"], caught.value.params["place"]) == ("columns_missing", "a, b")
