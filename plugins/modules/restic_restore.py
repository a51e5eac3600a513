#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: restic_restore
short_description: Restore a job, in place or below a directory
version_added: 0.1.0
description:
  - Restores files with owners, modes, times, extended attributes, hard links and holes, reads back what was written, and compares owner,
    mode, size and time of every path with the restic snapshot.
  - Refuses to write over anything unless O(overwrite=true).
  - Needs root on the host.
options:
  job:
    description: A job of the host's manifest, or the service that it belongs to.
    type: str
  repository:
    description:
      - With O(job), the name of the job's repository to restore from. If left out, the job's first that answers.
      - Without O(job), the repository as restic takes it.
    type: str
  host:
    description: Without O(job), the host that the restic snapshot is of.
    type: str
  tag:
    description: Without O(job), a tag of the restic snapshot.
    type: str
  snapshot:
    description: V(latest), or the beginning of a restic snapshot's id.
    type: str
    default: latest
  at:
    description: Restore the newest restic snapshot that is not younger than this, such as V(2026-11-20 03:00). Excludes O(snapshot).
    type: str
  include:
    description: Only these paths or patterns.
    type: list
    elements: str
    default: []
  target:
    description: Restore below this directory, with full paths. V(/) is in place.
    type: path
    default: /
  overwrite:
    description: Write over what is there.
    type: bool
    default: false
  delete:
    description: Also delete what the restic snapshot does not have, below the restored paths.
    type: bool
    default: false
extends_documentation_fragment:
  - holdfast.backup.repository
attributes:
  check_mode:
    description: Has restic list what would change, and changes nothing.
    support: full
  diff_mode:
    description: Lists the paths that change, in check mode and with O(overwrite=true).
    support: partial
author:
  - Holdfast maintainers (@holdfast)
"""

EXAMPLES = r"""
- name: A destroyed service, in place
  holdfast.backup.restic_restore:
    job: service-grafana
    overwrite: true

- name: Look at an old state
  holdfast.backup.restic_restore:
    job: service-grafana
    at: "2026-11-20 03:00"
    target: /srv/look
"""

RETURN = r"""
snapshot_id:
  description: Id of the restic snapshot that was restored.
  returned: success
  type: str
repository:
  description: Where it was restored from.
  returned: success
  type: str
files_restored:
  description: How many paths restic wrote; it counts every directory, also one that stays as it is.
  returned: success
  type: int
bytes_restored:
  description: How many bytes were written.
  returned: success
  type: int
checked:
  description: How many paths were compared with the restic snapshot; 0 in check mode.
  returned: success
  type: int
changes:
  description: What changes; empty where nothing could be in the way, since all of it is new then.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: V(restored), V(updated) or V(deleted).
      type: str
    path:
      description: The path.
      type: str
    size:
      description: Its size in bytes.
      type: int
"""

from functools import partial
from typing import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import door, manifest, restore
from ansible_collections.holdfast.backup.plugins.module_utils.quantities import parse_time


def restorer(module: AnsibleModule) -> Callable[[restore.Request], restore.Report]:
    """What restores from the job or the repository that the parameters name."""
    params = module.params
    if params["job"]:
        found = manifest.load()
        job = found.job(params["job"])
        return partial(restore.run, found, job, restore.choose_repository(found, job, params["repository"]))
    if not params["password_file"]:
        module.fail_json(msg="password_file is required with repository")
    return partial(restore.run_alone, door.restic_of(params), restore.Source(params["repository"], params["host"], params["tag"]))


def main() -> None:
    arguments = {
        **door.REPOSITORY_ARGUMENTS,
        "job": {"type": "str"},
        "host": {"type": "str"},
        "tag": {"type": "str"},
        "snapshot": {"type": "str", "default": restore.LATEST},
        "at": {"type": "str"},
        "include": {"type": "list", "elements": "str", "default": []},
        "target": {"type": "path", "default": "/"},
        "overwrite": {"type": "bool", "default": False},
        "delete": {"type": "bool", "default": False},
    }
    module = AnsibleModule(arguments, supports_check_mode=True, required_one_of=[("job", "repository")])
    params = module.params
    with door.failing(module):
        try:
            at = parse_time(params["at"]) if params["at"] else None
        except ValueError:
            module.fail_json(msg=f"at: {params['at']!r} is no time. Write it like 2026-11-20 03:00.")
        if params["at"] and params["snapshot"] != restore.LATEST:
            module.fail_json(msg="at and snapshot exclude each other. Give one of them.")
        request = restore.Request(
            snapshot=params["snapshot"],
            at=at,
            include=tuple(params["include"]),
            target=params["target"],
            overwrite=params["overwrite"],
            delete=params["delete"],
        )
        restored = restorer(module)
        # restic counts every directory as restored, so what changes is asked before; it restores all the same, since it lists no xattrs.
        preview = restored(request._replace(dry_run=True)) if request.overwrite or module.check_mode else None
        report = preview if preview and module.check_mode else restored(request)
        changes = preview.changes if preview else ()
        module.exit_json(
            changed=bool(changes) if preview else bool(report.files_restored),
            snapshot_id=report.snapshot.id,
            repository=report.repository,
            files_restored=report.files_restored,
            bytes_restored=report.bytes_restored,
            checked=report.checked,
            changes=[change._asdict() for change in changes],
            diff={"before": "", "after": "".join(f"{change.action} {change.path}\n" for change in changes)},
        )


if __name__ == "__main__":
    main()
