# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what restic prints: JSON lines on both outputs with plain text in between (facts of restic 0.18 and 0.19)."""

from __future__ import annotations

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from .process import Completed
from .progress import Progress
from .restic_errors import ResticError
from .restic_records import BackupSummary, Change, Restored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

RETRYING = re.compile(r"returned error, retrying after [^:]*: (.*)", re.DOTALL)
SKIPPED_SOURCE = re.compile(r"^(.*) does not exist, skipping$")


def exit_message(completed: Completed) -> str:
    """What restic said last: the message of its exit_error, or its last line."""
    for line in reversed(completed.stderr.splitlines()):
        document = json_line(line)
        if document and document.get("message_type") == "exit_error":
            return str(document["message"]).replace("Fatal: ", "", 1).replace("\n", "; ")
    return completed.complaint.replace("Fatal: ", "", 1)


def explain_backend_error(url: str, error: str) -> str:
    """One sentence about why a backend keeps failing, with the next step."""
    if re.search(
        r"Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|access key|signature|401 Unauthorized|403 Forbidden",
        error,
        re.IGNORECASE,
    ):
        return f"{url} refuses the credentials ({error}). Check the repository's 'environment'"
    if re.search(r"NoSuchBucket|bucket does not exist|bucket.*not exist", error):
        return f"{url}: the bucket does not exist ({error}). Check the url, or make the bucket"
    return f"{url} cannot be reached ({error})"


def json_line(line: str) -> dict[str, Any] | None:
    """The JSON object in a line, or None where it is plain text."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def last_document(text: str) -> dict[str, Any]:
    """The last JSON object in some lines.

    Raises:
        ResticError: there is none.
    """
    for line in reversed(text.splitlines()):
        found = json_line(line)
        if found is not None:
            return found
    raise ResticError(f"restic printed no JSON but {text[-200:]!r}")


class Hearing(ABC):
    """What a long restic run says on both of its outputs."""

    def __init__(self, on_progress: Callable[[Progress], None] | None, on_unreadable: Callable[[str], None] | None) -> None:
        self._on_progress = on_progress
        self._on_unreadable = on_unreadable
        self._figures: tuple[Any, ...] = ()
        self.unreadable: list[str] = []
        self.started = False
        self.retrying = False
        self.moved_at = time.monotonic()

    def stdout(self, line: str) -> None:
        """Take a line of standard output."""
        document = json_line(line)
        if document is None:
            return
        kind = document.get("message_type")
        if kind == "status":
            self.started = True
            figures = (*(document.get(key) for key in self.FIGURES), document.get("current_files"))
            if figures != self._figures:
                self._figures = figures
                self.moved_at = time.monotonic()
            if self._on_progress:
                self._on_progress(
                    Progress(
                        fraction=float(document.get("percent_done", 0.0)),
                        bytes_done=int(document.get(self.FIGURES[0], 0)),
                        bytes_total=int(document.get("total_bytes", 0)),
                        files_done=int(document.get(self.FIGURES[1], 0)),
                        files_total=int(document.get("total_files", 0)),
                        seconds_left=document.get("seconds_remaining"),
                    )
                )
        else:
            self.result(kind, document)

    FIGURES: tuple[str, str, str, str] = ("bytes_done", "files_done", "total_bytes", "total_files")

    @abstractmethod
    def result(self, kind: object, document: Mapping[str, Any]) -> None:
        """Take a message that is no status."""

    def stderr(self, line: str) -> None:
        """Take a line of standard error."""
        document = json_line(line)
        if document and document.get("message_type") == "error":
            message = str((document.get("error") or {}).get("message", "")) if isinstance(document.get("error"), dict) else ""
            item = str(document.get("item", ""))
            text = message if item in message else f"{item}: {message}"
            self.unreadable.append(text)
            if self._on_unreadable:
                self._on_unreadable(text)
        elif RETRYING.search(line):
            self.retrying = True


class BackupHearing(Hearing):
    """What a backup says."""

    summary: BackupSummary | None = None

    def __init__(self, on_progress: Callable[[Progress], None] | None, on_unreadable: Callable[[str], None] | None) -> None:
        super().__init__(on_progress, on_unreadable)
        self.skipped: list[str] = []

    def result(self, kind: object, document: Mapping[str, Any]) -> None:
        if kind == "summary":
            self.summary = BackupSummary(
                snapshot_id=document.get("snapshot_id"),
                files_new=int(document["files_new"]),
                files_changed=int(document["files_changed"]),
                files_unmodified=int(document["files_unmodified"]),
                bytes_added=int(document["data_added"]),
                bytes_processed=int(document["total_bytes_processed"]),
                files_processed=int(document["total_files_processed"]),
                duration=max(0.0, float(document["total_duration"])),
            )

    def stderr(self, line: str) -> None:
        found = SKIPPED_SOURCE.match(line)
        if found:
            self.skipped.append(found[1])
        super().stderr(line)


class RestoreHearing(Hearing):
    """What a restore says."""

    FIGURES = ("bytes_restored", "files_restored", "total_bytes", "total_files")
    restored: Restored | None = None

    def __init__(self, on_progress: Callable[[Progress], None] | None, on_unreadable: Callable[[str], None] | None) -> None:
        super().__init__(on_progress, on_unreadable)
        self._changes: list[Change] = []

    def result(self, kind: object, document: Mapping[str, Any]) -> None:
        if kind == "verbose_status":
            self._changes.append(Change(str(document["action"]), str(document["item"]), int(document.get("size", 0))))
        elif kind == "summary":
            self.restored = Restored(
                files_restored=int(document.get("files_restored", 0)),
                files_skipped=int(document.get("files_skipped", 0)),
                files_deleted=int(document.get("files_deleted", 0)),
                files_total=int(document.get("total_files", 0)),
                bytes_restored=int(document.get("bytes_restored", 0)),
                bytes_total=int(document.get("total_bytes", 0)),
                changes=tuple(self._changes),
            )

    @property
    def first_complaint(self) -> str:
        """The first error of a file, to stand behind the sum of them."""
        return f" (first: {self.unreadable[0]})" if self.unreadable else ""
