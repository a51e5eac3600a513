# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Thinning and pruning a repository: each job by its own tag and rules, stale locks told from live ones."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import locks, log, metrics, names, probe, process, state, systemd
from .access import environment_of, restic_for
from .errors import EXIT_COMPLETE, EXIT_FAILED, ConfigurationError, HoldfastError
from .manifest import Manifest, Repository, parse_retention
from .privileges import USER
from .quantities import counted, format_duration
from .records import NamedTuple
from .restic import Restic
from .restic_errors import RepositoryLocked, ResticError
from .restic_records import Forgotten, Lock, Snapshot
from .state import COMPLETE, FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, TypeVar

    _T = TypeVar("_T")

_WAIT = 10.0
_CLOCK_SLACK = 2.0


@dataclass
class Report:
    """What a forget did in a repository: the snapshots that went, and what else is worth a line."""

    repository: str
    result: str = COMPLETE
    skipped: bool = False
    removed: dict[str, list[Snapshot]] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def exit_status(self) -> int:
        """The command's exit status for it."""
        return EXIT_COMPLETE if self.result == COMPLETE else EXIT_FAILED


def preview(manifest: Manifest, repository: Repository) -> Report:
    """What a forget would remove now; changes nothing."""
    report = Report(repository.name)
    if repository.append_only:
        return _skip(report)
    restic = restic_for(repository, manifest.settings)
    for job in manifest.jobs_of(repository.name):
        found = restic.forget(manifest.retention(job, repository.name), host=manifest.host, tag=job.tag, dry_run=True)
        report.removed[job.name] = list(found.removed)
        report.kept[job.name] = len(found.kept)
    return report


class Request(NamedTuple):
    """What to thin without a manifest: the snapshots of a host with a tag, by restic's keep rules."""

    host: str
    tag: str
    retention: Mapping[str, object]
    prune: bool = False
    retry_lock: int = 0


def thin(restic: Restic, request: Request, check: bool = False) -> Forgotten:
    """Remove what the rules do not keep; ask first, so that nothing is touched where nothing is to do.

    Raises:
        ConfigurationError: the rules are wrong or keep nothing.
        ResticError: something could not be deleted.
    """
    retention = parse_retention(request.retention, "retention")
    if not any(retention.values()):
        raise ConfigurationError("retention: would keep nothing. Let at least one keep rule be above zero.")
    planned = restic.forget(retention, host=request.host, tag=request.tag, dry_run=True, retry_lock=request.retry_lock)
    if check or not planned.removed:
        return planned
    done = restic.forget(retention, host=request.host, tag=request.tag, retry_lock=request.retry_lock)
    _prove_removed(restic, request.host, done.removed)
    if request.prune:
        restic.prune(request.retry_lock)
    return done


def run(manifest: Manifest, repository: Repository) -> Report:
    """Forget and prune now, in this process; state and metrics are written in every outcome.

    Raises:
        BusyError: another forget of the repository is under way.
    """
    report = Report(repository.name)
    lock = names.forget_lock(repository.name)
    with locks.held(lock, f"forget in {repository.name}"), log.followed(names.run_log(lock)):
        if repository.append_only:
            return _skip(report)
        began = time.time()
        try:
            _forget(manifest, repository, report)
        except HoldfastError as error:
            report.result = FAILED
            report.error = str(error)
            log.error(f"{repository.name}: forget failed: {error}")
            _record(manifest, repository, report, began, error.exit_code)
            return report
        _record(manifest, repository, report, began, 0)
        return report


def _skip(report: Report) -> Report:
    report.skipped = True
    report.notes.append(f"{report.repository} is append_only: nothing is forgotten or pruned from this host")
    log.info(report.notes[0])
    return report


def _forget(manifest: Manifest, repository: Repository, report: Report) -> None:
    settings = manifest.settings
    probe.check_repository(repository, environment_of(repository))
    restic = restic_for(repository, settings)
    patience = _Patience(restic, settings.retry_lock, report)
    found = patience.with_lock(restic.repository_id)
    known = state.read_repository(repository.name)
    if known.id not in (None, found):
        raise ResticError(
            f"{repository.url} holds the repository {found[:8]}, but this host has known {str(known.id)[:8]} there; nothing was forgotten"
        )
    jobs = manifest.jobs_of(repository.name)
    for number, job in enumerate(jobs, start=1):
        process.relay.check()
        systemd.status(f"forget: job {number} of {len(jobs)}, {job.name}")
        done = patience.with_lock(partial(restic.forget, manifest.retention(job, repository.name), host=manifest.host, tag=job.tag))
        report.removed[job.name] = list(done.removed)
        report.kept[job.name] = len(done.kept)
        log.info(f"{repository.name}: {job.name}: {counted(len(done.kept), 'restic snapshot')} kept, {len(done.removed)} removed")
    _prove_removed(restic, manifest.host, [snapshot for removed in report.removed.values() for snapshot in removed])
    process.relay.check()
    systemd.status("prune")
    patience.with_lock(restic.prune)
    log.info(f"{repository.name}: pruned")


