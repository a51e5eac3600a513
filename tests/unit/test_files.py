"""Small files that are never seen half written."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast import files

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """No file of this process may grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "text", "é\n")
    files.write_atomically(tmp_path / "bytes", b"\xff\0")
    assert (tmp_path / "text").read_bytes() == b"\xc3\xa9\n"
    assert (tmp_path / "bytes").read_bytes() == b"\xff\0"


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o400, 0o755])
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_the_mode_is_as_asked_whatever_the_umask(tmp_path: Path, mode: int, mask: int) -> None:
    before = os.umask(mask)
    try:
        files.write_atomically(tmp_path / "file", "x", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == mode


def test_a_secret_is_never_readable_for_others_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []

    def note(act: Callable[..., None]) -> Callable[..., None]:
        def noting(handle: int, *arguments: int) -> None:
            modes.append(os.fstat(handle).st_mode & 0o077)
            act(handle, *arguments)

        return noting

    for name in ("fchmod", "fsync"):
        monkeypatch.setattr(os, name, note(getattr(os, name)))
    files.write_atomically(tmp_path / "file", "secret", 0o400)
    assert modes == [0, 0]


@as_root
def test_the_owner_is_as_asked(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / "file", "x", 0o400, (1, 2))
    found = (tmp_path / "file").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1, 2, 0o400)


def test_the_old_file_stands_where_there_is_no_room_for_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with no_room_beyond(1000), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        files.write_atomically(path, "x" * 100_000)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_atomically(tmp_path / "directory", "x")
    assert os.listdir(tmp_path) == ["directory"]


def test_what_an_earlier_crash_left_is_no_hindrance(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with no_room_beyond(1), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            files.write_atomically(tmp_path / "file", content)
        files.write_atomically(tmp_path / "file", content)
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_meets_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        files.write_atomically(path, "new and longer")
        assert reader.read() == "old"
    assert path.read_text() == "new and longer"


def test_a_link_is_replaced_and_its_target_left(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    files.write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "old"
    assert not (tmp_path / "link").is_symlink()


def test_json_is_written_and_read(tmp_path: Path) -> None:
    files.write_json(tmp_path / "file", {"b": 1, "a": "é"})
    assert files.read_json(tmp_path / "file") == {"a": "é", "b": 1}
    assert files.read_json(tmp_path / "missing") is None
    assert files.read_text(tmp_path / "missing") is None


def test_a_directory_is_removed_with_all_in_it_and_a_link_without(tmp_path: Path) -> None:
    (tmp_path / "directory/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("directory")
    files.remove(tmp_path / "link")
    assert (tmp_path / "directory/inner").exists()
    files.remove(tmp_path / "directory")
    assert os.listdir(tmp_path) == []
