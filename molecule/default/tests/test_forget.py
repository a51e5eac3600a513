"""Thinning a repository: each job by its own rules, locks of the living respected, those of the dead removed, refusals noticed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.faults import stopped
from tests.integration.machine import METRICS, Machine, wait_for

AS_HOLDFAST = ("setpriv", "--reuid=holdfast", "--regid=holdfast", "--init-groups")
ELSEWHERE = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "-")


def metrics(machine: Machine, repository: str) -> dict[str, float]:
    """The metrics of the repository's last forget; promtool must have no complaint."""
    text = machine.read(f"{METRICS}/holdfast_forget_{repository}.prom")
    checked = machine.run(["/opt/tools/bin/promtool", "check", "metrics"], stdin=text, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {tuple(sorted(sample.labels.items())) for sample in samples} == {
        (("hostname", machine.inventory_name), ("repository", repository))
    }
    return {sample.name: sample.value for sample in samples}


def forget(machine: Machine, repository: str, succeeds: bool = True) -> str:
    """Forget in a repository, check status and metrics, and return what was said."""
    before = metrics(machine, repository) if machine.exists(f"{METRICS}/holdfast_forget_{repository}.prom") else {}
    began = time.time()
    status, said = machine.holdfast("forget", repository)
    assert status == (0 if succeeds else 1), said
    after = metrics(machine, repository)
    assert after["restic_forget_status"] == (1 if succeeds else 0)
    success = "restic_forget_last_success_timestamp"
    if succeeds:
        assert after[success] >= began
    else:
        assert after.get(success) == before.get(success)
    return said


def back_up(machine: Machine, job: str, times: int) -> None:
    for number in range(times):
        machine.write("/srv/keep/number", f"{job} {number} {time.time()}")
        assert machine.holdfast("backup", job)[0] == 0


def test_jobs_in_one_repository_are_thinned_each_by_its_own_rules(machine: Machine) -> None:
    for job in ("keep-1", "keep-3"):
        back_up(machine, job, 4)
    wiki = machine.snapshots("wiki", "nas")
    newest = {job: [found["id"] for found in machine.snapshots(job, "nas")] for job in ("keep-1", "keep-3")}
    forget(machine, "nas")
    assert [found["id"] for found in machine.snapshots("keep-1", "nas")] == newest["keep-1"][-1:]
    assert [found["id"] for found in machine.snapshots("keep-3", "nas")] == newest["keep-3"][-3:]
    assert machine.snapshots("wiki", "nas")[-1] == wiki[-1]


def test_snapshots_that_are_not_ours_are_left_alone(machine: Machine) -> None:
    before = machine.restic_by_hand("nas", "snapshots", "--json", "--tag=foreign")
    for arguments in (["--host=another"], ["--host=another", "--tag=holdfast-job=service-keep-1"], [f"--host={machine.inventory_name}"]):
        for _ in range(2):
            machine.restic_by_hand("nas", "backup", "--tag=foreign", *arguments, "/srv/keep", prefix=AS_HOLDFAST)
    forget(machine, "nas")
    assert len(json.loads(machine.restic_by_hand("nas", "snapshots", "--json", "--tag=foreign"))) == len(json.loads(before)) + 6


def test_changed_tags_still_are_thinned_in_one_group(machine: Machine) -> None:
    for tags in ("a", "b,c"):
        machine.restic_by_hand(
            "nas",
            "backup",
            f"--host={machine.inventory_name}",
            f"--tag=holdfast-job=service-keep-1,{tags}",
            "/srv/keep/one",
            prefix=AS_HOLDFAST,
        )
    back_up(machine, "keep-1", 1)
    newest = machine.snapshots("keep-1", "nas")
    assert len(newest) >= 3
    forget(machine, "nas")
    assert machine.snapshots("keep-1", "nas") == newest[-1:]


def test_dry_run_tells_what_would_go_and_lets_it_stay(machine: Machine) -> None:
    back_up(machine, "keep-1", 2)
    before = machine.snapshots("keep-1", "nas")
    (report,) = json.loads(machine.run(["holdfast", "forget", "nas", "--dry-run", "--json"]).stdout)
    assert [found["id"] for found in report["removed"]["service-keep-1"]] == [found["id"] for found in before[:-1]]
    assert machine.snapshots("keep-1", "nas") == before


def test_data_that_nothing_needs_is_pruned(machine: Machine) -> None:
    machine.fill("/srv/keep/data", 20)
    back_up(machine, "keep-1", 1)
    machine.sh("rm /srv/keep/data")
    back_up(machine, "keep-1", 1)
    before = int(machine.sh("du -sm /srv/nas").split()[0])
    forget(machine, "nas")
    assert int(machine.sh("du -sm /srv/nas").split()[0]) <= before - 15


def test_lock_of_a_killed_restic_is_removed_and_reported(machine: Machine, heavy: None) -> None:
    with machine.under_way("service-slow") as number:
        machine.sh(f"kill -KILL {number}")
    assert machine.sh("ls /srv/nas/locks")
    said = forget(machine, "nas")
    assert f"removed a stale lock of process {number} on {machine.name}" in said
    assert machine.sh("ls /srv/nas/locks") == ""
    state = json.loads(machine.read("/var/lib/holdfast/repositories/nas.json"))
    assert "stale lock" in state["forget_note"]


@pytest.fixture(params=["root here", "holdfast here", "root on another host"])
def holder(request: pytest.FixtureRequest, machine: Machine) -> Iterator[tuple[str, int]]:
    """Somebody's restic that holds a lock and waits for its input; it takes the lock away when it is stopped."""
    prefix = {"root here": (), "holdfast here": AS_HOLDFAST, "root on another host": ELSEWHERE}[request.param]
    host = "elsewhere" if "another" in request.param else machine.name
    machine.sh("rm -f /srv/rest/locks/*")
    command = machine.restic_command("rest", "backup", "--stdin", prefix=prefix)
    machine.run(["systemd-run", "--quiet", "--collect", "--unit=lock-holder", "sh", "-c", f"sleep 300 | {command}"])
    number = int(wait_for(lambda: machine.sh("ls /srv/rest/locks") and machine.sh("pgrep -x restic", check=False).strip(), "a lock"))
    yield host, number
    machine.sh("systemctl stop lock-holder")
    assert machine.sh("ls /srv/rest/locks") == ""


def test_lock_of_the_living_is_respected(machine: Machine, holder: tuple[str, int]) -> None:
    host, number = holder
    locks = machine.sh("ls /srv/rest/locks")
    snapshots = machine.snapshots("upload", "rest")
    began = time.monotonic()
    said = forget(machine, "rest", succeeds=False)
    assert 9 < time.monotonic() - began < 40
    assert f"on {host} (process {number})" in said
    assert "retry_lock" in said
    assert machine.sh("ls /srv/rest/locks") == locks
    assert machine.snapshots("upload", "rest") == snapshots


def test_append_only_repository_is_skipped_with_a_word(machine: Machine) -> None:
    before = machine.snapshots("odd", "vault")
    status, said = machine.holdfast("forget", "vault")
    assert status == 0
    assert "vault is append_only: nothing is forgotten" in said
    assert machine.snapshots("odd", "vault") == before
    assert not machine.sh("systemctl list-timers --all --no-legend 'holdfast-forget@vault*'")


def test_refused_deletion_is_a_failure_that_names_the_way_out(machine: Machine) -> None:
    for _ in range(2):
        assert machine.holdfast("backup", "sealed")[0] == 0
    before = machine.snapshots("sealed", "worm")
    said = forget(machine, "worm", succeeds=False)
    assert "append_only: true" in said
    assert machine.snapshots("sealed", "worm") == before


def test_repository_that_is_away_fails_the_forget_at_once(machine: Machine) -> None:
    with stopped(machine, "server-rest"):
        began = time.monotonic()
        assert "cannot be reached" in forget(machine, "rest", succeeds=False)
        assert time.monotonic() - began < 60
    forget(machine, "rest")


def test_swapped_repository_is_not_thinned(machine: Machine) -> None:
    path = "/var/lib/holdfast/repositories/tiny.json"
    kept = machine.read(path)
    machine.write(path, json.dumps({**json.loads(kept), "id": "0" * 64}))
    try:
        assert "has known 00000000 there; nothing was forgotten" in forget(machine, "tiny", succeeds=False)
    finally:
        state = json.loads(machine.read(path))
        machine.write(path, json.dumps({**state, "id": json.loads(kept)["id"]}))


def test_killed_forget_is_a_failure(machine: Machine) -> None:
    machine.sh("systemctl kill --signal=STOP server-rest; systemctl start --no-block holdfast-forget@rest.service")
    unit = "holdfast-forget@rest.service"
    wait_for(lambda: machine.show(unit, "MainPID") != "0", "the forget begins")
    before = metrics(machine, "rest")
    machine.sh(f"sleep 1; systemctl kill --signal=KILL --kill-whom=all {unit}; systemctl kill --signal=CONT server-rest")
    wait_for(lambda: machine.show(unit, "ActiveState") == "failed", "the forget ends")
    after = metrics(machine, "rest")
    assert after["restic_forget_status"] == 0
    assert after["restic_forget_last_success_timestamp"] == before["restic_forget_last_success_timestamp"]
    forget(machine, "rest")
