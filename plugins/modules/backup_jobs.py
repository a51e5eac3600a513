#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_jobs
short_description: Make the units, timers and files of all jobs what a manifest says
version_added: 0.1.0
description:
  - Writes the manifest, the systemd units and timers of every job and repository in it, and the metric files of jobs that should exist.
  - Removes those of jobs and repositories that are gone. Their restic snapshots stay.
  - Running backups are left alone. Units, metric files and timers of others are never touched.
options:
  manifest:
    description: The manifest, as the lookup P(holdfast.backup.manifest#lookup) gives it.
    type: dict
    required: true
  validate_only:
    description: Only look whether this host can have the manifest, such as whether systemd takes its schedules; change nothing.
    type: bool
    default: false
extends_documentation_fragment:
  - holdfast.backup.attributes
"""

EXAMPLES = r"""
- name: Make the jobs what the inventory says
  holdfast.backup.backup_jobs:
    manifest: "{{ lookup('holdfast.backup.manifest').manifest }}"
"""

RETURN = r"""
written:
  description: Files that were written, or would be.
  returned: success
  type: list
  elements: str
removed:
  description: Files and directories that were removed, or would be.
  returned: success
  type: list
  elements: str
enabled:
  description: Units that were enabled and started, or would be.
  returned: success
  type: list
  elements: str
disabled:
  description: Units that were disabled and stopped, or would be.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import deployment, door
from ansible_collections.holdfast.backup.plugins.module_utils.manifest import Manifest


def main() -> None:
    module = AnsibleModule(
        {"manifest": {"type": "dict", "required": True}, "validate_only": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    with door.failing(module):
        wanted = Manifest.parse(module.params["manifest"])
        deployment.check_host(wanted)
        if module.params["validate_only"]:
            module.exit_json(changed=False, written=[], removed=[], enabled=[], disabled=[])
        changes = deployment.converge(wanted, module.check_mode)
        before = {path: texts[0] for path, texts in changes.written.items()}
        after = {path: texts[1] for path, texts in changes.written.items()}
        module.exit_json(
            changed=changes.any,
            written=sorted(changes.written),
            removed=sorted(changes.removed),
            enabled=changes.enabled,
            disabled=changes.disabled,
            diff=door.diff_of({**before, **changes.removed}, {**after, **dict.fromkeys(changes.removed, "")}),
        )


if __name__ == "__main__":
    main()
