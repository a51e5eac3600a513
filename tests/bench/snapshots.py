"""What ZFS snapshots add to a run, on the emulated machine, where everything takes about ten times as long."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests import hosts, machines
from tests.setup.machine import PATH

ROOT = Path(__file__).resolve().parents[2]
NAME = "holdfast-bench-zfs"
PORT = 19900
ROUNDS = 5
POOL = """
set -e
mkdir -p /var/pools && truncate --size=1G /var/pools/tank && zpool create tank /var/pools/tank
zfs create tank/one && zfs create tank/fifty
for number in $(seq 49); do zfs create tank/fifty/d$number; done
for directory in /tank/one /tank/fifty /tank/fifty/*; do echo file > $directory/file; done
"""


def _inventory() -> dict[str, Any]:
    services: dict[str, dict[str, Any]] = {}
    for name in ("one", "fifty"):
        services[f"{name}-live"] = {"paths": [f"/tank/{name}"], "resources": {"cpus": 2}}
        services[f"{name}-frozen"] = {"use_snapshots": True, "zfs_dataset": f"tank/{name}", "resources": {"cpus": 2}}
    return {
        "holdfast": {
            "hosts": {
                "bench": {
                    "ansible_connection": "ssh",
                    "ansible_host": "127.0.0.1",
                    "ansible_port": PORT,
                    "ansible_user": "root",
                    "ansible_python_interpreter": "/usr/bin/python3",
                    "ansible_ssh_private_key_file": f"{PATH}/key",
                    "ansible_ssh_common_args": " ".join(machines.SSH_OPTIONS),
                }
            },
            "vars": {
                "holdfast_repositories": {"local": {"url": "/srv/repository", "password": "bench", "primary": True}},
                "holdfast_services": services,
            },
        }
    }


def _converge() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(_inventory(), file)
        file.flush()
        argv = ["ansible-playbook", "--inventory", file.name, str(ROOT / "playbooks/site.yml")]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def added() -> dict[str, tuple[float, float]]:
    """Seconds that a run takes from live files, and how many more from ZFS snapshots, by the number of datasets."""
    machine = machines.start(NAME, PORT)
    try:
        subprocess.run(machine.command(["sh", "-c", POOL]), check=True)
        _converge()
        return {name: _compared(machine, name) for name in ("one", "fifty")}
    finally:
        hosts.stop(NAME)


def _compared(machine: machines.VirtualMachine, name: str) -> tuple[float, float]:
    live: list[float] = []
    more: list[float] = []
    for number in range(ROUNDS + 1):
        took = [_seconds(machine, f"{name}-{kind}") for kind in ("live", "frozen")]
        if number:
            live.append(took[0])
            more.append(took[1] - took[0])
    return statistics.median(live), statistics.median(more)


def _seconds(machine: machines.VirtualMachine, service: str) -> float:
    began = time.perf_counter()
    subprocess.run(machine.command(["holdfast", "backup", service]), check=True, capture_output=True)
    return time.perf_counter() - began
