"""restic is not root: who it is while it runs, what it can read, and what it cannot write."""

from __future__ import annotations

import pytest

from tests.integration.machine import Machine, backup_unit

DAC_READ_SEARCH = f"{1 << 2:016x}"
# Everything that the process itself may write to, as the kernel sees it: of the file system, not of devices and sockets.
WRITABLE = r"find / \( -path /proc -o -path /sys \) -prune -o \( -type d -o -type f \) -writable -print"


# What any user may write to; Landlock, where setpriv knows it (util-linux 2.40, so not on Debian 12), keeps restic out of it.
OPEN_TO_EVERY_USER = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock")
# Tries to write as restic would run with a local repository in the first place, and prints where it could.
WRITE = """
import subprocess, sys
sys.path.append("/usr/local/lib")
from pathlib import Path
from holdfast.privileges import READER
prefix = READER.prefix([Path(sys.argv[1])])
print(*(place for place in sys.argv[1:] if subprocess.run([*prefix, "touch", f"{place}/probe"]).returncode == 0))
"""


@pytest.fixture(scope="module")
def caught(machine: Machine) -> dict[str, str]:
    """What was seen of a running restic: its status, its environment, and what it may write."""
    machine.fill("/srv/slow/data", 48)
    with machine.under_way("service-slow"):
        number = machine.restic("service-slow")
        status = machine.read(f"/proc/{number}/status")
        environment = machine.read(f"/proc/{number}/environ")
        identity = (
            "setpriv --reuid=holdfast --regid=holdfast --init-groups --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search"
        )
        writable = machine.sh(f"nsenter --target={number} --mount -- {identity} {WRITABLE}", check=False)
        engine = machine.read(f"/proc/{machine.show(backup_unit('service-slow'), 'MainPID')}/status")
    machine.sh("rm /srv/slow/data")
    return {"status": status, "environment": environment, "writable": writable, "engine": engine}


def fields(status: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in status.splitlines())}


def test_restic_runs_as_holdfast_with_one_capability(caught: dict[str, str]) -> None:
    found = fields(caught["status"])
    assert found["Uid"].split() == ["847"] * 4
    assert found["Gid"].split() == ["847"] * 4
    assert found["Groups"].split() in ([], ["847"])
    assert {found[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {DAC_READ_SEARCH}
    assert found["NoNewPrivs"] == "1"


def test_engine_has_no_capability_to_administer(caught: dict[str, str]) -> None:
    bounding = int(fields(caught["engine"])["CapBnd"], 16)
    for name, bit in (("sys_admin", 21), ("net_admin", 12), ("sys_ptrace", 19), ("sys_module", 16), ("sys_rawio", 17)):
        assert not bounding >> bit & 1, name


def test_restic_can_write_its_cache_and_the_local_repository_and_nothing_else(machine: Machine, caught: dict[str, str]) -> None:
    allowed = ("/var/cache/holdfast/restic", "/var/cache/holdfast/tmp", "/srv/nas")
    found = caught["writable"].splitlines()
    assert any(path.startswith("/srv/nas") for path in found)
    others = [path for path in found if not path.startswith(allowed)]
    assert [path for path in others if not path.startswith(OPEN_TO_EVERY_USER)] == []
    if machine.sh("cat /run/holdfast/landlock") == "yes":
        assert machine.python(WRITE, "/srv/nas", *others).split() == ["/srv/nas"]


def test_restic_reads_what_only_root_may(machine: Machine) -> None:
    snapshot = machine.snapshots("odd", "nas")[-1]["id"]
    assert machine.restic_by_hand("nas", "dump", snapshot, "/srv/odd/modes/for root alone") == "top secret"
    assert machine.restic_by_hand("nas", "dump", snapshot, "/srv/odd/modes/for nobody") == "not even root"
