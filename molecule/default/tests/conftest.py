"""What the tests of this scenario share: hosts with something to back up, and a first complete backup of everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import hosts
from tests.integration import tree
from tests.integration.keys import cheapen
from tests.integration.machine import Machine, container_of

HERE = Path(__file__).resolve().parent
INVENTORY = HERE.parent / "inventory"
TREE = Path(tree.__file__).read_text()


@pytest.fixture(scope="session")
def secrets() -> dict[str, str]:
    """Every secret of the inventory, by what it opens."""
    variables = yaml.safe_load((INVENTORY / "group_vars/holdfast.yml").read_text())
    return {**variables["secret_passwords"], "s3": variables["s3_secret"]}


@pytest.fixture(scope="session")
def machine(machine: Machine, secrets: dict[str, str]) -> Machine:
    """A host of the scenario, its repositories quick to open (the S3 server caches them), everything backed up once."""
    jobs = json.loads(machine.read("/etc/holdfast/manifest.json"))["jobs"]
    for name, directory in directories(machine).items():
        cheapen(machine, directory, secrets[name])
    machine.sh("systemctl restart server-s3")
    for path in sorted({path for job in jobs.values() for path in job["paths"] if path.startswith("/srv/")} - {"/srv/odd"}):
        machine.sh(f"mkdir -p {path}/below && echo one > {path}/one && echo two > {path}/below/two && : > {path}/left.tmp")
    machine.sh("mkdir -p /var/lib/hooked && : > /var/lib/hooked/pre && : > /var/lib/hooked/post")
    if not machine.exists("/srv/odd"):
        machine.python(TREE, "make", "/srv/odd")
    status, said = machine.holdfast("backup", "--all", timeout=300)
    assert status == 0, said
    return machine


def directories(machine: Machine) -> dict[str, str]:
    """Return where each repository's files are on the host, whatever serves them."""
    return {
        "nas": "/srv/nas",
        "bucket": f"/srv/s3/backups/{machine.inventory_name}",
        "rest": "/srv/rest",
        "vault": "/srv/append-only/vault",
        "worm": "/srv/append-only/worm",
        "disk": "/srv/disk/restic",
        "tiny": "/mnt/tiny/restic",
    }


@pytest.fixture
def heavy(machine: Machine) -> Iterator[None]:
    """Enough that was never seen before for a run to be caught in the middle of its upload."""
    machine.fill("/srv/slow/data", 32)
    machine.fill("/srv/upload/data", 32)
    yield
    machine.sh("rm -f /srv/slow/data /srv/upload/data")


@pytest.fixture(scope="module")
def spare() -> Iterator[Machine]:
    """A Debian 13 that Holdfast has never been on; it lives as long as the tests."""
    machine = Machine(container_of("spare"))
    hosts.start("trixie", machine.name, volumes=hosts.tools())
    yield machine
    machine.disconnect()
    hosts.stop(machine.name)
