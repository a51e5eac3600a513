#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: zfs_snapshot
short_description: Take, hold, mount and destroy ZFS snapshots
version_added: 0.1.0
description:
  - Makes sure that one ZFS snapshot of each of some datasets is there as wished for, or is not there. All that are missing in one pool are
    taken at one instant.
  - It destroys ZFS snapshots and nothing else, never a dataset, a bookmark or a clone.
  - It needs OpenZFS and Python on the host, and root.
options:
  name:
    description: The name of the ZFS snapshots, which is what stands behind the C(@).
    type: str
    required: true
  datasets:
    description:
      - The file systems and volumes that they are of, as C(zfs list) shows them.
      - With O(state=absent), one that does not exist has no ZFS snapshot either, and is no error.
    type: list
    elements: str
    required: true
    aliases: [dataset]
  recursive:
    description: Also all datasets below.
    type: bool
    default: false
  state:
    description:
      - V(present) takes those that are missing, and brings O(properties), O(holds), O(release) and O(mounted_at) about on all.
      - V(absent) destroys those that are there. It refuses to, and then destroys none, if one has not O(properties), is held by a tag that
        is not in O(release), is mounted elsewhere than O(mounted_at), or has clones.
    type: str
    choices: [present, absent]
    default: present
  properties:
    description:
      - User properties by their names, which have a colon in them. Write each value as a text. One without value (V(null)) is not set.
      - With O(state=present), each is set to its value on the ZFS snapshots themselves. Properties that are not named stay as they are.
      - With O(state=absent), only ZFS snapshots that have all of them set on themselves to just these values are destroyed. A value that is
        inherited from the dataset or was received with C(zfs receive) does not count. Without O(properties), the name is enough.
    type: dict
  force:
    description: With O(state=absent), destroy also ZFS snapshots that have not O(properties).
    type: bool
    default: false
  holds:
    description: Tags that are to hold the ZFS snapshots, so that nobody can destroy them. Other tags stay.
    type: list
    elements: str
  release:
    description: Tags that are no longer to hold them. With O(state=absent), they are released first.
    type: list
    elements: str
  mounted_at:
    description:
      - The directory to mount the ZFS snapshot at, read-only, until the host restarts. It is made if it is missing; what it has in it is
        hidden meanwhile.
      - For one dataset without O(recursive).
      - With O(state=absent), a ZFS snapshot that is mounted there is unmounted first. The directory stays.
    type: path
  mounted:
    description: Whether the ZFS snapshot is to be mounted at O(mounted_at), or not.
    type: bool
    default: true
extends_documentation_fragment:
  - holdfast.backup.attributes
seealso:
  - module: holdfast.backup.zfs_snapshot_info
"""

EXAMPLES = r"""
- name: Keep the state before an upgrade, of the service and its database at one instant
  holdfast.backup.zfs_snapshot:
    name: before-upgrade
    datasets: [tank/app, tank/postgres]
    recursive: true
    properties:
      com.example:purpose: upgrade
    holds: [upgrade]

- name: Look into it
  holdfast.backup.zfs_snapshot:
    name: before-upgrade
    dataset: tank/app
    mounted_at: /mnt/before-upgrade

- name: Unmount it
  holdfast.backup.zfs_snapshot:
    name: before-upgrade
    dataset: tank/app
    mounted_at: /mnt/before-upgrade
    mounted: false

- name: Destroy it, if it is the one that was made for this purpose
  holdfast.backup.zfs_snapshot:
    name: before-upgrade
    datasets: [tank/app, tank/postgres]
    recursive: true
    state: absent
    properties:
      com.example:purpose: upgrade
    release: [upgrade]
"""

RETURN = r"""
snapshots:
  description: The ZFS snapshots that are there afterwards; in check mode, those that would be.
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
      description: What it keeps when it is renamed, a number as a text; none where check mode cannot know it yet.
      type: str
    createtxg:
      description:
        - The transaction group that made it, equal for all that were taken at one instant in one pool; none where check mode cannot know it
          yet.
      type: int
    created:
      description: When it was taken, in Unix seconds; none where check mode cannot know it yet.
      type: int
    used:
      description: Bytes that only it holds; none where check mode cannot know it yet.
      type: int
    holds:
      description: The tags that hold it.
      type: list
      elements: str
    properties:
      description: Those of O(properties) that are set on it itself.
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
        "name": {"type": "str", "required": True},
        "datasets": {"type": "list", "elements": "str", "required": True, "aliases": ["dataset"]},
        "recursive": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "properties": {"type": "dict"},
        "force": {"type": "bool", "default": False},
        "holds": {"type": "list", "elements": "str"},
        "release": {"type": "list", "elements": "str"},
        "mounted_at": {"type": "path"},
        "mounted": {"type": "bool", "default": True},
    }
    module = AnsibleModule(arguments, supports_check_mode=True)
    with door.failing(module):
        wish = zfs_states.Wish.parse(module.params)
        ensure = zfs_states.ensure_absent if module.params["state"] == "absent" else zfs_states.ensure_present
        done = ensure(wish, module.check_mode)
        module.exit_json(changed=done.changed, snapshots=[found.document for found in done.after], diff=done.diff)


if __name__ == "__main__":
    main()
