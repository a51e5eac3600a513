#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: restic_forget
short_description: Thin the restic snapshots of one host and tag
version_added: 0.1.0
description:
  - Asks restic which restic snapshots the rules would remove, and removes these. All that have the host and the tag are one group.
  - What could not be deleted is a failed task, although restic 0.18 calls it a success.
options:
  repository:
    required: true
  password_file:
    required: true
  host:
    description: Only restic snapshots of this host.
    type: str
    required: true
  tag:
    description: Only restic snapshots with this tag.
    type: str
    required: true
  retention:
    description:
      - restic's keep rules by their names with C(_) for C(-), such as C(keep_daily=14) or C(keep_within=30d).
      - At least one must keep something.
    type: dict
    required: true
  prune:
    description: Also remove the data that no restic snapshot needs any more.
    type: bool
    default: false
  retry_lock:
    description: Seconds to wait for another restic's lock.
    type: int
    default: 0
extends_documentation_fragment:
  - holdfast.backup.repository
  - holdfast.backup.attributes
"""

EXAMPLES = r"""
- name: Keep two weeks of a job
  holdfast.backup.restic_forget:
    repository: /srv/restic
    password_file: /root/restic.password
    host: web1
    tag: holdfast-job=service-grafana
    retention:
      keep_daily: 14
    prune: true
"""

RETURN = r"""
removed:
  description: Ids of the restic snapshots that were removed, or would be.
  returned: success
  type: list
  elements: str
kept:
  description: Ids of those that stay.
  returned: success
  type: list
  elements: str
pruned:
  description: Whether unneeded data was removed.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import door, forget
from ansible_collections.holdfast.backup.plugins.module_utils.quantities import format_time
from ansible_collections.holdfast.backup.plugins.module_utils.restic_records import Forgotten


def main() -> None:
    arguments = {
        **door.REPOSITORY_ARGUMENTS,
        "repository": {"type": "str", "required": True},
        "password_file": {"type": "path", "required": True, "no_log": False},
        "host": {"type": "str", "required": True},
        "tag": {"type": "str", "required": True},
        "retention": {"type": "dict", "required": True},
        "prune": {"type": "bool", "default": False},
        "retry_lock": {"type": "int", "default": 0},
    }
    module = AnsibleModule(arguments, supports_check_mode=True)
    params = module.params
    with door.failing(module):
        request = forget.Request(params["host"], params["tag"], params["retention"], params["prune"], params["retry_lock"])
        done = forget.thin(door.restic_of(params), request, module.check_mode)
        module.exit_json(
            changed=bool(done.removed),
            removed=[snapshot.id for snapshot in done.removed],
            kept=[snapshot.id for snapshot in done.kept],
            pruned=params["prune"] and bool(done.removed) and not module.check_mode,
            diff=_diff(done),
        )


def _diff(done: Forgotten) -> dict[str, str]:
    def listing(*groups: tuple) -> str:
        snapshots = sorted((snapshot for group in groups for snapshot in group), key=lambda found: found.time)
        return "".join(f"{snapshot.id[:8]} {format_time(snapshot.time)} {' '.join(snapshot.paths)}\n" for snapshot in snapshots)

    return {"before": listing(done.kept, done.removed), "after": listing(done.kept)}


if __name__ == "__main__":
    main()
