# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How well each job is protected now, from the state files alone."""

from __future__ import annotations

import time
from collections.abc import Mapping

from . import document, manifest, names, state, systemd
from .state import Expected, JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def collect() -> dict[str, Any]:
    """The document of ``holdfast status --json``; it touches no repository.

    Raises:
        ConfigurationError: there is no sound manifest.
    """
    now = time.time()
    declared = document.read()
    known = {job: state.read_job(job) for job in sorted(declared["jobs"])}
    if any(found.expected is None for found in known.values()):
        known = _with_expectations(known)
    runs = next_runs(known)
    jobs = []
    for job, found in known.items():
        if found.expected is not None:
            jobs += [_entry(job, repository, found, found.expected, runs.get(job), now) for repository in found.expected.repositories]
    return {"host": declared.get("host"), "generated": now, "jobs": jobs}


def _with_expectations(known: Mapping[str, JobState]) -> dict[str, JobState]:
    """What the manifest says of jobs whose state is lost: they are unprotected, not unknown."""
    wanted = manifest.load()
    return {job: found._replace(expected=found.expected or Expected.of(wanted, wanted.jobs[job])) for job, found in known.items()}


def _entry(job: str, repository: str, known: JobState, expected: Expected, next_run: float | None, now: float) -> dict[str, Any]:
    outcome = known.outcomes.get(repository)
    success = outcome.last_success if outcome else None
    age = None if success is None else max(0.0, now - success)
    return {
        "job": job,
        "service": expected.service,
        "repository": repository,
        "protection": expected.protection,
        "result": outcome.result if outcome else None,
        "last_run": outcome.last_run if outcome else None,
        "last_success": success,
        "age_seconds": age,
        "rpo_seconds": expected.rpo,
        "within_rpo": age is not None and age <= expected.rpo,
        "duration_seconds": outcome.duration if outcome else None,
        "bytes_added": outcome.bytes_added if outcome else None,
        "files_new": outcome.files_new if outcome else None,
        "next_run": next_run,
        "running": known.running is not None,
        "exit_code": outcome.exit_code if outcome else None,
        "error": outcome.error if outcome else None,
        "snapshot_id": outcome.snapshot_id if outcome else None,
    }


def next_runs(known: Mapping[str, JobState]) -> Mapping[str, float]:
    """When each job's timer runs out next, in Unix seconds; jobs whose timer is not enabled are left out."""
    calendars = {job: found.expected.calendar for job, found in known.items() if found.expected and found.expected.calendar}
    timed = {job: calendar for job, calendar in calendars.items() if systemd.is_enabled(names.backup_unit(job, "timer"))}
    moments = systemd.next_elapses(list(timed.values()))
    return {job: moments[calendar] for job, calendar in timed.items() if calendar in moments}


def unprotected(collected: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of a status document whose last success is too old or missing."""
    return [entry for entry in collected["jobs"] if not entry["within_rpo"]]
