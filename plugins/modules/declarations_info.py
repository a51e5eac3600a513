#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: declarations_info
short_description: Read what services on a host declare about their backup
version_added: 0.1.0
description:
  - Reads the files C(*.yml) in C(/etc/holdfast/services.d), which services' own roles put there.
extends_documentation_fragment:
  - holdfast.backup.attributes.info
"""

EXAMPLES = r"""
- name: Read what the host's services declare
  holdfast.backup.declarations_info:
  register: declared
"""

RETURN = r"""
declarations:
  description: The text of each file, by its name.
  returned: success
  type: dict
  sample:
    grafana.yml: "paths: [/var/lib/grafana]"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.backup.plugins.module_utils import door, layout


def main() -> None:
    module = AnsibleModule({}, supports_check_mode=True)
    with door.failing(module):
        files = sorted(path for pattern in ("*.yml", "*.yaml") for path in layout.DECLARATIONS.glob(pattern))
        module.exit_json(changed=False, declarations={path.name: path.read_text(encoding="utf-8") for path in files})


if __name__ == "__main__":
    main()
