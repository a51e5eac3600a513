"""Sanoid and syncoid work beside Holdfast, and Holdfast beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.machine import Machine
from tests.integration.zfs import Zfs

JOB = "service-part"
SANOID = """
[tank/part]
use_template = test
[template_test]
hourly = 1
daily = 0
monthly = 0
yearly = 0
autosnap = yes
autoprune = yes
"""


@pytest.fixture
def under_way(machine: Machine) -> Iterator[str]:
    """The name of the ZFS snapshot of a run that goes on meanwhile."""
    machine.fill("/srv/part/in/data", 16)
    with machine.under_way(JOB):
        (record,) = Zfs(machine).records()
        yield f"tank/part@{record['snapshot']}"
    machine.sh("rm /srv/part/in/data")


def test_sanoid_takes_and_prunes_its_own(machine: Machine, zfs: Zfs, under_way: str) -> None:
    machine.write("/etc/sanoid/sanoid.conf", SANOID)
    machine.run(["sanoid", "--cron", "--verbose"], timeout=120)
    found = zfs.snapshots()
    assert under_way in found
    assert any(name.startswith("tank/part@autosnap_") for name in found)
    machine.wait_until_idle(JOB)
    assert under_way not in zfs.snapshots()
    assert any(name.startswith("tank/part@autosnap_") for name in zfs.snapshots())
    assert machine.metrics(JOB)["nas"].result == "complete"


def test_syncoid_leaves_ours_out_where_told_so(machine: Machine, zfs: Zfs, under_way: str) -> None:
    # Debian 13's has no --exclude-snaps yet.
    machine.run(["syncoid", "--no-stream", "tank/part", "second/copy"], timeout=300)
    copied = {name for name in zfs.snapshots() if name.startswith("second/copy@")}
    assert copied
    assert not any("@holdfast-" in name for name in copied)
    machine.wait_until_idle(JOB)
    assert machine.metrics(JOB)["nas"].result == "complete"
    machine.sh("zfs destroy -r second/copy; zfs list -H -o name -t snapshot tank/part | grep @syncoid | xargs -rn1 zfs destroy")
