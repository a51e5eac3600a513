"""The other playbooks, and what site.yml says to declarations that are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.controller import inventory_variables, play
from tests.integration.faults import unreadable, without
from tests.integration.machine import METRICS, Machine, backup_unit, wait_for

pytestmark = pytest.mark.parametrize("platform", ["debian13"], indirect=True, scope="session")

HOST = "debian13"
SNAPSHOT = Path(snapshot.__file__).read_text()


def test_backup_playbook_runs_the_job_and_shows_its_result(machine: Machine) -> None:
    before = machine.snapshots("pair", "nas")
    played = play("backup", HOST, variables={"job": "pair"})
    assert played.status == 0, played.output
    (new,) = machine.snapshots("pair", "nas")[len(before) :]
    assert new["id"] in played.output


@pytest.fixture
def untimed(machine: Machine) -> Iterator[str]:
    """A job whose timer is off, as all are where ``holdfast_enable`` is false: systemd knows nothing of its unit but while it runs."""
    timer = "holdfast-backup@service-pair.timer"
    machine.sh(f"systemctl disable --now --quiet {timer}")
    wait_for(lambda: machine.show(backup_unit("service-pair"), "InvocationID") == "", "the unit is forgotten")
    yield "service-pair"
    machine.sh(f"systemctl enable --now --quiet {timer}")


def test_backup_playbook_makes_one_backup_where_no_timer_is_on(machine: Machine, untimed: str) -> None:
    newest = machine.history(untimed)[-1]
    played = play("backup", HOST, variables={"job": untimed})
    assert played.status == 0, played.output
    assert machine.history(untimed)[-2] == newest


def test_backup_playbook_fails_with_the_reason(machine: Machine) -> None:
    with without(machine, "/srv/pair/two"):
        played = play("backup", HOST, variables={"job": "service-pair"})
    assert played.status != 0
    assert "service-pair: failed: nas: /srv/pair/two: no such file or directory" in played.message


def test_backup_playbook_fails_on_a_partial_backup(machine: Machine) -> None:
    with unreadable(machine, "/srv/pair/one/closed"):
        played = play("backup", HOST, variables={"job": "service-pair"})
    assert played.status != 0
    assert "service-pair: partial" in played.message


def test_status_playbook_shows_every_host(machine: Machine) -> None:
    shown = play("status", "all", variables={"holdfast_target": "debian13:debian12"}).output.splitlines()
    for host in ("debian13", "debian12"):
        assert any(host in line and "service-wiki" in line for line in shown)


def test_status_playbook_succeeds_when_everything_is_protected(machine: Machine) -> None:
    assert machine.holdfast("backup", "pair")[0] == 0
    played = play("status", HOST)
    assert played.status == 0, played.output
    assert "Everything is protected" in played.output


def test_status_playbook_fails_when_a_job_is_unprotected(machine: Machine) -> None:
    path = "/var/lib/holdfast/state/service-wiki.json"
    kept = machine.read(path)
    state = json.loads(kept)
    state["outcomes"]["nas"]["last_success"] -= 51 * 3600
    machine.write(path, json.dumps(state))
    try:
        played = play("status", HOST)
        assert machine.holdfast("status", "--check")[0] == 1
    finally:
        machine.write(path, kept)
    assert played.status != 0
    assert "1 jobs are unprotected: service-wiki" in played.message


def test_status_playbook_fails_when_a_host_does_not_answer(container: str) -> None:
    played = play("status", "all", variables={"holdfast_target": "spare"})
    assert played.status != 0
    assert "1 hosts did not answer: spare" in played.message


@pytest.fixture
def damaged(machine: Machine) -> Iterator[None]:
    """The service slow, backed up and then damaged; its unit is up."""
    assert machine.holdfast("backup", "slow")[0] == 0
    machine.sh("echo damaged > /srv/slow/one; rm -r /srv/slow/below; systemctl start writer")
    yield
    machine.sh("echo one > /srv/slow/one; mkdir -p /srv/slow/below; echo two > /srv/slow/below/two; systemctl start writer")


def test_restore_playbook_restores_with_the_units_stopped(machine: Machine, damaged: None) -> None:
    played = play("restore", HOST, variables={"service": "slow", "confirm": True})
    assert played.status == 0, played.output
    assert (machine.read("/srv/slow/one"), machine.read("/srv/slow/below/two")) == ("one\n", "two\n")
    assert {"Stop the service's units", "Restore", "Start the service's units"} <= set(played.tasks("changed"))
    assert machine.show("writer.service", "ActiveState") == "active"


def test_restore_playbook_writes_nothing_over_without_consent(machine: Machine, damaged: None) -> None:
    played = play("restore", HOST, variables={"service": "slow"})
    assert played.status != 0
    assert "Nothing was changed. Say -e confirm=yes" in played.message
    assert machine.read("/srv/slow/one") == "damaged\n"
    assert machine.show("writer.service", "ActiveState") == "active"


def test_restore_playbook_restores_beside_without_being_asked(machine: Machine, damaged: None) -> None:
    machine.sh("rm -rf /srv/look")
    began = machine.show("writer.service", "ActiveEnterTimestamp")
    played = play("restore", HOST, variables={"service": "slow", "target": "/srv/look"})
    assert played.status == 0, played.output
    assert machine.read("/srv/look/srv/slow/one") == "one\n"
    assert machine.read("/srv/slow/one") == "damaged\n"
    assert machine.show("writer.service", "ActiveEnterTimestamp") == began
    machine.sh("rm -rf /srv/look")


def test_restore_playbook_starts_the_units_after_a_failure_too(machine: Machine, damaged: None) -> None:
    played = play("restore", HOST, variables={"service": "slow", "confirm": True, "snapshot": "0123456789"})
    assert played.status != 0
    assert machine.show("writer.service", "ActiveState") == "active"
    assert machine.read("/srv/slow/one") == "damaged\n"


def changed_services(**changed: Any) -> dict[str, Any]:
    return {"holdfast_services": {**inventory_variables()["holdfast_services"], **changed}}


WRONG = {
    "schedule": (
        changed_services(wrong={"paths": ["/srv"], "frequency": "every full moon"}),
        ["holdfast_services.wrong.frequency", "'every full moon'", "systemd-analyze calendar"],
    ),
    "variable": ({"holdfast_repositorys": {}}, ["holdfast_repositorys", "Did you mean holdfast_repositories?"]),
    "repository": (
        changed_services(wrong={"paths": ["/srv"], "repository": "nass"}),
        ["holdfast_services.wrong.repositories", "'nass'", "Did you mean nas?"],
    ),
    "twice": (
        changed_services(wiki={"paths": ["/srv/wiki"]}),
        ["the service 'wiki' is declared twice", "holdfast_services.wiki", "holdfast_discovery_query"],
    ),
    "several": (
        changed_services(one={"paths": ["relative"]}, two={"path": ["/srv"]}),
        ["holdfast_services.one.paths[0]", "'relative'", "holdfast_services.two.path: is an unknown key. Did you mean paths?"],
    ),
}


@pytest.mark.parametrize(("variables", "says"), WRONG.values(), ids=WRONG)
def test_wrong_declaration_is_explained_and_changes_nothing(machine: Machine, variables: dict[str, Any], says: list[str]) -> None:
    refused(machine, says, **variables)


def test_credentials_in_a_url_are_refused_and_not_shown(machine: Machine) -> None:
    repositories = inventory_variables()["holdfast_repositories"]
    repositories["rest"]["url"] = "rest:https://user:hunter2@backup.example/"
    output = refused(machine, ["holdfast_repositories.rest.url", "RESTIC_REST_PASSWORD"], holdfast_repositories=repositories)
    assert "hunter2" not in output


def test_drop_in_that_is_no_yaml_is_an_error_that_names_the_file(machine: Machine) -> None:
    machine.write("/etc/holdfast/services.d/broken.yml", "paths: [unclosed\n")
    try:
        refused(machine, ["/etc/holdfast/services.d/broken.yml", "is no YAML"])
    finally:
        machine.sh("rm /etc/holdfast/services.d/broken.yml")


def refused(machine: Machine, says: list[str], **variables: Any) -> str:
    """Run site.yml, which must fail with these words and leave the host as it was; return what it said."""
    look = (SNAPSHOT, "/etc", "/usr/local", "/var/lib/holdfast", METRICS)
    before = json.loads(machine.python(*look))
    played = play("site", HOST, variables=variables)
    assert played.status != 0
    for words in says:
        assert words in played.message
    assert played.tasks("changed") == []
    assert json.loads(machine.python(*look)) == before
    return played.output
