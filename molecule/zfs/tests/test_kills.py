"""Whatever kills a run, in whichever phase: nothing of it is mounted or left in ZFS, and nobody else's ZFS snapshot is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import strike
from tests.integration.machine import Machine, backup_unit
from tests.integration.outcomes import expect, expect_run
from tests.integration.zfs import Zfs
from tests.machines import VirtualMachine

STRIKE = Path(strike.__file__).read_text()
JOB = "service-slow"
TWICE = pytest.mark.parametrize("turn", [1, 2])
FOREIGN = """
set -e
zfs snapshot tank/slow@holdfast-lookalike
zfs snapshot tank/slow@origin
zfs clone tank/slow@origin tank/clone
zfs snapshot -o holdfast:job=service-slow -o holdfast:run=20260101T000000-abcdef tank/slow@ours-of-old
zfs send -p tank/slow@ours-of-old | zfs receive -u tank/received
zfs set holdfast:job=service-slow holdfast:run=20260101T000000-abcdef tank/slow
zfs snapshot tank/slow@inherits
zfs snapshot tank/slow@autosnap_2026-01-01_00:00:00_daily
"""
AWAY = """
zfs inherit holdfast:job tank/slow; zfs inherit holdfast:run tank/slow
zfs destroy -r tank/received; zfs destroy tank/clone
for name in holdfast-lookalike origin ours-of-old inherits autosnap_2026-01-01_00:00:00_daily; do zfs destroy tank/slow@$name; done
"""


@pytest.fixture(scope="module")
def others(machine: Machine, zfs: Zfs) -> Iterator[set[str]]:
    """ZFS snapshots that look like ours in every way but the one that counts."""
    expect_run(machine, JOB, "complete")
    machine.sh(FOREIGN)
    yield zfs.snapshots()
    machine.sh(AWAY)


@pytest.fixture
def held_up(machine: Machine) -> Iterator[None]:
    """A hook that takes its time once the ZFS snapshot is there, and enough to upload."""
    machine.fill("/tank/slow/data", 16)
    yield
    machine.sh(": > /var/lib/hooked/frozen; rm -f /tank/slow/data")


def struck(machine: Machine, phase: str, victim: str) -> tuple[int, str]:
    machine.run(["systemctl", "start", "--no-block", backup_unit(JOB)])
    machine.python(STRIKE, phase, victim, backup_unit(JOB), timeout=90)
    machine.wait_until_idle(JOB)
    return 1, ""


@TWICE
@pytest.mark.parametrize("victim", ["engine", "unit"])
def test_kill_after_the_snapshot(machine: Machine, zfs: Zfs, others: set[str], held_up: None, victim: str, turn: int) -> None:
    machine.write("/var/lib/hooked/frozen", "sleep 60")
    expect(machine, machine.attempt(JOB, lambda: struck(machine, "hook", victim)), "failed", exit_code=137)
    assert machine.show("writer.service", "ActiveState") == "active"
    zfs.nothing_left(others)


@TWICE
@pytest.mark.parametrize("victim", ["engine", "restic", "unit"])
def test_kill_while_mounting(machine: Machine, zfs: Zfs, others: set[str], held_up: None, victim: str, turn: int) -> None:
    expect(machine, machine.attempt(JOB, lambda: struck(machine, "mounting", victim)), "failed", exit_code=137)
    zfs.nothing_left(others)


@TWICE
@pytest.mark.parametrize("victim", ["engine", "restic", "unit"])
def test_kill_while_uploading(machine: Machine, zfs: Zfs, others: set[str], held_up: None, victim: str, turn: int) -> None:
    def run() -> tuple[int, str]:
        with machine.under_way(JOB) as restic:
            if victim == "unit":
                machine.sh(f"systemctl kill --signal=KILL --kill-whom=all {backup_unit(JOB)}")
            else:
                machine.sh(f"kill -KILL {restic if victim == 'restic' else machine.show(backup_unit(JOB), 'MainPID')}")
        return 1, ""

    expect(machine, machine.attempt(JOB, run), "failed", exit_code=137)
    zfs.nothing_left(others)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("victim", ["engine", "unit"])
def test_kill_while_destroying_leaves_nothing_of_a_run_that_was_complete(
    machine: Machine, zfs: Zfs, others: set[str], victim: str, moment: str
) -> None:
    slowly = "sleep 2" if moment == "before" else '/usr/sbin/zfs "$@"; sleep 2; exit'
    with zfs.broken("destroy", slowly):
        expect(machine, machine.attempt(JOB, lambda: struck(machine, "destroying", victim)), "complete")
    zfs.nothing_left(others)


def test_reset_in_the_middle_of_an_upload(machine: Machine, virtual: VirtualMachine, zfs: Zfs, others: set[str], held_up: None) -> None:
    def run() -> tuple[int, str]:
        machine.run(["systemctl", "start", "--no-block", backup_unit(JOB)])
        machine.python(STRIKE, "uploading", "nobody", backup_unit(JOB), timeout=90)
        assert zfs.mounted_snapshots()
        machine.disconnect()
        virtual.reset()
        machine.sh("systemctl start writer")
        return 1, ""

    expect(machine, machine.attempt(JOB, run), "failed", says="reset")
    zfs.nothing_left(others)
    expect_run(machine, JOB, "complete")


def test_copy_of_the_properties_on_a_snapshot_of_ones_own_is_left_alone(
    machine: Machine, zfs: Zfs, others: set[str], held_up: None
) -> None:
    with machine.under_way(JOB):
        (record,) = zfs.records()
        machine.sh(f"zfs snapshot -o holdfast:job={record['job']} -o holdfast:run={record['run']} tank/slow@copycat")
    assert zfs.snapshots() == others | {"tank/slow@copycat"}
    machine.sh("zfs destroy tank/slow@copycat")
    zfs.nothing_left(others)


def test_renamed_snapshot_of_a_run_is_still_its_own(machine: Machine, zfs: Zfs, others: set[str], held_up: None) -> None:
    with machine.under_way(JOB):
        (record,) = zfs.records()
        machine.sh(f"zfs rename tank/slow@{record['snapshot']} tank/slow@other")
    zfs.nothing_left(others)
