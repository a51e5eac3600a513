# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where files are on a host."""

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
ZFS_RUNS = DATA / "zfs"
SYSTEM_LISTS = DATA / "system"
HOME = DATA / "home"

CACHE = Path("/var/cache/holdfast")
RESTIC_CACHE = CACHE / "restic"
RESTIC_TEMPORARY = CACHE / "tmp"

PACKAGE = Path("/usr/local/lib/holdfast")
COMMAND = Path("/usr/local/bin/holdfast")
COMPLETION = Path("/usr/share/bash-completion/completions/holdfast")


def job_metrics(directory: Path, job: str) -> Path:
    """The metric file of a job."""
    return directory / f"holdfast_backup_{job}.prom"


def zfs_metrics(directory: Path) -> Path:
    """The metric file of the host's ZFS snapshots."""
    return directory / "holdfast_zfs.prom"


def repository_metrics(directory: Path, repository: str) -> Path:
    """The metric file of a repository's forget."""
    return directory / f"holdfast_forget_{repository}.prom"
