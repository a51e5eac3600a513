"""What people see: tables, and texts about what was done."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import console, forget
from holdfast.progress import Progress, progress_text
from holdfast.restic_records import Change, Snapshot
from holdfast.restore import Report

CELLS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8).map(str.strip)
SNAPSHOT = Snapshot("0123456789", 0.0, "forge", (), ("/srv",), None, None)


def entry(job: str = "a", **changes: Any) -> dict[str, Any]:
    """An entry of the status document."""
    return {
        "job": job, "repository": "nas", "running": False, "result": "complete", "age_seconds": 7200.0, "rpo_seconds": 180000,
        "duration_seconds": 4.0, "bytes_added": 4404019, "next_run": 4600.0, "within_rpo": True, "error": None, **changes,
    }  # fmt: skip


def document(*entries: dict[str, Any]) -> dict[str, Any]:
    """A status document."""
    return {"host": "forge", "generated": 1000.0, "jobs": list(entries)}


@given(st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5)))
def test_columns_of_a_table_begin_at_the_same_place(rows: list[list[str]]) -> None:
    lines = console.table(rows[0], rows[1:]).split("\n")
    assert len(lines) == len(rows)
    start = 0
    for column in range(len(rows[0])):
        for line, row in zip(lines, rows):
            assert line[start:].startswith(row[column])
        start += max(len(row[column]) for row in rows) + 2
    assert all(line == line.rstrip() for line in lines)


def test_a_table_may_be_empty() -> None:
    assert console.table(("JOB", "RESULT"), []) == "JOB  RESULT"


def test_a_protected_job_is_one_line() -> None:
    lines = console.status_table(document(entry())).splitlines()
    assert re.split("  +", lines[1]) == ["a", "nas", "complete", "2 h ago", "2 d 2 h", "4.0 s", "4.2 MiB", "in 1 h"]
    assert lines[-1] == "forge: 1 of 1 protected"


def test_the_unprotected_stand_first_and_are_counted() -> None:
    found = console.status_table(document(entry("a"), entry("b", within_rpo=False, age_seconds=None, result=None), entry("c")))
    lines = found.splitlines()
    assert lines[1].startswith("b")
    assert "never ran" in lines[1]
    assert lines[1].endswith("UNPROTECTED")
    assert lines[-1] == "forge: 1 of 3 UNPROTECTED"


def test_errors_are_told_below_the_table() -> None:
    found = console.status_table(document(entry(result="failed", error="no repository there")))
    assert found.splitlines()[-1] == "a in nas: no repository there"


def test_a_run_under_way_is_shown() -> None:
    assert "running" in console.status_rows(document(entry(running=True)))[0]


def test_what_is_unknown_is_a_dash() -> None:
    row = console.status_rows(document(entry(next_run=None, duration_seconds=None, bytes_added=None)))[0]
    assert row[5:8] == ("-", "-", "-")


def test_a_host_without_jobs_is_told_what_to_do() -> None:
    assert console.status_table(document()) == "forge: no jobs. Declare some and run playbooks/site.yml."


def test_restic_snapshots_are_listed() -> None:
    row = {"id": "0123456789", "time": 0.0, "job": "a", "repository": "nas", "bytes_processed": None, "paths": ["/srv", "/etc"]}
    lines = console.snapshot_table([row]).splitlines()
    assert re.match(r"01234567  19(70-01-01|69-12-31) ", lines[1])
    assert lines[1].endswith("/srv /etc")
    assert console.snapshot_table([]) == "no restic snapshots"


@pytest.mark.parametrize(("target", "place"), [("/", "in place"), ("/restore", "below /restore")])
def test_a_restore_tells_where_to_and_what_was_compared(target: str, place: str) -> None:
    report = Report("a", "nas", SNAPSHOT, target, 5, 2, 1, 1024, 7, 61.0, ())
    text = console.restore_text(report, dry_run=False)
    assert f"a: restored {place} from restic snapshot 01234567 of" in text
    assert "1.0 KiB written, 2 unchanged, 1 deleted in 1 min 1 s; 7 paths compared" in text


def test_a_dry_run_tells_what_would_change() -> None:
    changes = (Change("restored", "/srv/new", 10), Change("deleted", "/srv/old", 0))
    text = console.restore_text(Report("a", "nas", SNAPSHOT, "/", 0, 0, 0, 0, 0, 0.0, changes), dry_run=True)
    assert [line.split()[-1] for line in text.splitlines()[:-1]] == ["/srv/new", "/srv/old"]
    assert "2 paths would change in place" in text
    assert text.endswith("Nothing was changed.")


def test_what_a_forget_would_remove_is_listed() -> None:
    report = forget.Report("nas", removed={"a": [SNAPSHOT]}, kept={"a": 3})
    assert console.forget_text([report]).splitlines()[1].split() == ["nas", "a", "3", "1", "01234567"]


@pytest.mark.parametrize(("left", "end"), [(None, "files"), (90, "files, 1 min 30 s left")])
def test_progress_is_one_line(left: int | None, end: str) -> None:
    assert progress_text(Progress(0.254, 1024, 4096, 1, 4, left)) == f"25%, 1.0 KiB of 4.0 KiB, 1 of 4 {end}"