def _prove_removed(restic: Restic, host: str, removed: Sequence[Snapshot]) -> None:
    """restic 0.18 reports a snapshot that it could not delete as removed, with status 0."""
    wanted = {snapshot.id for snapshot in removed}
    if not wanted:
        return
    left = wanted & {snapshot.id for snapshot in restic.snapshots(host=host, lock=False)}
    if left:
        raise ResticError(
            f"{len(left)} of {len(wanted)} restic snapshots could not be deleted. If the repository takes no deletions from this host, "
            "set append_only: true"
        )


class _Patience:
    """Waits for live locks as long as ``retry_lock`` allows, and has restic remove stale ones."""

    def __init__(self, restic: Restic, seconds: float, report: Report) -> None:
        self._restic = restic
        self._until = time.monotonic() + seconds
        self._report = report

    def with_lock(self, act: Callable[[], _T]) -> _T:
        """Do something that needs a lock.

        Raises:
            RepositoryLocked: a live lock was still there at the end.
        """
        while True:
            process.relay.check()
            try:
                return act()
            except RepositoryLocked as error:
                found = self._restic.locks()
                if found and self._remove_stale(found):
                    continue
                if time.monotonic() >= self._until:
                    raise RepositoryLocked(
                        f"{error}: {describe(found)}; waited as long as holdfast_settings.retry_lock allows", 11
                    ) from None
                systemd.status(f"waiting: {describe(found)}")
                _sleep(_WAIT)

    def _remove_stale(self, found: list[Lock]) -> bool:
        """Whether a lock went away.

        restic's own rule takes a process that it may not signal for dead, so it is not asked while such a one lives.
        """
        here = socket.gethostname()
        if any(lock.host == here and is_alive(lock) and not _is_ours(lock.pid) for lock in found):
            return False
        self._restic.unlock()
        left = {lock.id for lock in self._restic.locks()}
        gone = [lock for lock in found if lock.id not in left]
        for lock in gone:
            note = f"removed a stale lock of process {lock.pid} on {lock.host}, {format_duration(max(0.0, time.time() - lock.time))} old"
            log.warning(f"{self._report.repository}: {note}")
            self._report.notes.append(note)
        return bool(gone)


def is_alive(lock: Lock) -> bool:
    """Whether the process of a lock of this host still runs; a younger process of the same number is not it."""
    began = process_start(lock.pid)
    return began is not None and began <= lock.time + _CLOCK_SLACK


def process_start(pid: int) -> float | None:
    """When a process began, in Unix seconds (proc(5): field 22 of stat, in clock ticks since boot); None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        booted = next(line for line in Path("/proc/stat").read_text(encoding="ascii").splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
    return int(booted.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _is_ours(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == pwd.getpwnam(USER).pw_uid
    except (OSError, KeyError):
        return False


def describe(found: list[Lock]) -> str:
    """Who holds the locks, as a phrase."""
    if not found:
        return "a lock came and went"
    return "locked by " + ", ".join(f"{lock.user} on {lock.host} (process {lock.pid})" for lock in found)


def _sleep(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        process.relay.check()
        time.sleep(0.5)


def _record(manifest: Manifest, repository: Repository, report: Report, began: float, exit_code: int) -> None:
    now = time.time()
    try:
        known = state.read_repository(repository.name)
        keep = True
    except state.DamagedState as error:
        log.error(f"{repository.name}: {error}")
        known, keep = state.RepositoryState(), False
    success = report.result == COMPLETE
    recorded = known._replace(
        host=manifest.host,
        textfile_directory=manifest.textfile_directory,
        forget_result=report.result,
        forget_exit_code=exit_code,
        forget_last_run=now,
        forget_last_success=now if success else known.forget_last_success,
        forget_duration=now - began,
        forget_removed=sum(len(removed) for removed in report.removed.values()),
        forget_error=report.error,
        forget_note="; ".join(report.notes) or None,
    )
    try:
        if keep:
            state.write_repository(repository.name, recorded)
    except OSError as error:
        log.error(f"{repository.name}: state could not be kept: {error.filename}: {error.strerror}")
    metrics.publish_repository(repository.name, recorded)


def unit_ended(manifest: Manifest, repository: Repository, reason: str, exit_code: int) -> None:
    """Record a forget that could not end itself."""
    report = Report(repository.name, result=FAILED, error=reason)
    log.error(f"{repository.name}: {reason}")
    _record(manifest, repository, report, time.time(), exit_code)
