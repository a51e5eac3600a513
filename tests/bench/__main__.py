"""Measure everything on one disposable host and print each figure beside its bound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import hosts
from tests.bench import snapshots

ROOT = Path(__file__).parents[2]
NAME = "holdfast-bench"
SERVICES = (1, 50, 200)
# Mounts of a container that an installed machine does not have; systemd goes through all of them, several times, to confine a unit.
CONTAINER_MOUNTS = (
    *(f"/proc/{name}" for name in ("acpi", "bus", "fs", "irq", "keys", "timer_list")),
    *(f"/sys/{name}" for name in ("dev/block", "firmware")),
    *(f"/sys/fs/cgroup/{name}" for name in ("blkio", "cpuset", "devices", "freezer", "hugetlb", "net_cls,net_prio", "perf_event", "pids")),
)


@dataclass(frozen=True)
class Figure:
    """A figure and the most that it may be."""

    name: str
    value: float
    bound: float
    unit: str
    detail: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is within its bound."""
        return self.value <= self.bound

    def line(self) -> str:
        """One row of the table."""
        verdict = "ok" if self.kept else "OVER"
        return f"{self.name:<52} {self.value:>9.3f} {self.unit:<5} (at most {self.bound:g})  {verdict:<4}  {self.detail}"


def inventory(services: int) -> dict[str, Any]:
    """An inventory of the host with some services; the first has as many processors as the machine, so that no limit is measured."""
    first = {"bench": {"paths": ["/srv/bench"], "resources": {"cpus": os.cpu_count() or 1, "memory": "2G"}}}
    others = {f"app{number}": {"paths": ["/etc"], "tags": ["app"]} for number in range(services - 1)}
    return {
        "holdfast": {
            "hosts": {
                "bench": {
                    "ansible_host": NAME,
                    "ansible_user": "root",
                    "ansible_connection": "test_host",
                    "ansible_python_interpreter": "/usr/bin/python3",
                }
            },
            "vars": {
                "holdfast_repositories": {"local": {"url": "/srv/repository", "password": "bench", "primary": True}},
                "holdfast_services": {**first, **others},
            },
        }
    }


def converge(services: int) -> tuple[float, int]:
    """Run site.yml and give the seconds that it took and its number of tasks."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(inventory(services), file)
        file.flush()
        began = time.perf_counter()
        argv = ["ansible-playbook", "--inventory", file.name, str(ROOT / "playbooks/site.yml")]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"site.yml failed:\n{done.stdout[-4000:]}")
    return time.perf_counter() - began, sum(line.startswith("TASK [") for line in done.stdout.splitlines())


def inside(host: hosts.Host, *names: str) -> dict[str, dict[str, float]]:
    """Figures that are taken on the host itself."""
    done = host.run(["python3", "/root/inside.py", *names], timeout=900)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def unmount_what_only_containers_have(host: hosts.Host) -> None:
    """Have systemd go through no more mounts than on an installed machine."""
    mounted = {line.split()[4] for line in host.run(["cat", "/proc/self/mountinfo"]).stdout.splitlines()}
    host.run(["umount", *(path for path in CONTAINER_MOUNTS if path in mounted)])


def backups(host: hosts.Host) -> list[Figure]:
    """What a run costs over restic itself."""
    found = inside(host, "tree", "unchanged", "changed", "memory")
    figures = []
    for name, title in (("unchanged", "20,000 files, nothing changed"), ("changed", "20,000 files, 1% changed")):
        restic, holdfast = found[name]["restic"], found[name]["holdfast"]
        outside = found[name]["outside"]
        detail = f"restic {restic:.3f} s, holdfast {holdfast:.3f} s, ratio {holdfast / restic:.2f}; {outside:.3f} s of it outside restic"
        figures.append(Figure(f"backup, {title}: time over restic", found[name]["more"], 0.15, "s", detail))
    figures.append(Figure("backup: memory beside restic's", found["memory"]["mebibytes"], 40, "MiB"))
    figures.append(Figure("backup: restic processes for one repository", found["memory"]["restics"], 1, ""))
    return figures


def playbook() -> list[Figure]:
    """How site.yml grows with the number of services."""
    taken = {}
    for services in SERVICES:
        converge(services)
        taken[services] = converge(services)
    (least, least_tasks), (most, most_tasks) = taken[SERVICES[0]], taken[SERVICES[-1]]
    detail = ", ".join(f"{services}: {took:.1f} s" for services, (took, _tasks) in taken.items())
    return [
        Figure("site.yml: tasks more for 200 services than for 1", most_tasks - least_tasks, 0, "", f"{most_tasks} tasks"),
        Figure("site.yml, second run: 200 services against 1", most / least, 1.5, "times", detail),
    ]


def status(host: hosts.Host) -> list[Figure]:
    """How long the status of a thousand jobs takes."""
    converge(1000)
    return [Figure("holdfast status with 1,000 jobs", inside(host, "status")["status"]["seconds"], 0.3, "s")]


def frozen() -> list[str]:
    """What ZFS snapshots add to a run; nothing bounds it, and the machine is emulated."""
    return [
        f"backup from ZFS snapshots, {name} dataset{'s' * (name != 'one')}: {more:+.1f} s over {live:.1f} s from live files (emulated)"
        for name, (live, more) in snapshots.added().items()
    ]


def main() -> int:
    """Print a table; 1 if a bound was not kept."""
    host = hosts.start("trixie", NAME)
    try:
        host.copy_in(Path(__file__).with_name("inside.py"), "/root/inside.py")
        host.run(["mkdir", "-p", "/srv/bench"])
        unmount_what_only_containers_have(host)
        converge(1)
        figures = [*backups(host), *playbook(), *status(host)]
    finally:
        hosts.stop(NAME)
    for figure in figures:
        print(figure.line())
    print("\n".join(frozen()))
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
