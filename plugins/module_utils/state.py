# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is remembered of each job and repository between runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from . import layout, names
from .errors import HoldfastError
from .files import read_json, read_text, write_atomically, write_json
from .manifest import Job, Manifest
from .records import NamedTuple, plain
from .schedule import on_calendar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMPLETE = "complete"
PARTIAL = "partial"
FAILED = "failed"
RESULTS = (COMPLETE, PARTIAL, FAILED)
HISTORY_LENGTH = 100


class Outcome(NamedTuple):
    """How the last run of a job ended in one repository: Unix times, seconds, bytes; None where unknown."""

    result: str
    exit_code: int
    last_run: float
    last_success: float | None = None
    duration: float | None = None
    files_new: int | None = None
    files_changed: int | None = None
    files_unmodified: int | None = None
    bytes_added: int | None = None
    bytes_processed: int | None = None
    snapshot_id: str | None = None
    unreadable: int = 0
    error: str | None = None


class Running(NamedTuple):
    """A run that began, and who runs it."""

    run: str
    invocation: str
    pid: int
    began: float
    stopped_units: tuple[str, ...] = ()
    post_backup_begun: bool = False


class Expected(NamedTuple):
    """What the manifest says of a job, kept beside its outcomes: metrics and status then need no manifest, not even a sound one."""

    host: str
    textfile_directory: str
    repositories: tuple[str, ...]
    rpo: int
    protection: str
    service: str | None = None
    calendar: str = ""

    @classmethod
    def of(cls, manifest: Manifest, job: Job) -> Expected:
        """What a manifest says of a job."""
        return cls(
            host=manifest.host,
            textfile_directory=manifest.textfile_directory,
            repositories=job.repositories,
            rpo=manifest.rpo(job),
            protection=job.protection,
            service=job.service,
            calendar=on_calendar(job.frequency, manifest.host, job.name) if manifest.enable else "",
        )


class JobState(NamedTuple):
    """What is known of a job; `ended_invocation` is systemd's name for the last run that ended itself."""

    expected: Expected | None = None
    outcomes: Mapping[str, Outcome] = {}
    running: Running | None = None
    ended_invocation: str = ""
    last_failed_invocation: str = ""


def worst(results: list[str]) -> str:
    """The worst of some results; nothing at all is a failure."""
    return max(results, key=RESULTS.index) if results else FAILED


def job_path(job: str) -> Path:
    """The state file of a job."""
    return layout.STATE / f"{job}.json"


def settled_path(job: str) -> Path:
    """Where the last run that wrote its metric left systemd's name for it; not on a disk that may be full."""
    return Path(names.RUNTIME, f"{names.job_lock(job)}.settled")


def note_settled(job: str, invocation: str) -> None:
    """Remember that a run's end is recorded."""
    with suppress(OSError):
        write_atomically(settled_path(job), invocation)


def settled_invocation(job: str) -> str:
    """The last run of a job whose end is recorded."""
    return read_text(settled_path(job)) or ""


def history_path(job: str) -> Path:
    """The file with a job's last runs, one JSON document a line, oldest first."""
    return layout.HISTORY / f"{job}.jsonl"


def parse_job(document: Mapping[str, Any]) -> JobState:
    """Read a state file's document; keys of a later release are passed over."""
    running = document.get("running")
    expected = document.get("expected")
    return JobState(
        expected=Expected(**{**_known(Expected, expected), "repositories": tuple(expected["repositories"])}) if expected else None,
        outcomes={name: Outcome(**_known(Outcome, outcome)) for name, outcome in document.get("outcomes", {}).items()},
        running=Running(**{**_known(Running, running), "stopped_units": tuple(running.get("stopped_units", ()))}) if running else None,
        ended_invocation=document.get("ended_invocation", ""),
        last_failed_invocation=document.get("last_failed_invocation", ""),
    )


def _known(kind: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key in kind._fields}


def read_job(job: str) -> JobState:
    """What is known of a job; nothing where it never ran or its file is damaged."""
    try:
        return parse_job(read_json(job_path(job)) or {})
    except (ValueError, TypeError, AttributeError, KeyError):
        return JobState()


def write_job(job: str, state: JobState) -> None:
    """Remember what is known of a job."""
    layout.STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_json(job_path(job), plain(state))


def with_kept_success(before: JobState, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Outcomes of a run laid over those known before; one without a success of its own keeps the last."""
    found = dict(before.outcomes)
    for name, outcome in outcomes.items():
        known = before.outcomes.get(name)
        kept = known.last_success if known else None
        found[name] = outcome._replace(last_success=outcome.last_success or kept)
    return found


def history_entry(run: str, began: float, result: str, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """A run as the history keeps it."""
    return {
        "run": run,
        "began": began,
        "result": result,
        "repositories": plain(outcomes),
    }


def append_history(job: str, entry: Mapping[str, Any]) -> None:
    """Add a run to a job's history and drop what is older than the last 100."""
    layout.HISTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    lines = [*history_lines(job), json.dumps(entry, sort_keys=True)]
    write_atomically(history_path(job), "\n".join(lines[-HISTORY_LENGTH:]) + "\n")


def history_lines(job: str) -> list[str]:
    """A job's last runs as they stand in its file."""
    try:
        return history_path(job).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def forget_job(job: str) -> None:
    """Drop all that is known of a job."""
    for path in (job_path(job), history_path(job)):
        path.unlink(missing_ok=True)


def known_jobs() -> list[str]:
    """The jobs that have a state file."""
    return sorted(path.name[: -len(".json")] for path in layout.STATE.glob("*.json"))


class DamagedState(HoldfastError):
    """What was remembered cannot be read."""


class RepositoryState(NamedTuple):
    """What is known of a repository: its id, and how its last forget ended."""

    host: str = ""
    textfile_directory: str = ""
    id: str | None = None
    url: str | None = None
    replaced_key: str | None = None
    forget_result: str | None = None
    forget_exit_code: int | None = None
    forget_last_run: float | None = None
    forget_last_success: float | None = None
    forget_duration: float | None = None
    forget_removed: int | None = None
    forget_error: str | None = None
    forget_note: str | None = None


def repository_path(repository: str) -> Path:
    """The state file of a repository."""
    return layout.REPOSITORIES / f"{repository}.json"


def read_repository(repository: str) -> RepositoryState:
    """What is known of a repository.

    Raises:
        DamagedState: the file is damaged; a known id must not be taken for an unknown one.
    """
    path = repository_path(repository)
    try:
        document = read_json(path)
        return RepositoryState() if document is None else RepositoryState(**_known(RepositoryState, document))
    except (ValueError, TypeError, AttributeError):
        raise DamagedState(
            f"{path}: is damaged. It held the id of the repository that this host knows. If you are sure that the right one is there, "
            "remove the file and run site.yml."
        ) from None


def write_repository(repository: str, state: RepositoryState) -> None:
    """Remember what is known of a repository."""
    layout.REPOSITORIES.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_json(repository_path(repository), plain(state))
