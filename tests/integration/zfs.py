"""ZFS on a test host, asked by its own command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.integration.machine import Machine


@dataclass(frozen=True)
class Zfs:
    """The pools of a host."""

    machine: Machine

    def snapshots(self) -> set[str]:
        """Return the names of all ZFS snapshots that the tests of modules have not made."""
        names = self.machine.sh("zfs list -H -o name -t snapshot").splitlines()
        return {name for name in names if not name.startswith("tank/modules")}

    def transactions(self, name: str) -> dict[str, str]:
        """Return the transaction group of each ZFS snapshot with a name behind the ``@``, by dataset."""
        lines = self.machine.sh("zfs list -Hp -o name,createtxg -t snapshot").splitlines()
        found = dict(line.split("\t") for line in lines)
        return {full.partition("@")[0]: txg for full, txg in found.items() if full.partition("@")[2] == name}

    def mounted_snapshots(self) -> list[str]:
        """Return the lines of all mount tables of the host that show a ZFS snapshot."""
        text = self.machine.sh("cat /proc/[0-9]*/mounts 2> /dev/null || true")
        return sorted({line for line in text.splitlines() if "@" in line.split(" ")[0] and " zfs " in line})

    def records(self) -> list[dict[str, Any]]:
        """Return what Holdfast remembers of ZFS snapshots that are not destroyed yet."""
        text = self.machine.sh("cat /var/lib/holdfast/zfs/*.json 2> /dev/null || true")
        return [json.loads(line) for line in text.splitlines()]

    def orphans(self) -> float | None:
        """Return the metric, or None where there is none."""
        text = self.machine.sh("grep '^holdfast_zfs_orphaned_snapshots{' /var/lib/prometheus/node-exporter/holdfast_zfs.prom || true")
        return float(text.split()[-1]) if text else None

    @contextmanager
    def broken(self, verb: str, script: str) -> Iterator[None]:
        """Have the engine run a shell script before a verb of zfs, or instead if it exits."""
        self.machine.write("/usr/local/sbin/zfs", f'#!/bin/sh\n[ "$1" != {verb} ] || {{ {script}; }}\nexec /usr/sbin/zfs "$@"\n')
        self.machine.sh("chmod 755 /usr/local/sbin/zfs")
        try:
            yield
        finally:
            self.machine.sh("rm /usr/local/sbin/zfs")

    def nothing_left(self, before: set[str]) -> None:
        """Check that no ZFS snapshot of a run is there, mounted or remembered, and that every other one still is."""
        assert self.snapshots() == before
        assert self.mounted_snapshots() == []
        assert self.records() == []
        assert self.orphans() == 0
