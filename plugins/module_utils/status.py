# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How well each job is protected now, from the state files alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from . import layout, state, systemd
from .errors import HoldfastError
from .state import JobState

_TIMER_PROPERTIES = ("NextElapseUSecRealtime",)


def collect(host: str) -> dict[str, Any]:
    """The document of ``holdfast status --json``; it touches no repository."""
    now = time.time()
    runs = next_runs()
    jobs = []
    for job in state.known_jobs():
        known = state.read_job(job)
        if known.expected is None:
            continue
        jobs += [_entry(job, repository, known, runs.get(job), now) for repository in known.expected.repositories]
    return {"host": host, "generated": now, "jobs": jobs}


def _entry(job: str, repository: str, known: JobState, next_run: float | None, now: float) -> dict[str, Any]:
    expected = known.expected
    assert expected is not None
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


def next_runs() -> Mapping[str, float]:
    """When each job's timer runs out next, in Unix seconds; jobs without an active timer are left out."""
    pattern = layout.backup_unit("*", "timer")
    start, end = pattern.split("*")
    try:
        timers = systemd.properties([pattern], _TIMER_PROPERTIES)
    except HoldfastError:
        return {}
    found = {timer["Id"][len(start) : -len(end)]: systemd.unix_time(timer.get(_TIMER_PROPERTIES[0])) for timer in timers}
    return {job: moment for job, moment in found.items() if moment is not None}


def unprotected(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of a status document whose last success is too old or missing."""
    return [entry for entry in document["jobs"] if not entry["within_rpo"]]
