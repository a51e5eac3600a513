#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: restic_snapshot_info
short_description: List the restic snapshots of a repository
version_added: 0.1.0
description:
  - Lists restic snapshots, oldest first, without taking a lock.
options:
  repository_name:
    description: With O(job), the job's repository to look into. If left out, its first one.
    type: str
  host:
    description: Only restic snapshots of this host.
    type: str
  tag:
    description: Only restic snapshots with this tag.
    type: str
extends_documentation_fragment:
  - holdfast.backup.repository
  - holdfast.backup.repository.job
  - holdfast.backup.attributes.info
"""

EXAMPLES = r"""
- name: The restic snapshots of a job
  holdfast.backup.restic_snapshot_info:
    job: service-grafana
  register: found

- name: Everything that one host has in a repository
  holdfast.backup.restic_snapshot_info:
    repository: /srv/restic
    password_file: /root/restic.password
    host: web1
"""

RETURN = r"""
snapshots:
  description: The restic snapshots, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The full id.
      type: str
    time:
      description: When it was begun, in Unix seconds.
      type: float
    host:
      description: The host that it is of.
      type: str
    tags:
      description: Its tags.
      type: list
      elements: str
    paths:
      description: The paths that it holds.
      type: list
      elements: str
    bytes_processed:
      description: The size of what was backed up; none where restic did not record it.
      type: int
    files_processed:
      description: How many files were backed up; none where restic did not record it.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import access, door, manifest


def main() -> None:
    arguments = {
        **door.REPOSITORY_ARGUMENTS,
        "job": {"type": "str"},
        "repository_name": {"type": "str"},
        "host": {"type": "str"},
        "tag": {"type": "str"},
    }
    module = AnsibleModule(
        arguments,
        supports_check_mode=True,
        required_one_of=[("job", "repository")],
        mutually_exclusive=[("job", "repository")],
        required_by={"repository": ("password_file",)},
    )
    params = module.params
    with door.failing(module):
        if params["job"]:
            found = manifest.load()
            job = found.job(params["job"])
            repository = found.repository(params["repository_name"] or job.repositories[0])
            listed = access.restic_for(repository, found.settings).snapshots(
                host=params["host"] or found.host, tag=params["tag"] or job.tag, lock=False
            )
        else:
            listed = door.restic_of(params).snapshots(host=params["host"], tag=params["tag"], lock=False)
        module.exit_json(changed=False, snapshots=[snapshot._asdict() for snapshot in listed])


if __name__ == "__main__":
    main()
