"""Where the bytes lie: a Protocol, and the folder on this machine.

Names are made by us. The folder refuses every name that could lead out of it all the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}){0,3}")

_ASIDE = ".new-"


class StoredFileMissingError(Exception):
    """Nothing is stored under this name."""


class Storage(Protocol):
    """Keeps bytes under names."""

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Store bytes; they are there whole or not at all."""
        ...

    def get(self, name: str) -> bytes:
        """Return what is stored.

        Raises:
            StoredFileMissingError: nothing is.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove what is stored, if anything is."""
        ...

    def names(self, folder: str, before: datetime) -> Iterator[str]:
        """Return what is stored in a folder and was last written before an instant; what was never finished is removed."""
        ...


class LocalStorage:
    """A folder on this machine.

    Arguments:
        root: made when the first file comes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes, content_type: str) -> None:  # noqa: ARG002 - the folder keeps no types, the database does
        """Store bytes under a name: written aside, then moved into place.

        Raises:
            ValueError: for a name that is not plain.
        """
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=_ASIDE)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(aside).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(aside).unlink()
            raise

    def get(self, name: str) -> bytes:
        """Return what is stored.

        Raises:
            StoredFileMissingError: nothing is.
            ValueError: for a name that is not plain.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise StoredFileMissingError(name) from error

    def delete(self, name: str) -> None:
        """Remove what is stored, if anything is.

        Raises:
            ValueError: for a name that is not plain.
        """
        with contextlib.suppress(FileNotFoundError):
            self._path(name).unlink()

    def names(self, folder: str, before: datetime) -> Iterator[str]:
        """Return what is stored in a folder and was last written before an instant; what was never finished is removed.

        Raises:
            ValueError: for a folder that is not plain.
        """
        root = self._path(folder)
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):
                if path.is_symlink() or not path.is_file() or path.stat().st_mtime >= before.timestamp():
                    continue
                if path.name.startswith(_ASIDE):
                    path.unlink()
                    continue
                yield path.relative_to(self._root.resolve()).as_posix()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or ".." in name:
            raise ValueError(f"not a plain file name: {name!r}")
        root = self._root.resolve()
        path = (root / name).resolve()
        # A link that somebody laid inside the folder must not lead out either.
        if not path.is_relative_to(root):
            raise ValueError(f"leads out of the folder: {name!r}")
        return path
