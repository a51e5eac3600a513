# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: status_table
short_description: The status of many hosts as the lines of a table
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Makes a table of the documents of M(holdfast.backup.status_info), the unprotected first.
options:
  _input:
    description: The documents, a list.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a table
  ansible.builtin.debug:
    msg: "{{ [found.status] | holdfast.backup.status_table }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from ansible_collections.holdfast.backup.plugins.module_utils import console


def status_table(documents):
    """The lines of a table over several hosts."""
    rows = [(document["host"], *row) for document in documents for row in console.status_rows(document)]
    rows.sort(key=lambda row: row[-1] == "")
    return console.table(("HOST", *console.STATUS_HEADER), rows).splitlines()


class FilterModule:
    """Filters of the collection."""

    def filters(self):
        """Their names."""
        return {"status_table": status_table}
