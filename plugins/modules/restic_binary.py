#!/usr/bin/python
# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: restic_binary
short_description: Install restic from upstream's release file
version_added: 0.1.0
description:
  - Installs restic as C(/usr/local/bin/restic) out of a bzip2-compressed release file, after its SHA-256 was checked.
  - Does nothing if a restic of at least O(minimum_version) is on the host, wherever it came from.
options:
  url:
    description: Where the release file is. A C(file:) URL names a file on the host.
    type: str
    required: true
  sha256:
    description: The file's SHA-256.
    type: str
    required: true
  minimum_version:
    description: Install only if there is no restic, or an older one.
    type: str
    default: 0.18.0
extends_documentation_fragment:
  - holdfast.backup.attributes
"""

EXAMPLES = r"""
- name: Install the pinned restic
  holdfast.backup.restic_binary:
    url: file:///root/restic_0.18.0_linux_amd64.bz2
    sha256: 98f6dd8bf5b59058d04bfd8dab58e196cc2a680666ccee90275a3b722374438e
"""

RETURN = r"""
version:
  description: The version that is installed now; in check mode the one found.
  returned: success
  type: str
  sample: 0.18.0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.holdfast.backup.plugins.module_utils import door, release


def main() -> None:
    module = AnsibleModule(
        {
            "url": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "minimum_version": {"type": "str", "default": "0.18.0"},
        },
        supports_check_mode=True,
    )
    params = module.params
    with door.failing(module):
        found = release.installed_version()
        if found and found >= release.parse_version(params["minimum_version"]):
            module.exit_json(changed=False, version=release.text(found))
        diff = {"before": f"restic {release.text(found)}\n" if found else "", "after": f"{params['url']}\n"}
        if module.check_mode:
            module.exit_json(changed=True, version=release.text(found), diff=diff)
        with open_url(params["url"], timeout=60, http_agent="holdfast.backup") as response:
            version = release.install(response.read(), params["sha256"], params["url"])
        module.exit_json(changed=True, version=release.text(version), diff=diff)


if __name__ == "__main__":
    main()
