# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where things are on a host, and what units, files and tags are called."""

from __future__ import annotations

from pathlib import Path

CONFIGURATION = Path("/etc/holdfast")
MANIFEST = CONFIGURATION / "manifest.json"
DECLARATIONS = CONFIGURATION / "services.d"
SECRETS = CONFIGURATION / "secrets"

DATA = Path("/var/lib/holdfast")
STATE = DATA / "state"
HISTORY = DATA / "history"
REPOSITORIES = DATA / "repositories"
SYSTEM_LISTS = DATA / "system"
HOME = DATA / "home"

CACHE = Path("/var/cache/holdfast")
RESTIC_CACHE = CACHE / "restic"
RESTIC_TEMPORARY = CACHE / "tmp"

RUNTIME = Path("/run/holdfast")
LANDLOCK = RUNTIME / "landlock"

PACKAGE = Path("/usr/local/lib/holdfast")
COMMAND = Path("/usr/local/bin/holdfast")
COMPLETION = Path("/usr/share/bash-completion/completions/holdfast")

UNITS = Path("/etc/systemd/system")
SLICE = "holdfast.slice"
CLEANUP_UNIT = "holdfast-cleanup.service"

SERVICE_PREFIX = "service-"
JOB_TAG = "holdfast-job="


def job_lock(job: str) -> str:
    """The lock that a run or restore of a job holds."""
    return f"job-{job}"


def forget_lock(repository: str) -> str:
    """The lock that a forget of a repository holds."""
    return f"forget-{repository}"


def run_log(lock: str) -> Path:
    """What the run that holds or last held a lock said, for whoever follows it: the journal shows lines a quarter of a second late."""
    return RUNTIME / f"{lock}.log"


def backup_unit(job: str, suffix: str = "service") -> str:
    """The unit that runs a job, or its timer."""
    return f"holdfast-backup@{job}.{suffix}"


def forget_unit(repository: str, suffix: str = "service") -> str:
    """The unit that thins and prunes a repository, or its timer."""
    return f"holdfast-forget@{repository}.{suffix}"


def job_metrics(directory: Path, job: str) -> Path:
    """The metric file of a job."""
    return directory / f"holdfast_backup_{job}.prom"


def repository_metrics(directory: Path, repository: str) -> Path:
    """The metric file of a repository's forget."""
    return directory / f"holdfast_forget_{repository}.prom"
