# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What people see on a terminal: tables, texts and a progress line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .forget import Report as ForgetReport
from .quantities import counted, format_bytes, format_duration, format_time, printable
from .restore import Report as RestoreReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [header, *rows])


STATUS_HEADER = ("JOB", "REPOSITORY", "RESULT", "LAST SUCCESS", "RPO", "TOOK", "ADDED", "NEXT RUN", "")


def status_rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row of cells for each job and repository, the unprotected first."""
    now = document["generated"]
    rows: list[tuple[str, ...]] = []
    for entry in sorted(document["jobs"], key=lambda found: (found["within_rpo"], found["job"])):
        age = entry["age_seconds"]
        following = entry["next_run"]
        rows.append(
            (
                entry["job"],
                entry["repository"],
                "running" if entry["running"] else entry["result"] or "never ran",
                "never" if age is None else f"{format_duration(int(age))} ago",
                format_duration(entry["rpo_seconds"]),
                format_duration(entry["duration_seconds"]),
                format_bytes(entry["bytes_added"]),
                "-" if following is None else f"in {format_duration(max(0, int(following - now)))}",
                "" if entry["within_rpo"] else "UNPROTECTED",
            )
        )
    return rows


def status_table(document: Mapping[str, Any]) -> str:
    """The table of ``holdfast status``, and a line below it with the sum."""
    jobs = document["jobs"]
    if not jobs:
        return f"{document['host']}: no jobs. Declare some and run playbooks/site.yml."
    missing = sum(not entry["within_rpo"] for entry in jobs)
    errors = [f"{entry['job']} in {entry['repository']}: {entry['error']}" for entry in jobs if entry["error"]]
    summary = f"{missing} of {len(jobs)} UNPROTECTED" if missing else f"{len(jobs)} of {len(jobs)} protected"
    return "\n".join([table(STATUS_HEADER, status_rows(document)), "", f"{document['host']}: {summary}", *errors])


def snapshot_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of ``holdfast snapshots``."""
    cells = [
        (
            row["id"][:8],
            format_time(row["time"]),
            row["job"],
            row["repository"],
            format_bytes(row["bytes_processed"]),
            printable(" ".join(row["paths"])),
        )
        for row in rows
    ]
    return table(("ID", "TIME", "JOB", "REPOSITORY", "SIZE", "PATHS"), cells) if cells else "no restic snapshots"


def restore_text(report: RestoreReport, dry_run: bool) -> str:
    """What a restore did, or would do."""
    source = f"restic snapshot {report.snapshot.id[:8]} of {format_time(report.snapshot.time)} in {report.repository}"
    place = "in place" if report.target == "/" else f"below {report.target}"
    if dry_run:
        changes = report.changes
        lines = [f"{change.action:9} {format_bytes(change.size):>10}  {printable(change.path)}" for change in changes]
        return "\n".join(
            [*lines, f"{report.job}: {counted(len(changes), 'path')} would change {place}, from {source}. Nothing was changed."]
        )
    return (
        f"{report.job}: restored {place} from {source}: {format_bytes(report.bytes_restored)} written, "
        f"{report.files_unchanged} unchanged, {report.files_deleted} deleted in {format_duration(report.duration)}; "
        f"{counted(report.checked, 'path')} compared with what was stored."
    )


def forget_text(reports: Sequence[ForgetReport]) -> str:
    """What a forget would remove."""
    rows = [
        (
            report.repository,
            job,
            str(report.kept[job]),
            str(len(removed)),
            " ".join(snapshot.id[:8] for snapshot in removed),
        )
        for report in reports
        for job, removed in report.removed.items()
    ]
    return table(("REPOSITORY", "JOB", "KEEP", "REMOVE", "WOULD GO"), rows)
