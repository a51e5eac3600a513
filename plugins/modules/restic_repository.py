#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: restic_repository
short_description: Make a restic repository and its secret files what they should be
version_added: 0.1.0
description:
  - Writes the password and environment files, opens the repository, and initialises it if restic says that there is none.
  - An outage is never taken for absence. A repository that this host has once seen is not initialised anew, and another one in its place is
    an error, unless O(force=true).
  - If O(password) differs from what the password file holds, the repository's key is changed. A run that is broken off leaves a repository
    that opens with the password file on the host.
options:
  repository:
    required: true
  name:
    description: What this host calls the repository; its id is remembered under this name.
    type: str
    default: default
  state:
    description:
      - V(present) makes sure that there is a repository which opens with the password.
      - V(absent) deletes a local repository with all backups in it, which needs O(force=true).
    type: str
    choices: [present, absent]
    default: present
  password:
    description:
      - The repository's password. It is written to O(password_file), mode 0400.
      - If left out, the file must be there already.
    type: str
  require_mount:
    description: Fail if nothing but the root file system is mounted at or above a local repository.
    type: bool
    default: false
  force:
    description: Take a repository with another id than the one remembered, initialise a remembered one that is gone, or delete one.
    type: bool
    default: false
extends_documentation_fragment:
  - holdfast.backup.repository
  - holdfast.backup.attributes
"""

EXAMPLES = r"""
- name: A repository on a disk of this host
  holdfast.backup.restic_repository:
    repository: /srv/restic
    password_file: /root/restic.password
    password: "{{ restic_password }}"

- name: A repository in a bucket
  holdfast.backup.restic_repository:
    name: offsite
    repository: s3:https://s3.example/backups/web1
    password_file: /root/offsite.password
    environment_file: /root/offsite.env
"""

RETURN = r"""
id:
  description: The repository's id; empty where check mode cannot know it yet.
  returned: when O(state=present)
  type: str
  sample: da07e0b62548aff00435712c076e131e0a9b287a14ca5cc736fb05c46eb61fc7
initialized:
  description: Whether the repository was initialised, or would be.
  returned: when O(state=present)
  type: bool
steps:
  description: What was done or would be, a sentence each.
  returned: always
  type: list
  elements: str
keys:
  description: The repository's keys.
  returned: when O(state=present) and not in check mode
  type: list
  elements: dict
  contains:
    id:
      description: The key's id.
      type: str
    current:
      description: Whether it is the one that the password opens.
      type: bool
    user:
      description: Who made it.
      type: str
    host:
      description: Where it was made.
      type: str
    created:
      description: When it was made, as restic prints it.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import door, repository


def main() -> None:
    arguments = {
        **door.REPOSITORY_ARGUMENTS,
        "repository": {"type": "str", "required": True},
        "name": {"type": "str", "default": "default"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "password": {"type": "str", "no_log": True},
        "require_mount": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
    }
    module = AnsibleModule(arguments, supports_check_mode=True, required_if=[("state", "present", ["password_file"])])
    params = module.params
    with door.failing(module):
        described = door.repository_of(params)
        if params["state"] == "absent":
            done = repository.ensure_absent(described, params["force"], module.check_mode)
            module.exit_json(changed=done.changed, steps=done.steps, diff=_diff(done))
        environment = {key: str(value) for key, value in params["environment"].items()} if params["environment"] else None
        wish = repository.Wish(described, params["user"], params["password"], environment, params["force"])
        done = repository.ensure_present(wish, module.check_mode)
        result = {"id": done.id or "", "initialized": done.initialized, "steps": done.steps, "diff": _diff(done)}
        if not module.check_mode:
            result["keys"] = [key._asdict() for key in done.keys]
        module.exit_json(changed=done.changed, **result)


def _diff(done: repository.Ensured) -> dict[str, str]:
    return {"before": "", "after": "".join(f"{step}\n" for step in done.steps)}


if __name__ == "__main__":
    main()
