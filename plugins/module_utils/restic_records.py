# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What restic tells, as typed records."""

from __future__ import annotations

from collections.abc import Mapping

from .quantities import restic_time
from .records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class BackupSummary(NamedTuple):
    """The figures of one restic backup: bytes, seconds, Unix times."""

    snapshot_id: str | None
    files_new: int
    files_changed: int
    files_unmodified: int
    bytes_added: int
    bytes_processed: int
    files_processed: int
    duration: float


class Backup(NamedTuple):
    """How a restic backup ended: its figures, whether it is whole, and what could not be read."""

    summary: BackupSummary
    exit_code: int
    unreadable: tuple[str, ...]


class Snapshot(NamedTuple):
    """A restic snapshot; its time is in Unix seconds."""

    id: str
    time: float
    host: str
    tags: tuple[str, ...]
    paths: tuple[str, ...]
    bytes_processed: int | None
    files_processed: int | None

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Snapshot:
        """Read one entry of ``restic snapshots --json``."""
        summary = entry.get("summary") or {}
        return cls(
            id=entry["id"],
            time=restic_time(entry["time"]),
            host=entry.get("hostname", ""),
            tags=tuple(entry.get("tags") or ()),
            paths=tuple(entry.get("paths") or ()),
            bytes_processed=summary.get("total_bytes_processed"),
            files_processed=summary.get("total_files_processed"),
        )


class Forgotten(NamedTuple):
    """What one forget kept and dropped."""

    kept: tuple[Snapshot, ...]
    removed: tuple[Snapshot, ...]


class Lock(NamedTuple):
    """A lock in a repository: who took it, and when."""

    id: str
    host: str
    user: str
    pid: int
    time: float
    exclusive: bool


class Key(NamedTuple):
    """A key of a repository."""

    id: str
    current: bool
    user: str
    host: str
    created: str


class Change(NamedTuple):
    """What a restore does to one path: ``restored``, ``updated``, ``unchanged`` or ``deleted``."""

    action: str
    path: str
    size: int


class Restored(NamedTuple):
    """How a restic restore ended."""

    files_restored: int
    files_skipped: int
    files_deleted: int
    files_total: int
    bytes_restored: int
    bytes_total: int
    changes: tuple[Change, ...]


class Node(NamedTuple):
    """What a restic snapshot says of one path; the time is restic's text."""

    path: str
    type: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: str
