"""site.yml on hosts that it has been on before: it tells the truth, and makes the host what the inventory says by now."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.controller import Played, include_role, inventory_variables, play
from tests.integration.faults import stopped, wrong
from tests.integration.machine import METRICS, Machine, wait_for
from tests.integration.outcomes import expect_run

pytestmark = pytest.mark.parametrize("platform", ["debian13"], indirect=True, scope="session")

HOST = "debian13"
SNAPSHOT = Path(snapshot.__file__).read_text()
UNITS = "/etc/systemd/system"
FOREIGN = [
    f"{METRICS}/other.prom",
    f"{METRICS}/holdfastother.prom",
    f"{UNITS}/holdfastother.timer",
    f"{UNITS}/holdfast-backup@service-wiki.service.d/mine.conf",
    "/etc/cron.d/holdfast-mine",
]


def site(*arguments: str, **variables: Any) -> Played:
    return play("site", HOST, "--diff", *arguments, variables=variables)


def everything(machine: Machine) -> dict[str, str]:
    """All that a playbook could change on the host."""
    places = ["/etc", "/usr/local", "/usr/share/bash-completion", "/var/lib/holdfast", "/var/cache/holdfast", METRICS, "/srv/nas/keys"]
    found = machine.python(SNAPSHOT, *places)
    timers = machine.sh("systemctl list-timers --all --no-legend 'holdfast*' | awk '{print $(NF-1)}' | sort")
    return {**json.loads(found), "timers": timers}


@pytest.fixture(scope="module", autouse=True)
def _back_to_the_inventory(machine: Machine) -> Iterator[None]:
    """Leave the host as the inventory has it, whatever the tests declared."""
    yield
    machine.write("/etc/holdfast/services.d/shipped.yml", "{paths: [/srv/shipped], frequency: weekly, tags: [shipped]}\n")
    assert site().status == 0


@pytest.fixture(scope="module")
def change() -> dict[str, Any]:
    """Another inventory: one service gone, one new, one with another frequency and tags."""
    services = copy.deepcopy(inventory_variables()["holdfast_services"])
    del services["keep-3"]
    services["fresh"] = {"paths": ["/srv/fresh"]}
    services["cloud"].update(frequency="hourly", tags=["changed"])
    return {"holdfast_services": services}


@pytest.fixture(scope="module")
def checked(machine: Machine, change: dict[str, Any]) -> Played:
    """Check mode of that inventory, which changed nothing."""
    before = everything(machine)
    played = site("--check", **change)
    assert played.status == 0, played.output
    assert everything(machine) == before
    return played


@pytest.fixture(scope="module")
def changed(machine: Machine, checked: Played, change: dict[str, Any]) -> Played:
    """That inventory in earnest, on a host with files of others among ours."""
    for path in FOREIGN:
        machine.write(path, "# mine\n")
    played = site(**change)
    assert played.status == 0, played.output
    return played


def test_check_mode_tells_what_then_changes(checked: Played, changed: Played) -> None:
    assert checked.tasks("changed") == changed.tasks("changed") == ["Make the jobs what the inventory says"]
    assert checked.touched == changed.touched
    assert {
        "/etc/holdfast/manifest.json",
        f"{UNITS}/holdfast-backup@service-fresh.timer",
        f"{UNITS}/holdfast-backup@service-cloud.timer",
        f"{UNITS}/holdfast-backup@service-keep-3.timer",
        f"{METRICS}/holdfast_backup_service-fresh.prom",
        f"{METRICS}/holdfast_backup_service-keep-3.prom",
    } <= changed.touched
    assert not {path for path in changed.touched if "service-wiki" in path or "service-pair" in path}


def test_service_taken_out_loses_all_but_its_snapshots(machine: Machine, changed: Played) -> None:
    assert machine.sh(f"ls -d {UNITS}/*keep-3* {UNITS}/*/*keep-3* {METRICS}/*keep-3* 2> /dev/null", check=False) == ""
    assert "keep-3" not in machine.sh("systemctl list-timers --all --no-legend")
    assert "service-keep-3" not in {entry["job"] for entry in machine.json("status")["jobs"]}
    assert machine.holdfast("backup", "keep-3")[0] == 2
    kept = json.loads(machine.restic_by_hand("nas", "snapshots", "--json", "--tag=holdfast-job=service-keep-3"))
    assert kept


def test_forget_leaves_the_snapshots_of_a_service_that_is_gone(machine: Machine, changed: Played) -> None:
    look = ("nas", "snapshots", "--json", "--tag=holdfast-job=service-keep-3")
    before = machine.restic_by_hand(*look)
    assert machine.holdfast("forget", "nas")[0] == 0
    assert json.loads(machine.restic_by_hand(*look)) == json.loads(before)


def test_new_service_is_expected_before_its_first_run(machine: Machine, changed: Played) -> None:
    found = machine.metrics("service-fresh")["nas"]
    assert set(found.values) == {"restic_backup_job_info", "restic_backup_rpo_seconds"}
    assert found.result is None
    assert machine.show("holdfast-backup@service-fresh.timer", "ActiveState") == "active"
    entry = machine.entry("service-fresh", "nas")
    assert (entry["result"], entry["last_success"], entry["within_rpo"]) == (None, None, False)


def test_changed_schedule_reaches_the_timer(machine: Machine, changed: Played) -> None:
    assert "*-*-* *:" in machine.show("holdfast-backup@service-cloud.timer", "TimersCalendar")


def test_files_of_others_are_left_alone(machine: Machine, changed: Played) -> None:
    for path in FOREIGN:
        assert machine.read(path) == "# mine\n"
    machine.sh(f"rm {' '.join(FOREIGN)}; systemctl daemon-reload")


@pytest.fixture(scope="module")
def staged(machine: Machine) -> Played:
    """The host staged, and a drop-in of a service's own role withdrawn."""
    withdrawn = include_role("declare", HOST, {"holdfast_declare_name": "shipped", "holdfast_declare_state": "absent"})
    assert withdrawn.status == 0, withdrawn.output
    played = site(holdfast_enable=False)
    assert played.status == 0, played.output
    return played


