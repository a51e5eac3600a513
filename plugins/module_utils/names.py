# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What units, locks and tags are called, and where the first two are found.

Paths are plain text here: ``holdfast backup`` needs them before anything else, and pathlib would be most of what it waits for.
"""

from __future__ import annotations

RUNTIME = "/run/holdfast"
UNITS = "/etc/systemd/system"

SLICE = "holdfast.slice"
CLEANUP_UNIT = "holdfast-cleanup.service"

# The verb that runs a program where ZFS snapshots are mounted.
WITHIN = "within"

SERVICE_PREFIX = "service-"
JOB_TAG = "holdfast-job="


def job_lock(job: str) -> str:
    """The lock that a run or restore of a job holds."""
    return f"job-{job}"


def forget_lock(repository: str) -> str:
    """The lock that a forget of a repository holds."""
    return f"forget-{repository}"


def lock_file(lock: str) -> str:
    """The file of a lock."""
    return f"{RUNTIME}/{lock}.lock"


def run_log(lock: str) -> str:
    """What the run that holds or last held a lock said, for whoever follows it: the journal shows lines a quarter of a second late."""
    return f"{RUNTIME}/{lock}.log"


def backup_unit(job: str, suffix: str = "service") -> str:
    """The unit that runs a job, or its timer."""
    return f"holdfast-backup@{job}.{suffix}"


def job_drop_in(job: str) -> str:
    """What is a job's own in its unit; it is there as long as the job is deployed. Below ``UNITS``."""
    return f"{backup_unit(job)}.d/job.conf"


def forget_unit(repository: str, suffix: str = "service") -> str:
    """The unit that thins and prunes a repository, or its timer."""
    return f"holdfast-forget@{repository}.{suffix}"
