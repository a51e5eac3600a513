# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Metrics for node_exporter's textfile collector: every name and help text, and nothing but what the state says."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import layout
from .errors import HoldfastError
from .files import read_text, write_atomically
from .manifest import Job, Manifest
from .state import COMPLETE, RESULTS, JobState, Outcome, RepositoryState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_AFTER_START = 0.1
_JOB_LABELS = ("backup_job", "repository", "hostname")
_REPOSITORY_LABELS = ("repository", "hostname")

_JOB_FAMILIES: Mapping[str, str] = {
    "restic_backup_job_info": "1 for each job and repository that should be backed up.",
    "restic_backup_rpo_seconds": "Age that the last success may reach: the promise of the protection class.",
    "restic_backup_status": "1 if the last run was complete, 0 if it was partial or failed.",
    "restic_backup_result": "1 for the result of the last run, 0 for the others.",
    "restic_backup_exit_code": "restic's exit status in the last run, or the engine's where restic did not run: 0 complete, 3 partial.",
    "restic_backup_last_run_timestamp": "When the last run ended, in Unix seconds.",
    "restic_backup_last_success_timestamp": "When the last complete run ended, in Unix seconds.",
    "restic_backup_duration_seconds": "How long the last run took.",
    "restic_backup_files_new": "New files in the last run.",
    "restic_backup_files_changed": "Changed files in the last run.",
    "restic_backup_files_unmodified": "Unmodified files in the last run.",
    "restic_backup_bytes_added": "Bytes that the last run added to the repository, before compression.",
    "restic_backup_bytes_processed": "Bytes that the last run looked at.",
}
_FORGET_FAMILIES: Mapping[str, str] = {
    "restic_forget_status": "1 if the last forget and prune succeeded, 0 if not.",
    "restic_forget_duration_seconds": "How long the last forget and prune took.",
    "restic_forget_last_success_timestamp": "When the last successful forget and prune ended, in Unix seconds.",
}


_ZFS_FAMILIES: Mapping[str, str] = {
    "holdfast_zfs_orphaned_snapshots": "ZFS snapshots of runs that have ended, which could not be destroyed yet.",
}


class MetricsError(HoldfastError):
    """A metric file could not be written."""


def preload() -> None:
    """Load the library while restic takes its time; later than restic's start, which would wait for the interpreter's lock."""
    timer = threading.Timer(_AFTER_START, _library)
    timer.daemon = True
    timer.start()


def _library() -> Any:
    try:
        import prometheus_client
    except ImportError:
        raise MetricsError("The Python package prometheus_client is missing. Install python3-prometheus-client.") from None
    return prometheus_client


class _Sheet:
    """Gauges of one file, each made when it first gets a value."""

    def __init__(self, families: Mapping[str, str]) -> None:
        self._client = _library()
        self._registry = self._client.CollectorRegistry()
        self._families = families
        self._gauges: dict[str, Any] = {}

    def set(self, name: str, labels: Mapping[str, str], value: float | None) -> None:
        if value is None:
            return
        if name not in self._gauges:
            self._gauges[name] = self._client.Gauge(name, self._families[name], list(labels), registry=self._registry)
        self._gauges[name].labels(**labels).set(value)

    def text(self) -> str:
        return str(self._client.generate_latest(self._registry).decode())


def job_text(job: str, state: JobState) -> str:
    """The metric file of a job."""
    sheet = _Sheet(_JOB_FAMILIES)
    if state.expected is None:
        return ""
    for repository in state.expected.repositories:
        labels = dict(zip(_JOB_LABELS, (job, repository, state.expected.host)))
        sheet.set("restic_backup_job_info", labels, 1)
        sheet.set("restic_backup_rpo_seconds", labels, state.expected.rpo)
        outcome = state.outcomes.get(repository)
        if outcome:
            _add_outcome(sheet, labels, outcome)
    return sheet.text()


def _add_outcome(sheet: _Sheet, labels: Mapping[str, str], outcome: Outcome) -> None:
    sheet.set("restic_backup_status", labels, int(outcome.result == COMPLETE))
    for result in RESULTS:
        sheet.set("restic_backup_result", {**labels, "result": result}, int(outcome.result == result))
    sheet.set("restic_backup_exit_code", labels, outcome.exit_code)
    sheet.set("restic_backup_last_run_timestamp", labels, outcome.last_run)
    sheet.set("restic_backup_last_success_timestamp", labels, outcome.last_success)
    sheet.set("restic_backup_duration_seconds", labels, outcome.duration)
    sheet.set("restic_backup_files_new", labels, outcome.files_new)
    sheet.set("restic_backup_files_changed", labels, outcome.files_changed)
    sheet.set("restic_backup_files_unmodified", labels, outcome.files_unmodified)
    sheet.set("restic_backup_bytes_added", labels, outcome.bytes_added)
    sheet.set("restic_backup_bytes_processed", labels, outcome.bytes_processed)


def repository_text(repository: str, state: RepositoryState) -> str:
    """The metric file of a repository's forget; empty before the first one."""
    if state.forget_last_run is None:
        return ""
    sheet = _Sheet(_FORGET_FAMILIES)
    labels = dict(zip(_REPOSITORY_LABELS, (repository, state.host)))
    sheet.set("restic_forget_status", labels, int(state.forget_result == COMPLETE))
    sheet.set("restic_forget_duration_seconds", labels, state.forget_duration)
    sheet.set("restic_forget_last_success_timestamp", labels, state.forget_last_success)
    return sheet.text()


def publish_job(job: str, state: JobState) -> bool:
    """Write a job's metric file if it would change; say whether it did.

    Raises:
        MetricsError: it cannot be written.
    """
    if state.expected is None:
        return False
    return _publish(layout.job_metrics(Path(state.expected.textfile_directory), job), job_text(job, state))


def publish_repository(repository: str, state: RepositoryState) -> bool:
    """Write the metric file of a repository's forget if it would change; say whether it did.

    Raises:
        MetricsError: it cannot be written.
    """
    if not state.textfile_directory:
        return False
    return _publish(layout.repository_metrics(Path(state.textfile_directory), repository), repository_text(repository, state))


def publish_zfs(manifest: Manifest, orphans: int) -> bool:
    """Write the metric file of this host's ZFS snapshots if it would change; say whether it did.

    Raises:
        MetricsError: it cannot be written.
    """
    sheet = _Sheet(_ZFS_FAMILIES)
    sheet.set("holdfast_zfs_orphaned_snapshots", {"hostname": manifest.host}, orphans)
    return _publish(layout.zfs_metrics(Path(manifest.textfile_directory)), sheet.text())


def _publish(path: Path, text: str) -> bool:
    try:
        if not text or read_text(path) == text:
            return False
        write_atomically(path, text, 0o644)
    except OSError as error:
        raise MetricsError(f"{path}: {error.strerror}. The metric file could not be written.") from None
    return True


def stale_files(directory: Path, jobs: Mapping[str, Job], repositories: Sequence[str]) -> list[Path]:
    """Our metric files of jobs and repositories that are not there any more; nobody else's."""
    wanted = {layout.job_metrics(directory, job) for job in jobs} | {layout.repository_metrics(directory, name) for name in repositories}
    if any(job.zfs_dataset for job in jobs.values()):
        wanted.add(layout.zfs_metrics(directory))
    found = [path for pattern in ("backup_*", "forget_*", "zfs") for path in directory.glob(f"holdfast_{pattern}.prom")]
    return sorted(path for path in found if path not in wanted)
