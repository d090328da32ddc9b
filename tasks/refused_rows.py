"""The error file of an import: which rows of which table were refused, and why."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from server.transfers.sheets import Sheet


@dataclass(slots=True)
class RefusedRows:
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

    def add_faults(self, sheet: Sheet) -> None:
        """List the rows of a table that could not be read."""
        for fault in sheet.faults:
            self.add(sheet.name, fault.line, fault.column, fault.reason)
        sheet.faults.clear()

    def close(self) -> None:
        """Close the file if there is one."""
        if self._file is not None:
            self._file.close()
