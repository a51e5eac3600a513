#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: agent_package
short_description: Install the Holdfast engine on a host
version_added: 0.1.0
description:
  - Installs the Python package C(holdfast) below C(/usr/local/lib), the command C(/usr/local/bin/holdfast), and its shell completion.
  - Makes the directories that it needs; the user C(holdfast) must exist.
  - A new version takes the place of the old one in one step. A run that is under way keeps the files that it began with.
options:
  textfile_directory:
    description: The directory for metric files, made if it is missing.
    type: path
extends_documentation_fragment:
  - holdfast.backup.attributes
"""

EXAMPLES = r"""
- name: Install the engine
  holdfast.backup.agent_package:
"""

RETURN = r"""
digest:
  description: Short digest of the installed files.
  returned: success
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import cli, door, package


def main() -> None:
    module = AnsibleModule({"textfile_directory": {"type": "path"}}, supports_check_mode=True)
    directory = module.params["textfile_directory"]
    with door.failing(module):
        changes = package.install(Path(directory) if directory else None, module.check_mode)
        before = {path: texts[0] for path, texts in changes.written.items()}
        after = {path: texts[1] for path, texts in changes.written.items()}
        module.exit_json(changed=bool(changes.written), digest=changes.digest, diff=door.diff_of(before, after))


# Ansible sends what a module imports: with the command line comes the whole engine.
ENTRY_POINT = cli.main

if __name__ == "__main__":
    main()
