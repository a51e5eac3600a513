# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""After a run that could not end itself: killed, out of memory, never started, cut off by a reset. The metric tells all the same."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from . import forget, hooks, locks, log, manifest, metrics, names, state, systemd
from .errors import EXIT_BUSY, BusyError, HoldfastError
from .state import FAILED, Expected, JobState, Outcome


def unit_ended(job: str) -> None:
    """Take up what systemd knows of a unit that ended (systemd.exec(5), "Environment variables set by the service manager").

    A run that ended itself has recorded its invocation; then there is nothing to do.
    """
    invocation = os.environ.get("INVOCATION_ID", "")
    result = os.environ.get("SERVICE_RESULT", "")
    if result == "success":
        return
    status = os.environ.get("EXIT_STATUS", "")
    known = state.read_job(job)
    if status == str(EXIT_BUSY) or (invocation and state.settled_invocation(job) == invocation):
        return
    if invocation and known.ended_invocation == invocation:
        # Killed between its last word on the disk and the metric.
        metrics.publish_job(job, known)
        state.note_settled(job, invocation)
        return
    reason = f"the unit ended with result {result or 'unknown'} ({os.environ.get('EXIT_CODE', 'not started')} {status})".replace(" )", ")")
    settle(job, known, reason, exit_number(status), invocation)


def start_failed(job: str) -> None:
    """Take up a failure that ``ExecStopPost=`` could not: a broken sandbox fails it too, and a failed dependency starts nothing.

    ``OnFailure=`` comes after every failure; what systemd tells of the unit (systemd.exec(5), MONITOR_*) is that of its last run,
    so a run that is recorded and was seen here before means that a newer start failed.
    """
    known = state.read_job(job)
    invocation = os.environ.get("MONITOR_INVOCATION_ID", "")
    result = os.environ.get("MONITOR_SERVICE_RESULT", "success")
    status = os.environ.get("MONITOR_EXIT_STATUS", "")
    if status == str(EXIT_BUSY) and result != "success":
        return
    if result == "success" or invocation in ("", known.last_failed_invocation):
        settle(job, known, "the unit was not started, because something that it depends on failed", 1, "")
        return
    if invocation != state.settled_invocation(job):
        known = settle(job, known, f"the unit could not run: result {result} {status}".rstrip(), exit_number(status), invocation)
    state.write_job(job, known._replace(last_failed_invocation=invocation))


def forget_ended(repository: str) -> None:
    """Take up a forget whose unit ended without having recorded it."""
    status = os.environ.get("EXIT_STATUS", "")
    if os.environ.get("EXIT_CODE") == "exited" and status in ("1", str(EXIT_BUSY)):
        return
    found = manifest.load()
    reason = f"the unit ended with result {os.environ.get('SERVICE_RESULT', 'unknown')} ({status or 'not started'})"
    forget.unit_ended(found, found.repository(repository), reason, exit_number(status))


def exit_number(status: str) -> int:
    """systemd's EXIT_STATUS as a number: 128 and the signal's number for a signal."""
    if status.isdecimal():
        return int(status)
    number = getattr(signal, f"SIG{status}", None)
    return 128 + int(number) if number else 1


def settle(job: str, known: JobState, reason: str, exit_code: int, invocation: str) -> JobState:
    """Record a run as failed in every repository that it had not settled yet, start what it had stopped, finish its hooks."""
    log.error(f"{job}: {reason}")
    known = _with_expectation(job, known)
    now = time.time()
    running = known.running
    began = running.began if running else now
    outcomes = {}
    for name in known.expected.repositories if known.expected else ():
        settled = known.outcomes.get(name)
        if running and settled and settled.last_run >= began:
            outcomes[name] = settled
            continue
        outcomes[name] = Outcome(FAILED, exit_code if exit_code not in (0, 3) else 1, now, duration=now - began, error=reason)
    merged = state.with_kept_success(known, outcomes)
    if running and running.stopped_units:
        _start_again(job, running.stopped_units)
    destroy_snapshots()
    if running and not running.post_backup_begun:
        _post_backup(job, running.run)
    ended = known._replace(outcomes=merged, running=None)
    try:
        state.write_job(job, ended)
        result = state.worst([outcome.result for outcome in outcomes.values()])
        state.append_history(job, state.history_entry(running.run if running else "", began, result, outcomes))
    except OSError as error:
        log.error(f"{job}: state could not be kept: {error.filename}: {error.strerror}")
    metrics.publish_job(job, ended)
    if invocation:
        state.note_settled(job, invocation)
    return ended


def _with_expectation(job: str, known: JobState) -> JobState:
    """What the manifest says now, or what it said before where it is broken."""
    try:
        found = manifest.load()
        return known._replace(expected=Expected.of(found, found.job(job)))
    except HoldfastError as error:
        log.error(f"{job}: {error}")
        return known


def _start_again(job: str, units: tuple[str, ...]) -> None:
    try:
        systemd.start(units)
    except HoldfastError as error:
        log.error(f"{job}: {error}")


def destroy_snapshots() -> list[str]:
    """Destroy the ZFS snapshots that runs left which have ended, count in the metric those that still stand, and give them."""
    from . import instant

    if not instant.is_needed():
        return []
    try:
        found = manifest.load()
    except HoldfastError as error:
        log.error(str(error))
        return instant.cleanup(manifest.Settings().stall_timeout)
    left = instant.cleanup(found.settings.stall_timeout)
    try:
        metrics.publish_zfs(found, len(left))
    except HoldfastError as error:
        log.error(str(error))
    return left


def _post_backup(job: str, run: str) -> None:
    try:
        found = manifest.load()
        hooks.run("post_backup", found.job(job).post_backup, hooks.environment(job, run, found.host, FAILED), found.settings.hook_timeout)
    except HoldfastError as error:
        log.error(f"{job}: {error}")


def cleanup() -> list[str]:
    """Settle every run that began and never ended, after a reset or a kill outside a unit; give the jobs.

    A run that holds its lock is alive and left alone.
    """
    settled = []
    for job in state.known_jobs():
        if state.read_job(job).running is None:
            continue
        lock = names.job_lock(job)
        # /run is empty after a boot; the kernel's boot_id stays the same when a container is reset.
        same_boot = os.path.exists(names.lock_file(lock))
        with suppress(BusyError), locks.held(lock, f"cleanup of {job}"):
            known = state.read_job(job)
            if known.running is not None:
                reason = f"run {known.running.run} never ended" + ("" if same_boot else ": the machine was reset or shut down")
                settle(job, known, reason, 1, "")
                settled.append(job)
    return settled
