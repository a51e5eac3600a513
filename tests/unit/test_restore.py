"""Giving files back."""

from __future__ import annotations

import os
import re
import stat
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import restore
from holdfast.restic_records import Node, Snapshot
from holdfast.restore import Request, RestoreDiffers, RestoreRefused, Source
from tests.unit.samples import Stored, make_job, make_manifest

SNAPSHOTS = [
    Snapshot(f"{name}00", when, "forge", (), ("/srv",), None, None) for name, when in (("aa1", 100.0), ("aa2", 200.0), ("bb3", 300.0))
]
GO = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
SOURCE = Source("nas", "forge", "holdfast-job=a", "a")


def chosen(**request: object) -> str:
    """The restic snapshot that a request means."""
    return restore.choose_snapshot(SNAPSHOTS, Request(**request), "a").id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "identifier"),
    [
        ({}, "bb300"), ({"snapshot": "latest"}, "bb300"), ({"snapshot": "aa1"}, "aa100"), ({"snapshot": "b"}, "bb300"),
        ({"at": 250.0}, "aa200"), ({"at": 200.0}, "aa200"), ({"at": 1e9}, "bb300"),
    ],
)  # fmt: skip
def test_a_restic_snapshot_is_chosen(request_: dict[str, object], identifier: str) -> None:
    assert chosen(**request_) == identifier


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"snapshot": "aa"}, r"^snapshot: 'aa' fits several restic snapshots of a\. See: holdfast snapshots a$"),
        ({"snapshot": "zz"}, r"^snapshot: 'zz' is no restic snapshot of a\. "),
        ({"at": 99.0}, r"^a: no restic snapshot is as old as .*The oldest is of "),
    ],
)
def test_a_request_that_no_restic_snapshot_meets_is_refused(request_: dict[str, object], message: str) -> None:
    with pytest.raises(RestoreRefused, match=message) as caught:
        chosen(**request_)
    assert caught.value.exit_status == 2


def test_without_any_restic_snapshot_there_is_nothing_to_choose() -> None:
    with pytest.raises(RestoreRefused, match=r"^a: has no restic snapshot in this repository"):
        restore.choose_snapshot([], Request(), "a")


def test_a_repository_that_the_job_does_not_write_to_is_refused() -> None:
    with pytest.raises(RestoreRefused, match=r"'r2' holds nothing of service-grafana\. It is in nas\."):
        restore.choose_repository(make_manifest(), make_job(), "r2")
    assert restore.choose_repository(make_manifest(), make_job(), "nas").name == "nas"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map("/srv/".__add__))
def test_a_path_of_a_snapshot_becomes_a_pattern_for_nothing_but_itself(path: str) -> None:
    patterns = restore.include_patterns(Request(), [path])
    assert restore.plain_paths(patterns) == [path.rstrip("/") or "/"]


def test_patterns_of_the_user_are_taken_as_they_are() -> None:
    assert restore.include_patterns(Request(include=("*.db", "/srv/[ab]")), ["/srv"]) == ("*.db", "/srv/[ab]")


@pytest.mark.parametrize(
    ("patterns", "paths"),
    [
        (["/srv/a", "/srv/b/"], ["/srv/a", "/srv/b"]), ([r"/srv/\[1\]"], ["/srv/[1]"]), ([r"/srv/a\\"], ["/srv/a\\"]), (["/"], ["/"]),
        (["/srv/*"], None), (["/srv/a", "*.db"], None), (["/srv/[ab]"], None), ([r"/srv/\\*"], None), (["name"], None), ([], []),
    ],
)  # fmt: skip
def test_a_pattern_that_names_one_path_is_told_from_others(patterns: list[str], paths: list[str] | None) -> None:
    assert restore.plain_paths(patterns) == paths


@pytest.mark.parametrize("mode", [0o644, 0o000, 0o777, 0o4755, 0o2755, 0o1777, 0o7777])
@pytest.mark.parametrize("kind", [0, 1 << 31, 1 << 27, 1 << 25])
def test_modes_of_go_become_modes_of_unix(mode: int, kind: int) -> None:
    written = (mode & 0o777) | kind | sum(flag for bit, flag in GO.items() if mode & bit)
    assert restore.unix_mode(written) == mode


