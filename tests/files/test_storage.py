"""The folder that keeps uploads cannot be left and never shows half a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.files.storage import LocalStorage, StoredFileMissingError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_put_is_got_until_it_is_deleted(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "files")
    storage.put("uploads/202606/abc.png", b"one", "image/png")
    storage.put("uploads/202606/abc.png", b"two", "image/png")
    assert storage.get("uploads/202606/abc.png") == b"two"
    assert [path.name for path in (tmp_path / "files/uploads/202606").iterdir()] == ["abc.png"]
    storage.delete("uploads/202606/abc.png")
    storage.delete("uploads/202606/abc.png")
    with pytest.raises(StoredFileMissingError):
        storage.get("uploads/202606/abc.png")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../secret",
        "a/../../secret",
        "a/..",
        "..",
        ".hidden",
        "a/.hidden",
        "a\\..\\b",
        "a//b",
        "a/b/c/d/e",
        "a\x00b",
        "a\nb",
        "ü",
        "a" * 200,
        "C:/x",
        "%2e%2e/x",
        "a/",
    ],
)
def test_a_name_that_is_not_plain_is_refused(tmp_path: Path, name: str) -> None:
    storage = LocalStorage(tmp_path / "files")
    (tmp_path / "secret").write_bytes(b"secret")
    for attempt in (lambda: storage.put(name, b"x", ""), lambda: storage.get(name), lambda: storage.delete(name)):
        with pytest.raises(ValueError, match="plain"):
            attempt()
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_a_link_inside_the_folder_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "files/link").symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match="leads out"):
        LocalStorage(tmp_path / "files").put("link/x", b"x", "")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("server.files.storage.os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        LocalStorage(tmp_path).put("a/b", b"x", "")
    assert list((tmp_path / "a").iterdir()) == []
