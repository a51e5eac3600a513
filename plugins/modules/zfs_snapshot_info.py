#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: zfs_snapshot_info
short_description: List ZFS snapshots
version_added: 0.1.0
description:
  - Lists ZFS snapshots, oldest first, with what holds them and where they are mounted.
  - It needs OpenZFS and Python on the host.
options:
  datasets:
    description: Only ZFS snapshots of these file systems and volumes. If left out, all of the host.
    type: list
    elements: str
    aliases: [dataset]
  recursive:
    description: Also of all datasets below.
    type: bool
    default: false
  name:
    description: Only those with this name behind the C(@).
    type: str
  properties:
    description:
      - Only those that have all of these user properties set on themselves to just these values. A value that is inherited or was received
        does not count. One without value (V(null)) is not set.
    type: dict
  show:
    description: Further user properties to tell of.
    type: list
    elements: str
extends_documentation_fragment:
  - holdfast.backup.attributes.info
seealso:
  - module: holdfast.backup.zfs_snapshot
"""

EXAMPLES = r"""
- name: What was taken for upgrades, and by whom
  holdfast.backup.zfs_snapshot_info:
    datasets: [tank]
    recursive: true
    properties:
      com.example:purpose: upgrade
    show: ["com.example:by"]
  register: found

- name: Those of one name
  holdfast.backup.zfs_snapshot_info:
    dataset: tank/app
    name: before-upgrade
"""

RETURN = r"""
snapshots:
  description: The ZFS snapshots, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The full name.
      type: str
      sample: tank/app@before-upgrade
    dataset:
      description: What it is of.
      type: str
    snapshot:
      description: Its name behind the C(@).
      type: str
    guid:
      description: What it keeps when it is renamed, a number as a text.
      type: str
    createtxg:
      description: The transaction group that made it, equal for all that were taken at one instant in one pool.
      type: int
    created:
      description: When it was taken, in Unix seconds.
      type: int
    used:
      description: Bytes that only it holds.
      type: int
    holds:
      description: The tags that hold it.
      type: list
      elements: str
    properties:
      description: Those of O(properties) and O(show) that are set on it itself.
      type: dict
    mounted_at:
      description: Where it is mounted. That ZFS shows it below C(.zfs) does not count.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import door, zfs_states


def main() -> None:
    arguments = {
        "datasets": {"type": "list", "elements": "str", "aliases": ["dataset"]},
        "recursive": {"type": "bool", "default": False},
        "name": {"type": "str"},
        "properties": {"type": "dict"},
        "show": {"type": "list", "elements": "str"},
    }
    module = AnsibleModule(arguments, supports_check_mode=True)
    with door.failing(module):
        found = zfs_states.listed(zfs_states.Search.parse(module.params))
        module.exit_json(changed=False, snapshots=[one.document for one in found])


if __name__ == "__main__":
    main()
