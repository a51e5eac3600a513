"""A run backs up one instant, of all that it should, at the real paths, and leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.machine import Machine, backup_unit, wait_for
from tests.integration.outcomes import expect_run
from tests.integration.zfs import Zfs

FILES = {
    "/tank/app/file": "root",
    "/tank/app/child/file": "child",
    "/tank/app/with space/file": "space",
    "/tank/app/box/inner/file": "inner",
    "/var/elsewhere/file": "elsewhere",
}
DIRECTORIES = 20
EACH = 50


def newest(machine: Machine, job: str) -> dict[str, Any]:
    return machine.snapshots(job, "nas")[-1]


def stored(machine: Machine, job: str, path: str) -> str:
    return machine.restic_by_hand("nas", "dump", newest(machine, job)["id"], path)


def comes_back(machine: Machine, job: str, *places: str) -> None:
    """Restore the newest restic snapshot of a job, and compare every file with what is in place."""
    status, said = machine.holdfast("restore", job, "--target", "/var/tmp/back", timeout=300)
    assert status == 0, said
    machine.sh(" && ".join(f"diff -r --no-dereference {place} /var/tmp/back{place}" for place in places), timeout=120)


@pytest.fixture(autouse=True)
def scratch(machine: Machine) -> Iterator[None]:
    """Remove what a test has restored."""
    yield
    machine.sh("rm -rf /var/tmp/back")


def frozen(machine: Machine, zfs: Zfs, job: str) -> tuple[dict[str, str], list[str]]:
    """Run a job, and give the transactions of its ZFS snapshots and what was mounted of them while restic read."""
    with machine.under_way(f"service-{job}"):
        (record,) = zfs.records()
        return zfs.transactions(record["snapshot"]), zfs.mounted_snapshots()


def test_what_changes_during_the_run_is_stored_as_it_was_at_the_instant(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.sh("rm -f /tank/slow/late")
    machine.write("/tank/slow/word", "before\n")
    machine.fill("/tank/slow/data", 16)
    with machine.under_way("service-slow"):
        machine.write("/tank/slow/word", "after\n")
        machine.write("/tank/slow/late", "late\n")
        machine.sh("rm /tank/slow/data")
        assert len(zfs.mounted_snapshots()) == 1
    found = newest(machine, "slow")
    assert found["paths"] == ["/tank/slow"]
    assert stored(machine, "slow", "/tank/slow/word") == "before\n"
    listed = machine.restic_by_hand("nas", "ls", found["id"])
    assert "/tank/slow/data" in listed
    assert "/tank/slow/late" not in listed
    assert machine.metrics("service-slow")["nas"].result == "complete"
    zfs.nothing_left(before)


def test_children_wherever_they_are_mounted_are_stored_and_come_back(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    for path, text in FILES.items():
        machine.write(path, f"{text}\n")
    machine.sh("setfattr -n user.note -v kept /tank/app/child/file && setfacl -m u:daemon:r /tank/app/child/file")
    machine.fill("/tank/app/child/data", 8)
    transactions, mounted = frozen(machine, zfs, "app")
    assert set(transactions) == {"tank/app", "tank/app/child", "tank/app/with space", "tank/app/box/inner", "tank/app/away"}
    assert len(set(transactions.values())) == 1
    assert len(mounted) == 5
    assert newest(machine, "app")["paths"] == ["/tank/app", "/var/elsewhere"]
    comes_back(machine, "app", "/tank/app", "/var/elsewhere")
    assert "kept" in machine.sh("getfattr -n user.note /var/tmp/back/tank/app/child/file")
    assert "user:daemon:r--" in machine.sh("getfacl --omit-header /var/tmp/back/tank/app/child/file")
    machine.sh("rm /tank/app/child/data")
    zfs.nothing_left(before)


def test_paths_narrow_the_dataset(machine: Machine, zfs: Zfs) -> None:
    machine.sh("mkdir -p /srv/part/in /srv/part/out && echo in > /srv/part/in/file && echo out > /srv/part/out/file")
    machine.fill("/srv/part/in/data", 8)
    transactions, _ = frozen(machine, zfs, "part")
    assert set(transactions) == {"tank/part"}
    found = newest(machine, "part")
    assert found["paths"] == ["/srv/part/in"]
    assert "/srv/part/out" not in machine.restic_by_hand("nas", "ls", found["id"])


def test_two_pools_are_one_instant_each(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.sh("echo two > /srv/two/file; echo web > /srv/web/file")
    machine.fill("/srv/two/data", 8)
    transactions, mounted = frozen(machine, zfs, "two")
    assert set(transactions) == {"tank/web", "second/two"}
    assert len(mounted) == 2
    assert newest(machine, "two")["paths"] == ["/srv/two", "/srv/web"]
    comes_back(machine, "two", "/srv/two", "/srv/web")
    zfs.nothing_left(before)


def test_fifty_datasets_are_one_instant_and_an_unchanged_run_adds_next_to_nothing(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    script = f"for d in $(seq 1 {DIRECTORIES}); do for f in $(seq 1 {EACH}); do echo $d $f > /tank/many/d$d/f$f; done; done"
    machine.sh(script)
    machine.fill("/tank/many/d49/data", 8)
    transactions, mounted = frozen(machine, zfs, "many")
    assert len(transactions) == len(mounted) == 50
    assert len(set(transactions.values())) == 1
    first = machine.state("service-many")["outcomes"]["nas"]
    assert (first["result"], first["files_new"]) == ("complete", DIRECTORIES * EACH + 1)
    expect_run(machine, "service-many", "complete")
    again = machine.state("service-many")["outcomes"]["nas"]
    assert (again["files_unmodified"], again["files_new"], again["files_changed"]) == (DIRECTORIES * EACH + 1, 0, 0)
    assert again["bytes_added"] < 64 * 1024
    comes_back(machine, "many", "/tank/many")
    zfs.nothing_left(before)


def test_parent_and_child_are_backed_up_at_the_same_time_without_touching_each_other(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.fill("/tank/app/child/data", 24)
    with machine.under_way("service-app"):
        machine.run(["systemctl", "start", "--no-block", backup_unit("service-child")])
        wait_for(lambda: len(zfs.snapshots() - before) == 6, "both have their ZFS snapshots")
        assert len(zfs.records()) == 2
    machine.wait_until_idle("service-child")
    assert {machine.metrics(f"service-{job}")["nas"].result for job in ("app", "child")} == {"complete"}
    machine.sh("rm /tank/app/child/data")
    zfs.nothing_left(before)


def test_stopped_unit_is_down_for_the_snapshot_alone(machine: Machine) -> None:
    def down() -> float:
        journal = machine.journal(0, "--unit=writer", "--output=short-unix")
        moments = {
            word: [float(at) for at in re.findall(rf"^([\d.]+) .*: {word} writer", journal, re.MULTILINE)]
            for word in ("Stopped", "Started")
        }
        return moments["Started"][-1] - moments["Stopped"][-1]

    downtimes = []
    for size in (1, 24):
        machine.fill("/tank/slow/data", size)
        expect_run(machine, "service-slow", "complete")
        downtimes.append(down())
    took = machine.state("service-slow")["outcomes"]["nas"]["duration"]
    assert max(downtimes) < 5 < took
    assert downtimes[1] < downtimes[0] + 2
    machine.sh("rm /tank/slow/data")


def test_hooks_come_before_and_after_the_instant_and_see_the_live_files(machine: Machine, zfs: Zfs) -> None:
    machine.write("/var/lib/hooked/pre", "echo dumped > /tank/slow/dump")
    machine.write(
        "/var/lib/hooked/frozen",
        "systemctl is-active writer > /var/lib/hooked/seen; zfs list -H -t snapshot >> /var/lib/hooked/seen; echo later > /tank/slow/dump",
    )
    try:
        expect_run(machine, "service-slow", "complete")
    finally:
        machine.sh(": > /var/lib/hooked/pre; : > /var/lib/hooked/frozen")
    assert stored(machine, "slow", "/tank/slow/dump") == "dumped\n"
    seen = machine.read("/var/lib/hooked/seen")
    assert seen.startswith("active\n")
    assert "tank/slow@holdfast-" in seen
    assert machine.read("/tank/slow/dump") == "later\n"


def test_sandbox_of_other_jobs_knows_nothing_of_zfs(machine: Machine) -> None:
    assert "cap_sys_admin" in machine.show(backup_unit("service-slow"), "CapabilityBoundingSet")
    assert "cap_sys_admin" not in machine.show(backup_unit("service-plain"), "CapabilityBoundingSet")
    assert machine.show(backup_unit("service-plain"), "PrivateDevices") == "yes"
    expect_run(machine, "service-plain", "complete")
