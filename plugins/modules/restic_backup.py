#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: restic_backup
short_description: Back up paths with restic, or run a job of the host now
version_added: 0.1.0
description:
  - With O(job), starts the job's unit and waits for it, so that the run has the unit's sandbox, hooks, state and metrics.
  - With O(repository), backs up O(paths) in one restic process, without any other part of Holdfast.
  - A backup that could not read every file is a failed task, although its restic snapshot exists.
options:
  paths:
    description: Absolute paths that must exist.
    type: list
    elements: path
  tags:
    description: Tags of the restic snapshot.
    type: list
    elements: str
    default: []
  exclude:
    description: Patterns that restic leaves out.
    type: list
    elements: str
    default: []
  host:
    description: Recorded as the restic snapshot's host. If left out, the host's own name.
    type: str
  compression:
    description: How hard restic compresses.
    type: str
    choices: [auto, "off", fastest, better, max]
    default: auto
  read_concurrency:
    description: How many files are read at once.
    type: int
    default: 2
  retry_lock:
    description: Seconds to wait for another restic's lock.
    type: int
    default: 0
  stall_timeout:
    description: Seconds without progress after which restic is ended.
    type: int
    default: 600
extends_documentation_fragment:
  - holdfast.backup.repository
  - holdfast.backup.repository.job
attributes:
  check_mode:
    description: In check mode nothing is backed up; every backup counts as a change.
    support: full
  diff_mode:
    description: A backup has no before and after.
    support: none
author:
  - Holdfast maintainers (@holdfast)
"""

EXAMPLES = r"""
- name: Back up a job now
  holdfast.backup.restic_backup:
    job: service-grafana

- name: Back up two directories
  holdfast.backup.restic_backup:
    repository: /srv/restic
    password_file: /root/restic.password
    paths: [/etc, /srv/www]
    tags: [web]
"""

RETURN = r"""
result:
  description: How the backup ended; over several repositories, the worst.
  returned: when a backup ran
  type: str
  sample: complete
repositories:
  description: With O(job), what the state says of the last run in each repository, by name.
  returned: when O(job) ran
  type: dict
snapshot_id:
  description: Id of the restic snapshot.
  returned: when O(repository) was backed up to
  type: str
summary:
  description: restic's figures in files, bytes and seconds.
  returned: when O(repository) was backed up to
  type: dict
  sample:
    {files_new: 3, files_changed: 0, files_unmodified: 9, bytes_added: 4096, bytes_processed: 1048576, files_processed: 123, duration: 0.9}
unreadable:
  description: Files that could not be read.
  returned: when O(repository) was backed up to
  type: list
  elements: str
"""

import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import door, follow, manifest, names, probe, systemd
from ansible_collections.holdfast.backup.plugins.module_utils.manifest import Settings


def main() -> None:
    arguments = {
        **door.REPOSITORY_ARGUMENTS,
        "job": {"type": "str"},
        "paths": {"type": "list", "elements": "path"},
        "tags": {"type": "list", "elements": "str", "default": []},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "host": {"type": "str"},
        "compression": {
            "type": "str",
            "choices": ["auto", "off", "fastest", "better", "max"],
            "default": Settings().compression,
        },
        "read_concurrency": {"type": "int", "default": Settings().read_concurrency},
        "retry_lock": {"type": "int", "default": 0},
        "stall_timeout": {"type": "int", "default": Settings().stall_timeout},
    }
    module = AnsibleModule(
        arguments,
        supports_check_mode=True,
        required_one_of=[("job", "repository")],
        mutually_exclusive=[("job", "repository")],
        required_by={"repository": ("password_file", "paths")},
    )
    with door.failing(module):
        if module.params["job"]:
            run_job(module)
        else:
            run_alone(module)


def run_job(module: AnsibleModule) -> None:
    job = manifest.load().job(module.params["job"])
    if module.check_mode:
        module.exit_json(changed=True)
    status = systemd.run_to_end(names.backup_unit(job.name))
    found = follow.job_result(job.name)
    if status:
        reasons = "; ".join(f"{name}: {outcome['error']}" for name, outcome in found["repositories"].items() if outcome["error"])
        module.fail_json(
            msg=f"{job.name}: {found['result']}: {reasons or 'see journalctl -u ' + names.backup_unit(job.name)}",
            exit_status=status,
            **found,
        )
    module.exit_json(changed=True, **found)


def run_alone(module: AnsibleModule) -> None:
    params = module.params
    restic = door.restic_of(params)
    probe.check_sources(params["paths"])
    if module.check_mode:
        module.exit_json(changed=True)
    done = restic.backup(
        params["paths"],
        host=params["host"] or socket.gethostname(),
        tags=params["tags"],
        exclude=params["exclude"],
        compression=params["compression"],
        read_concurrency=params["read_concurrency"],
        retry_lock=params["retry_lock"],
        stall_timeout=params["stall_timeout"],
    )
    summary = done.summary._asdict()
    found = {"snapshot_id": summary.pop("snapshot_id"), "summary": summary, "unreadable": list(done.unreadable)}
    if done.exit_code:
        module.fail_json(
            msg=f"partial: {len(done.unreadable)} files could not be read, first {done.unreadable[:1]}",
            result="partial",
            **found,
        )
    module.exit_json(changed=True, result="complete", **found)


if __name__ == "__main__":
    main()