def test_staged_host_has_everything_but_running_timers(machine: Machine, staged: Played) -> None:
    assert machine.sh("systemctl list-timers --all --no-legend 'holdfast-*' | awk '$1 != \"-\"'") == ""
    assert machine.sh(f"ls {UNITS}/timers.target.wants | grep holdfast", check=False) == ""
    assert machine.exists(f"{UNITS}/holdfast-backup@service-wiki.timer")
    expect_run(machine, "service-wiki", "complete")


def test_zfs_snapshots_on_a_host_without_zfs_are_an_error_before_anything_changes(machine: Machine) -> None:
    before = machine.read("/etc/holdfast/manifest.json")
    played = site(holdfast_services={"app": {"use_snapshots": True, "zfs_dataset": "tank/app"}})
    assert (played.status, played.tasks("changed")) == (2, [])
    assert "holdfast_services.app.use_snapshots: listing ZFS datasets: there is no program zfs. Install zfsutils-linux" in played.message
    assert machine.read("/etc/holdfast/manifest.json") == before


def test_withdrawn_declaration_takes_the_job_away(machine: Machine, staged: Played) -> None:
    assert not machine.exists("/etc/holdfast/services.d/shipped.yml")
    assert not machine.exists(f"{UNITS}/holdfast-backup@service-shipped.timer")
    assert machine.holdfast("backup", "shipped")[0] == 2


def test_run_survives_site_yml_and_an_upgrade_under_it(machine: Machine) -> None:
    package = machine.run(["readlink", "/usr/local/lib/holdfast"]).stdout.strip()
    machine.sh(f"cd /usr/local/lib && cp -a {package} holdfast-000000000000 && ln -sfn holdfast-000000000000 holdfast && rm -r {package}")
    machine.fill("/srv/slow/data", 400)
    began = time.time()
    with machine.under_way("service-slow") as number:
        services = copy.deepcopy(inventory_variables()["holdfast_services"])
        services["slow"]["tags"] = ["changed"]
        wait_for(lambda: "left" in machine.status_text("service-slow"), "the time that is left")
        played = site(holdfast_services=services)
        assert played.status == 0, played.output
        assert {"Install the engine", "Make the jobs what the inventory says"} == set(played.tasks("changed"))
        assert machine.run(["readlink", "/usr/local/lib/holdfast"]).stdout != "holdfast-000000000000\n"
        assert machine.restic("service-slow") == number
        machine.sh(": > /srv/slow/data")
    found = machine.metrics("service-slow")["nas"]
    assert found.result == "complete"
    assert (found["last_success_timestamp"] or 0) > began
    assert machine.show("writer.service", "ActiveState") == "active"
    machine.sh("rm /srv/slow/data")


def other_passwords(**changed: str) -> dict[str, str]:
    """The inventory's passwords, some of them changed."""
    return {**inventory_variables()["secret_passwords"], **changed}


@dataclass(frozen=True)
class Broken:
    """How site.yml took it that every repository but one is out of order, and what was on the host then."""

    played: Played
    found: dict[str, str]


