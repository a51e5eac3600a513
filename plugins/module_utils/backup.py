# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run of a job: lock, hooks, stopped units, one restic process per repository, state and metrics in every outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import hooks, layout, locks, log, metrics, names, probe, process, state, systemd
from .access import environment_of, restic_for
from .errors import EXIT_COMPLETE, EXIT_FAILED, EXIT_PARTIAL, HoldfastError
from .manifest import Job, Manifest, Repository
from .progress import progress_text
from .quantities import counted, format_bytes, format_duration, printable
from .records import NamedTuple
from .restic_records import Backup
from .state import COMPLETE, FAILED, PARTIAL, Expected, JobState, Outcome, Running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from . import instant
    from .manifest import Command

_SHOWN_UNREADABLE = 20
EXIT_STATUS = {COMPLETE: EXIT_COMPLETE, PARTIAL: EXIT_PARTIAL, FAILED: EXIT_FAILED}


class Report(NamedTuple):
    """How a run ended: its worst result, and each repository's own."""

    job: str
    run: str
    result: str
    outcomes: Mapping[str, Outcome]

    @property
    def exit_status(self) -> int:
        """The command's exit status for it."""
        return EXIT_STATUS[self.result]


def new_run_id() -> str:
    """A name for a run: when it began, and a few letters to tell two apart."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{os.urandom(3).hex()}"


def run(manifest: Manifest, job: Job) -> Report:
    """Back up one job now, in this process.

    Raises:
        BusyError: another run of the job is under way; nothing was touched.
    """
    name = new_run_id()
    with locks.held(names.job_lock(job.name), f"backup run {name} of {job.name}"), log.followed(names.run_log(names.job_lock(job.name))):
        return _Run(manifest, job, name).execute()


class _Run:
    def __init__(self, manifest: Manifest, job: Job, name: str) -> None:
        self._manifest = manifest
        self._job = job
        self._name = name
        self._began = time.time()
        self._invocation = os.environ.get("INVOCATION_ID", "")
        self._outcomes: dict[str, Outcome] = {}
        self._state = JobState(expected=Expected.of(manifest, job))
        self._units_down: list[str] = []
        self._frozen: instant.Record | None = None

    def execute(self) -> Report:
        job = self._job
        log.info(f"{job.name}: run {self._name} begins: {', '.join(job.paths) or job.zfs_dataset} to {', '.join(job.repositories)}")
        running = Running(self._name, self._invocation, os.getpid(), self._began)
        self._state = _settled(job.name)._replace(expected=Expected.of(self._manifest, job), running=running)
        self._keep_state()
        metrics.preload()
        self._guarded(self._body, settled_too=False)
        self._guarded(self._start_units, settled_too=True)
        self._thaw()
        self._guarded(self._post_backup, settled_too=True)
        return self._finish()

    def _guarded(self, step: Callable[[], None], settled_too: bool) -> None:
        """Do a step; an error of it is an outcome, and never keeps the next step from being done."""
        try:
            step()
        except HoldfastError as error:
            self._fail(str(error), error.exit_code, settled_too)
        except OSError as error:
            self._fail(f"{error.filename or self._job.name}: {error.strerror}", EXIT_FAILED, settled_too)

    def _fail(self, message: str, exit_code: int, settled_too: bool) -> None:
        log.error(f"{self._job.name}: {message}")
        now = time.time()
        for repository in self._job.repositories:
            known = self._outcomes.get(repository)
            if known and (known.result == FAILED or not settled_too):
                continue
            base = known or Outcome(FAILED, exit_code, now, duration=now - self._began)
            self._outcomes[repository] = base._replace(result=FAILED, exit_code=failed_code(exit_code), last_success=None, error=message)

    def _body(self) -> None:
        job = self._job
        reachable = [name for name in job.repositories if self._reachable(name)]
        if not reachable:
            return
        self._hooks("pre_backup", job.pre_backup)
        probe.check_sources(job.paths)
        paths = [*job.paths, *(probe.existing(job.optional_paths) if job.optional_paths else [])]
        if job.zfs_dataset is None:
            self._stop_units()
        else:
            paths = self._freeze(job.zfs_dataset, paths)
        for name in reachable:
            process.relay.check()
            self._outcomes[name] = self._one_repository(name, paths)
            self._keep_state()

    def _hooks(self, phase: str, commands: Sequence[Command]) -> None:
        variables = hooks.environment(self._job.name, self._name, self._manifest.host)
        hooks.run(phase, commands, variables, self._manifest.settings.hook_timeout)
        process.relay.check()

    def _freeze(self, dataset: str, paths: Sequence[str]) -> list[str]:
        """Take the ZFS snapshots that the job needs, its units down for no longer than that, and give the paths to back up."""
        from . import instant

        job = self._job
        limit = self._manifest.settings.stall_timeout
        systemd.status("taking ZFS snapshots")
        instant.cleanup(limit)
        wanted = instant.plan(job.origin, dataset, paths, job.exclude, limit)
        instant.check_repositories(
            job.origin, wanted, [found.url for name in job.repositories if (found := self._manifest.repositories[name]).type == "local"]
        )
        process.relay.check()
        self._stop_units()
        self._frozen = instant.take(job.name, self._name, wanted.layers, limit)
        self._start_units()
        log.info(f"{job.name}: {counted(len(wanted.layers), 'ZFS snapshot')} taken, first {self._frozen.names[0]}")
        self._hooks("post_snapshot", job.post_snapshot)
        return list(wanted.paths)

    def _thaw(self) -> None:
        """Destroy the run's ZFS snapshots; what cannot be destroyed now is told in the metric and tried again by the next cleanup."""
        if self._job.zfs_dataset is None:
            return
        from . import instant

        try:
            busy = instant.discard(self._frozen, self._manifest.settings.stall_timeout) if self._frozen else []
        except HoldfastError as error:
            log.error(f"{self._job.name}: {error}")
        else:
            if busy:
                log.warning(f"{self._job.name}: ZFS snapshot {busy[0]} is busy; the next cleanup tries again")
        self._count_orphans()

    def _count_orphans(self) -> None:
        from . import instant

        try:
            metrics.publish_zfs(self._manifest, len(instant.orphans(self._name)))
        except HoldfastError as error:
            log.error(f"{self._job.name}: {error}")

    def _within(self, repository: Repository) -> tuple[str, ...]:
        """The view of the host in which restic reads: the run's ZFS snapshots in their places."""
        if self._frozen is None:
            return ()
        from . import enclosure

        live = [layout.CACHE, layout.CONFIGURATION, *([Path(repository.url)] if repository.type == "local" else [])]
        return enclosure.prefix(self._frozen.path, live)

    def _reachable(self, name: str) -> bool:
        repository = self._manifest.repositories[name]
        try:
            probe.check_repository(repository, environment_of(repository))
        except HoldfastError as error:
            self._outcomes[name] = self._failed(name, error, self._began)
            return False
        return True

    def _stop_units(self) -> None:
        self._units_down = systemd.active_units(self._job.stop_units)
        if self._units_down:
            self._note_running(stopped_units=tuple(self._units_down))
            log.info(f"{self._job.name}: stopping {', '.join(self._units_down)}")
            systemd.stop(self._units_down)

    def _start_units(self) -> None:
        if self._units_down:
            log.info(f"{self._job.name}: starting {', '.join(self._units_down)}")
            systemd.start(self._units_down, shielded=True)
            self._units_down = []
            self._note_running(stopped_units=())

    def _post_backup(self) -> None:
        if not self._job.post_backup:
            return
        self._note_running(post_backup_begun=True)
        variables = hooks.environment(self._job.name, self._name, self._manifest.host, self._result())
        hooks.run("post_backup", self._job.post_backup, variables, self._manifest.settings.hook_timeout, shielded=True)

    def _one_repository(self, name: str, paths: list[str]) -> Outcome:
        began = time.time()
        unreadable = _Unreadable(self._job.name)
        settings = self._manifest.settings
        systemd.status(f"{name}: opening the repository")
        try:
            repository = self._manifest.repositories[name]
            done = restic_for(repository, settings, self._job.groups, self._within(repository)).backup(
                paths,
                host=self._manifest.host,
                tags=self._job.all_tags,
                exclude=self._job.exclude,
                retry_lock=settings.retry_lock,
                read_concurrency=settings.read_concurrency,
                compression=settings.compression,
                stall_timeout=settings.stall_timeout,
                on_progress=lambda progress: systemd.status(f"{name}: {progress_text(progress)}"),
                on_unreadable=unreadable.add,
            )
        except HoldfastError as error:
            return self._failed(name, error, began)
        finally:
            unreadable.close()
        return self._stored(name, done, began)

    def _failed(self, name: str, error: HoldfastError, began: float) -> Outcome:
        log.error(f"{self._job.name}: {name}: failed: {error}")
        now = time.time()
        return Outcome(FAILED, failed_code(error.exit_code), now, duration=now - began, error=str(error))

    def _stored(self, name: str, done: Backup, began: float) -> Outcome:
        result = COMPLETE if done.exit_code == 0 else PARTIAL
        summary = done.summary
        now = time.time()
        text = (
            f"{self._job.name}: {name}: {result}: {summary.files_new} new, {summary.files_changed} changed, "
            f"{summary.files_unmodified} unmodified files; {format_bytes(summary.bytes_added)} added of "
            f"{format_bytes(summary.bytes_processed)} in {format_duration(now - began)}"
        )
        (log.info if result == COMPLETE else log.warning)(text)
        return Outcome(
            result=result,
            exit_code=done.exit_code,
            last_run=now,
            last_success=now if result == COMPLETE else None,
            duration=now - began,
            files_new=summary.files_new,
            files_changed=summary.files_changed,
            files_unmodified=summary.files_unmodified,
            bytes_added=summary.bytes_added,
            bytes_processed=summary.bytes_processed,
            snapshot_id=summary.snapshot_id,
            unreadable=len(done.unreadable),
            error=f"{len(done.unreadable)} files could not be read, first {printable(done.unreadable[0])}" if done.unreadable else None,
        )

    def _result(self) -> str:
        return state.worst([outcome.result for outcome in self._outcomes.values()])

    def _merged(self) -> dict[str, Outcome]:
        return state.with_kept_success(self._state, self._outcomes)

    def _keep_state(self) -> None:
        self._remember(lambda: state.write_job(self._job.name, self._state._replace(outcomes=self._merged())))

    def _note_running(self, **changes: Any) -> None:
        if self._state.running:
            self._state = self._state._replace(running=self._state.running._replace(**changes))
            self._keep_state()

    def _remember(self, act: Callable[[], None]) -> None:
        """Keep state where that is possible: a full disk is no reason not to back it up."""
        try:
            act()
        except (OSError, ValueError) as error:
            log.warning(f"{self._job.name}: state could not be kept: {error}")

    def _finish(self) -> Report:
        self._state = self._state._replace(outcomes=self._merged(), running=None, ended_invocation=self._invocation)
        outcomes = {name: self._state.outcomes[name] for name in self._job.repositories}
        report = Report(self._job.name, self._name, self._result(), outcomes)
        self._keep_state()
        entry = state.history_entry(self._name, self._began, report.result, outcomes)
        self._remember(lambda: state.append_history(self._job.name, entry))
        try:
            metrics.publish_job(self._job.name, self._state)
        except HoldfastError as error:
            log.error(f"{self._job.name}: {error}")
        state.note_settled(self._job.name, self._invocation)
        took = format_duration(time.time() - self._began)
        (log.info if report.result == COMPLETE else log.error)(f"{self._job.name}: run {self._name} ends: {report.result} after {took}")
        systemd.status(f"{report.result} after {took}")
        if report.result == COMPLETE:
            log.settled()
        return report


def _settled(job: str) -> JobState:
    """What is known of a job, once a run of it that was killed outside a unit is settled; its lock is held."""
    known = state.read_job(job)
    if known.running is None:
        return known
    from . import aftermath

    return aftermath.settle(job, known, f"run {known.running.run} never ended", EXIT_FAILED, "")


class _Unreadable:
    """Says the first files that could not be read, and at the end how many more there were."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._count = 0

    def add(self, text: str) -> None:
        self._count += 1
        if self._count <= _SHOWN_UNREADABLE:
            log.warning(f"{self._job}: could not read {printable(text)}")

    def close(self) -> None:
        if self._count > _SHOWN_UNREADABLE:
            log.warning(f"{self._job}: could not read {self._count - _SHOWN_UNREADABLE} more files")


def failed_code(code: int) -> int:
    """An exit code for a failure: neither that of a complete nor that of a partial run."""
    return EXIT_FAILED if code in (EXIT_COMPLETE, EXIT_PARTIAL) else code
