"""What cannot be backed up from one instant fails and says why; what cannot be destroyed is told, and tried again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.controller import play
from tests.integration.machine import Machine
from tests.integration.outcomes import expect_run
from tests.integration.zfs import Zfs

JOB = "service-slow"
# Asks the engine on the host what a job would back up, without running one.
PLAN = """
import sys
sys.path += ["/usr/local/lib", "/usr/lib/python3/dist-packages"]
from holdfast import errors, instant
try:
    print(instant.plan("x", sys.argv[1], sys.argv[2].split(":") if sys.argv[2] else [], sys.argv[3:], 60))
except errors.HoldfastError as error:
    print(error)
"""

LOCK = "zfs umount tank/safe/secret && zfs unload-key tank/safe/secret"
UNLOCK = "echo 12345678 | zfs load-key tank/safe/secret && zfs mount tank/safe/secret"
STRANGE = f"""
set -e
zfs create tank/strange; zfs create tank/strange/in; zfs create -V 8M tank/strange/volume
zfs create -o mountpoint=none tank/none; zfs create -o mountpoint=legacy tank/legacy
zfs create tank/noauto; zfs create -o canmount=noauto tank/noauto/child
{LOCK}
"""


def planned(machine: Machine, dataset: str, paths: str = "", *exclude: str) -> str:
    return machine.python(PLAN, dataset, paths, *exclude)


@pytest.fixture(scope="module")
def strange(machine: Machine) -> Iterator[None]:
    """Datasets of every kind that hides files."""
    machine.sh(STRANGE)
    yield
    machine.sh("umount /mnt; for name in strange none legacy noauto; do zfs destroy -r tank/$name; done", check=False)


@pytest.mark.parametrize(
    ("dataset", "paths", "says"),
    [
        ("tank/nosuch", "", "does not exist"),
        ("tank/strange", "", "tank/strange/volume is a volume"),
        ("tank/strange/volume", "", "is a volume: a backup of files cannot see into it. Name a file system."),
        ("tank/none", "", "has no file system that can be mounted"),
        ("tank/legacy", "", "tank/legacy is not mounted (canmount=on), so it would be missing"),
        ("tank/noauto", "", "tank/noauto/child is not mounted (canmount=noauto)"),
        ("tank/safe", "", "tank/safe/secret is encrypted and its key is not loaded"),
        ("tank/strange", "/srv/plain", "x.paths: /srv/plain lies on / ("),
        ("tank/strange", "/srv/web", "x.zfs_dataset: tank/strange holds none of /srv/web"),
    ],
)
def test_what_would_be_missing_is_refused_and_the_remedy_named(
    machine: Machine, strange: None, dataset: str, paths: str, says: str
) -> None:
    assert says in planned(machine, dataset, paths)


def test_what_is_out_of_the_way_does_no_harm(machine: Machine, strange: None) -> None:
    assert "Plan(paths=('/tank/strange',)" in planned(machine, "tank/strange", "/tank/strange")
    machine.sh("mount -t zfs tank/legacy /mnt")
    assert "Layer(dataset='tank/legacy', point='/mnt')" in planned(machine, "tank/legacy")


def test_child_without_its_key_is_refused_unless_it_is_excluded(machine: Machine, strange: None) -> None:
    place = "/tank/safe/secret"
    assert f"tank/safe/secret belongs at {place}, but is encrypted and its key is not loaded" in planned(machine, "tank/safe", "/tank/safe")
    assert "Plan(" in planned(machine, "tank/safe", "/tank/safe", place)
    machine.sh(UNLOCK)
    assert f"point='{place}'" in planned(machine, "tank/safe")


def test_key_that_is_not_loaded_fails_the_run_until_it_is(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.sh(LOCK)
    try:
        expect_run(machine, "service-safe", "failed", says="tank/safe/secret is encrypted and its key is not loaded")
        zfs.nothing_left(before)
    finally:
        machine.sh(UNLOCK)
    expect_run(machine, "service-safe", "complete")
    newest = machine.snapshots("safe", "nas")[-1]["id"]
    assert machine.restic_by_hand("nas", "dump", newest, "/tank/safe/secret/file") == "secret\n"


def test_key_cannot_be_unloaded_under_a_run(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.fill("/tank/safe/secret/data", 16)
    with machine.under_way("service-safe"):
        machine.sh("zfs umount tank/safe/secret")
        assert "busy" in machine.sh("zfs unload-key tank/safe/secret 2>&1", check=False)
    assert machine.metrics("service-safe")["nas"].result == "complete"
    machine.sh("zfs mount tank/safe/secret && rm /tank/safe/secret/data")
    zfs.nothing_left(before)


def test_foreign_mount_below_a_path_is_refused_unless_it_is_excluded(machine: Machine) -> None:
    machine.sh("mkdir -p /tank/slow/ram && mount -t tmpfs ram /tank/slow/ram")
    try:
        assert "/tank/slow/ram below /tank/slow is a mount of tmpfs, and in no ZFS snapshot" in planned(machine, "tank/slow")
        assert "Plan(" in planned(machine, "tank/slow", "", "/tank/slow/ram")
        machine.sh("mkdir /tank/slow/bound && mount --bind /srv/web/site /tank/slow/bound")
        assert "shows a part or an old state of tank/web" in planned(machine, "tank/slow", "", "/tank/slow/ram")
    finally:
        machine.sh("umount /tank/slow/bound /tank/slow/ram; rmdir /tank/slow/bound /tank/slow/ram", check=False)


def test_full_pool_fails_the_run_and_leaves_nothing(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.sh("echo one > /srv/tiny/file; cat /dev/urandom > /srv/tiny/filler; sync", check=False, timeout=120)
    try:
        expect_run(machine, "service-tiny", "failed", says="out of space")
        zfs.nothing_left(before)
    finally:
        machine.sh("rm /srv/tiny/filler; sync")
    expect_run(machine, "service-tiny", "complete")


def test_zfs_that_fails_fails_the_run_and_starts_the_unit_again(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    with zfs.broken("snapshot", "echo cannot do it >&2; exit 1"):
        expect_run(machine, JOB, "failed", says="taking ZFS snapshots in tank: cannot do it")
    assert machine.show("writer.service", "ActiveState") == "active"
    zfs.nothing_left(before)


def test_zfs_that_hangs_is_ended_at_the_limit(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    with zfs.broken("snapshot", '/usr/sbin/zfs "$@"; exec sleep 600'):
        expect_run(machine, JOB, "failed", says="not done within 30 s")
    assert machine.show("writer.service", "ActiveState") == "active"
    zfs.nothing_left(before)


def test_mount_that_is_not_the_snapshot_is_found_out_before_restic_reads(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    # The namespace ends up with the live files in front of the ZFS snapshot.
    machine.write(
        "/usr/local/sbin/unshare",
        '#!/bin/sh\nshift 3\nexec /usr/bin/unshare --mount --propagation=private -- sh -c \'mount -t tmpfs x /tank; exec "$@"\' - "$@"\n',
    )
    machine.sh("chmod 755 /usr/local/sbin/unshare")
    try:
        expect_run(machine, JOB, "failed", exit_code=97, says="mounting ZFS snapshots")
    finally:
        machine.sh("rm /usr/local/sbin/unshare")
    zfs.nothing_left(before)


def test_held_and_cloned_snapshots_are_told_in_the_metric_and_destroyed_once_they_are_free(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.fill("/tank/app/data", 8)
    with machine.under_way("service-app"):
        (record,) = zfs.records()
        held, cloned = (f"{dataset}@{record['snapshot']}" for dataset in ("tank/app", "tank/app/child"))
        machine.sh(f"zfs hold mine {held} && zfs clone -o mountpoint=none {cloned} tank/copy")
    assert machine.metrics("service-app")["nas"].result == "complete"
    assert zfs.snapshots() == before | {held, cloned}
    assert zfs.orphans() == 2
    assert machine.holdfast("cleanup")[0] == 1
    assert zfs.snapshots() == before | {held, cloned}
    machine.sh(f"zfs release mine {held} && zfs destroy tank/copy && rm /tank/app/data")
    status, said = machine.holdfast("cleanup")
    assert status == 0, said
    zfs.nothing_left(before)


def test_dataset_cannot_be_destroyed_under_a_run(machine: Machine, zfs: Zfs) -> None:
    machine.fill("/srv/part/in/data", 8)
    with machine.under_way("service-part"):
        assert "busy" in machine.sh("zfs destroy -r tank/part 2>&1", check=False)
    assert machine.metrics("service-part")["nas"].result == "complete"


def test_dataset_destroyed_before_its_snapshot_fails_the_run_and_leaves_nothing(machine: Machine, zfs: Zfs) -> None:
    before = zfs.snapshots()
    machine.sh("zfs create tank/safe/gone")
    # In the unit's own mount namespace it would be busy.
    with zfs.broken("snapshot", "systemd-run --quiet --wait /usr/sbin/zfs destroy tank/safe/gone"):
        expect_run(machine, "service-safe", "failed", says="tank/safe/gone")
    zfs.nothing_left(before)
    expect_run(machine, "service-safe", "complete")


def test_missing_dataset_is_an_error_of_site_yml_before_anything_changes(machine: Machine) -> None:
    before = machine.read("/etc/holdfast/manifest.json")
    variables = {"holdfast_services": {"app": {"use_snapshots": True, "zfs_dataset": "tank/ap"}}}
    played = play("site", "machine", variables=variables)
    assert played.status != 0
    assert "holdfast_services.app.zfs_dataset: 'tank/ap' is no known ZFS dataset of this host. Did you mean tank/app?" in played.message
    assert played.tasks("changed") == []
    assert machine.read("/etc/holdfast/manifest.json") == before
