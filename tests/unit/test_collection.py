"""The collection as Ansible sees it: the lookup, the documentation, the action group."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.samples import ROOT, SECRET

MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
BASE: Mapping[str, Any] = {
    "holdfast_repositories": {"nas": {"url": "/mnt/nas-backup", "password": "{{ from_sops }}", "primary": True}},
    "from_sops": SECRET,
}
HOSTS: Mapping[str, Mapping[str, Any]] = {
    "forge": {
        "grafana_backup": {"enable": True, "useSnapshots": False, "paths": ["{{ grafana_home }}"]},
        "grafana_home": "/srv/grafana",
        "last_backup": "yesterday",
        "holdfast_services": {"wiki": {"frequency": "hourly"}},
        "apps": [{"name": "mail", "backup": {"enable": True}}, {"name": "chat", "backup": {"enable": True}}, {"name": "plain"}],
        "mail_and_chat": {"mail": "{{ apps[0].backup }}", "chat": "{{ apps[1].backup }}"},
        "holdfast_discovery_query": "mail_and_chat",
        "on_host": {"notes.yml": "paths: [/srv/notes]\n"},
    },
    "mistyped": {"holdfast_repositry": {}},
    "undefined": {"grafana_backup": {"enable": True, "paths": ["{{ nowhere }}"]}},
    "no_query": {"holdfast_discovery_query": "apps["},
    "no_function": {"holdfast_discovery_query": "nonsense(apps)", "apps": []},
    "no_mapping": {"holdfast_discovery_query": "apps", "apps": ["mail"]},
    "no_yaml": {"on_host": {"notes.yml": "paths: [/srv\n"}},
    "promises": {"grafana_backup": {"enable": True, "protection": "critical"}},
}


def ansible(program: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of ansible-core on this collection."""
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks/collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Ansible keeps what it keeps."""
    return tmp_path_factory.mktemp("ansible")


class Answers:
    """What the lookup gave for each host, and all that was said beside it."""

    def __init__(self, home: Path) -> None:
        inventory = home / "inventory.yml"
        hosts = {name: {**BASE, **variables} for name, variables in HOSTS.items()}
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"ansible_connection": "local", "on_host": {}}}}))
        question = "msg={{ lookup('holdfast.backup.manifest', declarations=on_host) }}"
        done = ansible(
            "ansible", "all", "-i", str(inventory), "-m", "ansible.builtin.debug", "-a", question, "--tree", str(home), home=home
        )
        self.said = done.stdout + done.stderr
        self._home = home

    def of(self, host: str) -> Any:
        """The message for a host."""
        return json.loads((self._home / host).read_text())["msg"]


@pytest.fixture(scope="module")
def answers(home: Path) -> Answers:
    """The lookup run once on all hosts."""
    return Answers(home)


def test_the_lookup_gives_the_manifest_of_all_four_sources(answers: Answers) -> None:
    manifest = answers.of("forge")["manifest"]
    assert manifest["host"] == "forge"
    assert {name: job["origin"] for name, job in manifest["jobs"].items()} == {
        "service-wiki": "holdfast_services.wiki",
        "service-grafana": "grafana_backup",
        "service-mail": "holdfast_discovery_query:mail",
        "service-chat": "holdfast_discovery_query:chat",
        "service-notes": "/etc/holdfast/services.d/notes.yml",
    }


def test_variables_in_declarations_are_filled_in(answers: Answers) -> None:
    assert answers.of("forge")["manifest"]["jobs"]["service-grafana"]["paths"] == ["/srv/grafana"]


@pytest.mark.parametrize(
    ("host", "messages"),
    [
        ("mistyped", ["holdfast_repositry: is no variable of holdfast.backup. Did you mean holdfast_repositories?"]),
        ("undefined", ["grafana_backup: cannot be worked out.", "nowhere"]),
        ("no_query", ["holdfast_discovery_query: 'apps[' is no JMESPath expression"]),
        ("no_function", ["holdfast_discovery_query: 'nonsense(apps)'", "nonsense"]),
        ("no_mapping", ["holdfast_discovery_query: is a list, not a mapping."]),
        ("no_yaml", ["/etc/holdfast/services.d/notes.yml: is no YAML", "Mend the file on the host."]),
    ],
)
def test_a_mistake_fails_the_task_with_its_explanation(answers: Answers, host: str, messages: list[str]) -> None:
    for message in messages:
        assert message in answers.of(host)


def test_a_broken_promise_is_a_warning_with_the_hosts_name(answers: Answers) -> None:
    said = " ".join(answers.said.split())
    assert "promises: grafana_backup: the class 'critical' promises 2 copies" in said
    assert answers.of("promises")["manifest"]["jobs"]


def test_secrets_are_never_said(answers: Answers) -> None:
    assert SECRET not in answers.said
    assert "SUCCESS" in answers.said


@pytest.mark.parametrize(
    ("kind", "names"),
    [("module", MODULES), ("lookup", ["manifest"]), ("filter", ["status_table"])],
)
def test_every_plugin_is_documented(home: Path, kind: str, names: list[str]) -> None:
    done = ansible("ansible-doc", "--json", "--type", kind, *(f"holdfast.backup.{name}" for name in names), home=home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {f"holdfast.backup.{name}" for name in names}
    for name, document in found.items():
        assert document["doc"]["short_description"], name
        assert document["examples"], name
        assert document["return"], name


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_in_the_action_group(name: str) -> None:
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]
    assert name in groups["all"]


def test_the_action_group_names_modules_alone() -> None:
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]
    assert [name for name in groups["all"] if isinstance(name, str) and name not in MODULES] == []
