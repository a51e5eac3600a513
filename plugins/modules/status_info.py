#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: status_info
short_description: Tell how well each job of a host is protected
version_added: 0.1.0
description:
  - Reads the state of the host's jobs, as C(holdfast status --json) does. It asks no repository.
extends_documentation_fragment:
  - holdfast.backup.attributes.info
"""

EXAMPLES = r"""
- name: How well is this host protected
  holdfast.backup.status_info:
  register: found
"""

RETURN = r"""
status:
  description: The document of C(holdfast status --json); times are Unix seconds, none where unknown.
  returned: success
  type: dict
  contains:
    host:
      description: The inventory's name of the host.
      type: str
    generated:
      description: When the document was made.
      type: float
    jobs:
      description: One entry for each job and repository.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import door, status


def main() -> None:
    module = AnsibleModule({}, supports_check_mode=True)
    with door.failing(module):
        module.exit_json(changed=False, status=status.collect())


if __name__ == "__main__":
    main()
