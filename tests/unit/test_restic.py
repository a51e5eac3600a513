"""restic: what it prints and how it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import restic_errors
from holdfast.errors import HoldfastError
from holdfast.privileges import SELF
from holdfast.restic import MINIMUM_VERSION, Access, Restic
from holdfast.restic_records import Forgotten, Snapshot
from tests.unit.samples import SECRET, Stored, restic_at

ENTRY: dict[str, Any] = {
    "time": "2026-11-23T07:03:35.531832846Z",
    "tree": "c4828d",
    "paths": ["/srv/app"],
    "hostname": "forge",
    "username": "root",
    "tags": ["holdfast-job=a"],
    "program_version": "restic 0.18.0",
    "summary": {"files_new": 2, "total_files_processed": 2, "total_bytes_processed": 3},
    "id": "3d9f2175b2001e10",
    "short_id": "3d9f2175",
}


def test_a_restic_snapshot_is_read() -> None:
    found = Snapshot.parse(ENTRY)
    assert found == Snapshot("3d9f2175b2001e10", found.time, "forge", ("holdfast-job=a",), ("/srv/app",), 3, 2)
    assert found.time == pytest.approx(1795417415.531833, abs=1e-5)


@pytest.mark.parametrize("left_out", [["tags"], ["summary"], ["hostname"], ["paths"], ["tags", "summary", "hostname", "paths"]])
def test_what_a_restic_snapshot_leaves_out_is_empty(left_out: list[str]) -> None:
    found = Snapshot.parse({key: value for key, value in ENTRY.items() if key not in left_out})
    nothing = {"tags": (), "hostname": "", "paths": (), "summary": None}
    for key in left_out:
        assert getattr(found, {"hostname": "host", "summary": "bytes_processed"}.get(key, key)) == nothing[key]


def test_figures_of_a_backup_are_restics_own(stored: Stored) -> None:
    summary = stored.summary
    assert (summary.files_new, summary.files_changed, summary.files_unmodified) == (4, 0, 0)
    assert summary.bytes_processed == 25600 + len("plain\n") + len("latin")
    assert 0 < summary.duration < 20
    assert summary.snapshot_id


def test_a_backup_is_listed_as_it_was_made(stored: Stored) -> None:
    found = stored.restic.snapshots(host="forge", tag="holdfast-job=a", lock=False)
    assert [(entry.id, entry.host, entry.tags, entry.paths) for entry in found] == [
        (stored.summary.snapshot_id, "forge", ("holdfast-job=a", "extra"), (str(stored.source),))
    ]


def test_nothing_is_listed_or_forgotten_of_another_host(stored: Stored) -> None:
    assert stored.restic.snapshots(host="other", lock=False) == []
    assert stored.restic.forget({"keep_last": 1}, host="other", tag="holdfast-job=a", dry_run=True) == Forgotten((), ())


def test_a_wrong_password_is_told(stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text(f"not {SECRET}")
    with pytest.raises(restic_errors.WrongPassword, match=r"no key of the repository fits the password in .*/wrong") as caught:
        stored.as_opened_by(password_file=tmp_path / "wrong").repository_id()
    assert caught.value.exit_code == 12


def test_a_repository_that_is_absent_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(restic_errors.RepositoryAbsent, match=r"there is no repository at .*/none\. If it lies on a mount") as caught:
        restic_at(tmp_path / "none").repository_id()
    assert caught.value.exit_code == 10
    assert not (tmp_path / "none").exists()


def test_a_path_that_vanishes_before_the_backup_is_a_failure(stored: Stored, tmp_path: Path) -> None:
    with pytest.raises(restic_errors.ResticError, match=rf"{tmp_path}/gone vanished before it was read"):
        stored.restic.backup([str(stored.source), str(tmp_path / "gone")], host="forge", tags=["other"])


def test_a_file_that_cannot_be_read_makes_a_backup_partial(stored: Stored) -> None:
    heard: list[str] = []
    done = stored.restic.backup(["/proc/self/mem"], host="forge", tags=["other"], on_unreadable=heard.append)
    assert done.exit_code == 3
    assert done.summary.snapshot_id
    assert list(done.unreadable) == heard
    assert "/mem" in heard[0]


def test_a_missing_restic_is_told(tmp_path: Path) -> None:
    with pytest.raises(restic_errors.ResticMissing, match=r"no-restic is not installed\. Run playbooks/site\.yml"):
        Restic(Access("/x", tmp_path / "p"), binary="no-restic", plain=SELF).repository_id()


def test_the_version_is_read(stored: Stored) -> None:
    assert stored.restic.version() >= MINIMUM_VERSION


@pytest.mark.parametrize(
    "kind",
    [
        restic_errors.RepositoryAbsent,
        restic_errors.RepositoryLocked,
        restic_errors.WrongPassword,
        restic_errors.RepositoryUnreachable,
        restic_errors.ResticKilled,
    ],
)
def test_every_failure_is_one_of_the_engine(kind: type[restic_errors.ResticError]) -> None:
    assert issubclass(kind, HoldfastError)
    assert kind("x").exit_status == 1
