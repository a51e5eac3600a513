"""Ansible, as an operator runs it from the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
# Benchmarks run outside Molecule, on hosts of the default scenario.
INVENTORY = CHECKOUT / "molecule" / os.environ.get("MOLECULE_SCENARIO_NAME", "default") / "inventory"


@dataclass(frozen=True)
class Played:
    """How a playbook ended: its exit status, all that it printed, and the tasks that changed something or failed."""

    status: int
    output: str

    def tasks(self, outcome: str) -> list[str]:
        """Return the tasks with a line such as ``changed: [host]``; a task in a loop once."""
        blocks = re.split(r"^TASK \[(?:\S+ : )?(.*?)\] \**$", self.output, flags=re.MULTILINE)[1:]
        return [name for name, text in zip(blocks[::2], blocks[1::2]) if re.search(rf"^{outcome}: \[", text, re.MULTILINE)]

    @property
    def touched(self) -> set[str]:
        """The files that the diff shows."""
        found = re.findall(r"^(?:---|\+\+\+) (?:before|after): (/\S+)", self.output, re.MULTILINE)
        return set(found)

    @property
    def message(self) -> str:
        """The output as one line, to look for sentences in it however they were folded."""
        return " ".join(self.output.replace("''", "'").split())


def inventory_variables() -> dict[str, Any]:
    """Return the variables of the group, as they stand in the inventory."""
    return dict(yaml.safe_load((INVENTORY / "group_vars/holdfast.yml").read_text()))


def play(
    playbook: str, limit: str, *arguments: str, variables: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Played:
    """Run one of the collection's playbooks on a host of the inventory; variables go in a file, since they may be secrets."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(dict(variables or {}), file)
        file.flush()
        words = [f"playbooks/{playbook}.yml", f"--limit={limit}", f"--extra-vars=@{file.name}", *arguments]
        return Played(*_ansible("ansible-playbook", words, environment))


def module(name: str, host: str, parameters: Mapping[str, Any], *arguments: str) -> dict[str, Any]:
    """Run one module in an ad-hoc task and return its result, with the key ``status`` as Ansible prints it."""
    words = [host, f"--module-name=holdfast.backup.{name}", f"--args={json.dumps(dict(parameters))}", *arguments]
    _, output = _ansible("ansible", words, {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"})
    found = re.search(rf"^{host} \| (\w+)!? => (\{{.*)", output, re.MULTILINE | re.DOTALL)
    assert found, output
    return {**json.JSONDecoder().raw_decode(found[2])[0], "status": found[1]}


def include_role(name: str, host: str, variables: Mapping[str, Any]) -> Played:
    """Run a role of the collection by itself."""
    words = [host, "--module-name=include_role", f"--args=name=holdfast.backup.{name}", f"--extra-vars={json.dumps(dict(variables))}"]
    return Played(*_ansible("ansible", words, None))


def _ansible(program: str, words: list[str], environment: Mapping[str, str] | None) -> tuple[int, str]:
    done = subprocess.run(
        [program, f"--inventory={INVENTORY}", *words],
        check=False,
        cwd=CHECKOUT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_CONNECTION_PLUGINS": str(CHECKOUT / "tests/connection"),
            "ANSIBLE_FORCE_COLOR": "false",
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout
