"""What the tests of this scenario share: the machine, its pools, and repositories that are quick to open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.keys import cheapen
from tests.integration.machine import Machine, container_of
from tests.integration.zfs import Zfs
from tests.machines import VirtualMachine, ssh_port

PASSWORD = "Canary-nas-4711"


@pytest.fixture(scope="session")
def virtual() -> VirtualMachine:
    """The machine itself: its reset button."""
    return VirtualMachine(container_of("machine"), ssh_port())


@pytest.fixture(scope="session")
def machine(virtual: VirtualMachine) -> Iterator[Machine]:
    """The host, its hooks doing nothing."""
    found = Machine(virtual.name, virtual.command)
    cheapen(found, "/srv/nas", PASSWORD)
    found.sh("mkdir -p /var/lib/hooked /srv/plain && : > /var/lib/hooked/pre && : > /var/lib/hooked/frozen && echo plain > /srv/plain/file")
    yield found
    found.disconnect()


@pytest.fixture(scope="session")
def zfs(machine: Machine) -> Zfs:
    """Its pools."""
    return Zfs(machine)
