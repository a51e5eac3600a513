# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
name: manifest
short_description: Everything that a host's variables declare to be protected
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Finds the services and jobs of a host in C(holdfast_services), in variables C(NAME_backup) that are mappings with the key C(enable), in
    what C(holdfast_discovery_query) gives, and in the files that a host's services left in C(/etc/holdfast/services.d).
  - Checks all of it, together with repositories, classes and settings, and fails with every mistake it can tell apart.
  - What it returns holds no secret.
options:
  _terms:
    description: Nothing.
  declarations:
    description: What M(holdfast.backup.declarations_info) read on the host.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what would be protected
  ansible.builtin.debug:
    var: lookup('holdfast.backup.manifest').manifest.jobs
"""

RETURN = r"""
_list:
  description: One mapping.
  type: list
  elements: dict
  contains:
    manifest:
      description: The manifest, for M(holdfast.backup.backup_jobs).
      type: dict
"""

from collections.abc import Mapping
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.holdfast.backup.plugins.module_utils import declarations
from ansible_collections.holdfast.backup.plugins.module_utils.errors import ConfigurationError

PREFIX = "holdfast_"
PLAYBOOK_VARIABLES = ("holdfast_target",)


class LookupModule(LookupBase):
    """The manifest of a host."""

    def run(self, terms, variables=None, **kwargs):
        """Give the manifest as the one element of a list."""
        self.set_options(var_options=variables, direct=kwargs)
        variables = variables or {}
        try:
            own = {name: self._value(name, variables) for name in variables if name.startswith(PREFIX)}
            inventory = declarations.Inventory(
                host=variables["inventory_hostname"],
                variables=own,
                backups={name: self._value(name, variables) for name in variables if is_declaration(name)},
                discovered=self._discovered(own.get("holdfast_discovery_query"), variables),
                declared_on_host={name: parse(name, text) for name, text in self.get_option("declarations").items()},
                known_variables=public_variables(),
            )
            found = declarations.plan(inventory)
        except ConfigurationError as error:
            raise AnsibleError(str(error)) from None
        for warning in found.warnings:
            Display().warning(f"{inventory.host}: {warning}")
        return [{"manifest": found.manifest.document()}]

    def _value(self, name, variables):
        try:
            return plain(self._templar.template(variables[name]))
        except AnsibleError as error:
            raise ConfigurationError(f"{name}: cannot be worked out. {error}") from None

    def _discovered(self, query, variables):
        if not query:
            return {}
        try:
            import jmespath
        except ImportError:
            raise ConfigurationError(
                "holdfast_discovery_query: needs the Python package jmespath on the controller. Install it with: pip install jmespath"
            ) from None
        try:
            wanted = jmespath.compile(query)
        except jmespath.exceptions.JMESPathError as error:
            raise ConfigurationError(f"holdfast_discovery_query: {query!r} is no JMESPath expression ({error}). Mend it.") from None
        mentioned = {name for name in variables if name in query}
        try:
            return wanted.search({name: self._value(name, variables) for name in mentioned or variables})
        except jmespath.exceptions.JMESPathError as error:
            raise ConfigurationError(f"holdfast_discovery_query: {query!r} cannot be worked out ({error}). Mend the expression.") from None


def is_declaration(name):
    """Whether a variable may declare a service by its name."""
    return name.endswith(declarations.BACKUP_SUFFIX) and name != declarations.BACKUP_SUFFIX and not name.startswith((PREFIX, "_"))


def plain(value):
    """A value as the engine takes it: Ansible's own kinds of text, list and mapping made plain."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, str) else value


def parse(name, text):
    """The mapping in a file of the host.

    Raises:
        ConfigurationError: it is no YAML.
    """
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"/etc/holdfast/services.d/{name}: is no YAML ({' '.join(str(error).split())}). Mend the file on the host."
        ) from None


def public_variables():
    """Every public variable, from the argument specifications of the roles."""
    known = set(PLAYBOOK_VARIABLES)
    for path in Path(__file__).parents[2].glob("roles/*/meta/argument_specs.yml"):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for entry_point in document["argument_specs"].values():
            known.update(name for name in entry_point.get("options", {}) if name.startswith(PREFIX))
    return sorted(known)
