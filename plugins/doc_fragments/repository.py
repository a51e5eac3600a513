# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that modules on one restic repository share."""

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches a repository."""

    DOCUMENTATION = r"""
options:
  repository:
    description:
      - The repository as restic takes it, such as V(/srv/restic), V(rest:https://backup.example/) or V(s3:https://s3.example/bucket).
      - Credentials in it are refused; put them into O(environment) or O(environment_file).
    type: str
  password_file:
    description: File on the host that holds the repository's password. The user that runs restic must be able to read it.
    type: path
  environment:
    description: Environment variables that the backend needs, such as C(AWS_ACCESS_KEY_ID). They go to restic's environment alone.
    type: dict
  environment_file:
    description: File on the host with such variables, one C(KEY=VALUE) a line. O(environment) wins over it.
    type: path
  user:
    description:
      - Run restic as this user, with no more capabilities than its task needs.
      - If left out, restic runs as the user that the module runs as.
    type: str
requirements:
  - restic 0.18.0 or newer on the host
"""

    JOB = r"""
options:
  job:
    description:
      - A job of the host's manifest, or the service that it belongs to. Repository, paths, tags and limits are then those of the job.
      - Excludes O(repository).
    type: str
"""
