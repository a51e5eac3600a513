# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules have in common in how they work with Ansible."""

from __future__ import annotations


class ModuleDocFragment:
    """A module that changes a host."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Shows what changes, without showing a secret.
    support: full
author:
  - Holdfast maintainers (@holdfast)
"""

    INFO = r"""
attributes:
  check_mode:
    description: It changes nothing.
    support: full
  diff_mode:
    description: It changes nothing.
    support: none
author:
  - Holdfast maintainers (@holdfast)
"""