def node_of(path: Path, kind: str = "file") -> Node:
    """What a restic snapshot would say of a path on the disk."""
    found = path.lstat()
    moment = datetime.fromtimestamp(found.st_mtime_ns // 10**9, timezone.utc)
    mode = (found.st_mode & 0o777) | sum(flag for bit, flag in GO.items() if found.st_mode & bit)
    time = f"{moment:%Y-%m-%dT%H:%M:%S}.{found.st_mtime_ns % 10**9:09}Z"
    return Node(str(path), kind, mode, found.st_uid, found.st_gid, found.st_size, time)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file on the disk."""
    path = tmp_path / "file"
    path.write_text("content")
    path.chmod(0o4640)
    return path


def test_what_is_as_stored_does_not_differ(tmp_path: Path, file: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert restore.differs(node_of(file), file) is None
    assert restore.differs(node_of(tmp_path, "dir"), tmp_path) is None
    assert restore.differs(node_of(tmp_path / "link", "symlink"), tmp_path / "link") is None
    assert restore.differs(node_of(tmp_path / "pipe", "fifo"), tmp_path / "pipe") is None


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"type": "dir"}, "is no dir"), ({"type": "symlink"}, "is no symlink"), ({"uid": 4711}, "belongs to .*, stored 4711:"),
        ({"gid": 4711}, "belongs to .*:4711"), ({"mode": 0o640}, "has the mode 4640, stored 640"), ({"size": 8}, "has 7 bytes, stored 8"),
        ({"mtime": "2001-01-01T00:00:00Z"}, "was modified .*, stored 2001-01-01"),
    ],
)  # fmt: skip
def test_each_difference_is_told(file: Path, change: dict[str, object], difference: str) -> None:
    told = restore.differs(node_of(file)._replace(**change), file)  # type: ignore[arg-type]
    assert told is not None
    assert re.match(difference, told)


def test_what_is_missing_differs(tmp_path: Path, file: Path) -> None:
    assert restore.differs(node_of(file), tmp_path / "gone") == "is missing"


def test_a_place_is_occupied_by_a_file_or_a_full_directory(tmp_path: Path, file: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "to-empty").symlink_to("empty")
    assert restore.is_occupied(file)
    assert restore.is_occupied(tmp_path)
    assert restore.is_occupied(tmp_path / "dangling")
    assert restore.is_occupied(tmp_path / "to-empty")
    assert not restore.is_occupied(tmp_path / "empty")
    assert not restore.is_occupied(tmp_path / "gone")


@pytest.fixture(scope="module")
def restored(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> tuple[restore.Report, Path]:
    """A whole restore below a directory, and what it reported."""
    target = tmp_path_factory.mktemp("restored")
    return restore.run_alone(stored.restic, SOURCE, Request(target=str(target))), target


def test_a_restore_below_a_directory_gives_back_every_kind_of_thing(stored: Stored, restored: tuple[restore.Report, Path]) -> None:
    place = restored[1] / str(stored.source)[1:]
    assert sorted(os.listdir(bytes(place))) == sorted(os.listdir(bytes(stored.source)))
    for name in os.listdir(bytes(place)):
        here, there = Path(os.fsdecode(bytes(place) + b"/" + name)), Path(os.fsdecode(bytes(stored.source) + b"/" + name))
        assert here.lstat().st_mode == there.lstat().st_mode, name
        assert here.is_dir() or here.lstat().st_mtime_ns == there.lstat().st_mtime_ns, name
        if here.is_file():
            assert here.read_bytes() == there.read_bytes(), name


def test_a_restore_compares_everything_also_below_odd_names(restored: tuple[restore.Report, Path]) -> None:
    report = restored[0]
    assert report.checked == 8
    assert report.job == "a"
    assert report.bytes_restored == 25600 + len("plain\n") + len("latin")


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_restore_beside_what_is_there_is_refused(dry_run: bool, stored: Stored, restored: tuple[restore.Report, Path]) -> None:
    with pytest.raises(RestoreRefused, match=r"is not empty\. Say --overwrite"):
        restore.run_alone(stored.restic, SOURCE, Request(target=str(restored[1]), dry_run=dry_run))


def test_a_dry_run_lists_and_changes_nothing(stored: Stored, tmp_path: Path) -> None:
    report = restore.run_alone(stored.restic, SOURCE, Request(target=str(tmp_path), dry_run=True))
    assert f"{stored.source}/plain" in {change.path for change in report.changes if change.action == "restored"}
    assert os.listdir(tmp_path) == []


def test_what_differs_after_a_restore_is_an_error_that_names_it(
    stored: Stored, restored: tuple[restore.Report, Path], tmp_path: Path
) -> None:
    report, target = restored
    (target / str(stored.source)[1:] / "plain").rename(tmp_path / "away")
    placed = [(node, restore.on_disk(str(target), node.path)) for node in stored.restic.nodes(report.snapshot.id)]
    with pytest.raises(RestoreDiffers, match=r"restored paths are not as stored: .*/plain: is missing"):
        restore.compare([found for found in placed if found[0].path.startswith(str(stored.source))])
    (tmp_path / "away").rename(target / str(stored.source)[1:] / "plain")