@pytest.fixture(scope="module")
def broken(machine: Machine) -> Broken:
    """Repositories that are away, unmounted, gone, swapped or locked for us, and a new one on a dead server."""
    repositories = copy.deepcopy(inventory_variables()["holdfast_repositories"])
    repositories["new"] = {"url": "rest:http://127.0.0.1:{{ append_only_port }}/new/", "password": "of the new one"}
    machine.sh(
        "umount /mnt/disk && mv /mnt/tiny/restic /mnt/tiny/away && mv /srv/nas /srv/nas.away && install -d -o holdfast -m 700 /srv/nas && "
        "setpriv --reuid=holdfast --clear-groups restic init --no-cache --repo=/srv/nas --password-file=/etc/holdfast/secrets/nas.password"
    )
    try:
        with stopped(machine, "server-append-only"), wrong(machine, "/etc/holdfast/secrets/rest.password", "neither this"):
            played = site(holdfast_repositories=repositories, secret_passwords=other_passwords(rest="nor that"))
            looks = {
                "disk": "ls -A /mnt/disk",
                "tiny": "ls -A /mnt/tiny",
                "server": "ls /srv/append-only",
                "states": "ls /var/lib/holdfast/repositories",
                "password": "cat /etc/holdfast/secrets/rest.password",
            }
            return Broken(played, {name: machine.sh(look) for name, look in looks.items()})
    finally:
        machine.sh("rm -rf /srv/nas && mv /srv/nas.away /srv/nas && mv /mnt/tiny/away /mnt/tiny/restic && mount --bind /srv/disk /mnt/disk")


def test_broken_repository_fails_site_yml_before_the_jobs_change(broken: Broken) -> None:
    assert broken.played.status != 0
    assert broken.played.tasks("failed") == ["Make every repository what the inventory says"]
    assert "Make the jobs what the inventory says" not in broken.played.output


@pytest.mark.parametrize("repository", ["vault", "worm", "new"])
def test_outage_is_not_absence(broken: Broken, repository: str) -> None:
    assert re.search(rf"rest:http://127\.0\.0\.1:\d+/{repository}/ cannot be reached", broken.played.message)
    assert "new.json" not in broken.found["states"]
    assert broken.found["server"].split() == ["vault", "worm"]


def test_unmounted_repository_is_not_begun_on_the_disk_below(broken: Broken) -> None:
    assert "/mnt/disk/restic: nothing is mounted there, and require_mount is set" in broken.played.message
    assert broken.found["disk"] == ""


def test_repository_that_is_gone_is_not_begun_anew(broken: Broken) -> None:
    assert "/mnt/tiny/restic: the repository" in broken.played.message
    assert "that this host has known is gone" in broken.played.message
    assert "-e holdfast_force_repository=NAME" in broken.played.message
    assert broken.found["tiny"] == "away\n"


def test_swapped_repository_is_an_error(broken: Broken) -> None:
    assert "/srv/nas: holds the repository" in broken.played.message


def test_wrong_passwords_are_an_error_that_shows_neither(broken: Broken) -> None:
    assert "no key of the repository fits" in broken.played.message
    assert "nor that" not in broken.played.output
    assert "neither this" not in broken.played.output
    assert broken.found["password"] == "neither this"


@pytest.fixture(scope="module")
def mended(machine: Machine) -> Played:
    """site.yml with force for a repository that is gone for good, and another password for another."""
    machine.sh("cp /etc/holdfast/secrets/disk.password /root/old.password && rm -rf /mnt/tiny/restic")
    return site(holdfast_force_repository="tiny", secret_passwords=other_passwords(disk="changed"))


def test_force_begins_a_lost_repository_anew(machine: Machine, mended: Played) -> None:
    assert mended.status == 0, mended.output
    assert machine.snapshots("cramped", "tiny") == []
    expect_run(machine, "service-cramped", "complete", "tiny")
    assert machine.holdfast("forget", "tiny")[0] == 0


def test_changed_password_is_rotated(machine: Machine, mended: Played) -> None:
    assert machine.read("/etc/holdfast/secrets/disk.password") == "changed"
    old = machine.run(
        ["restic", "--no-cache", "--repo=/mnt/disk/restic", "--password-file=/root/old.password", "cat", "config"], check=False
    )
    assert old.returncode == 12
    assert len(machine.sh("ls /srv/disk/restic/keys").split()) == 1
    expect_run(machine, "service-mounted", "complete", "disk")
    machine.sh("rm /root/old.password")
