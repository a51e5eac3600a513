"""Runs inside a test host: measures commands there and prints the figures as JSON."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

FILES = 20_000
ROUNDS = 41
TREE = Path("/srv/bench")
JOB = "service-bench"
HISTORY = Path(f"/var/lib/holdfast/history/{JOB}.jsonl")
PASSWORD_FILE = "/etc/holdfast/secrets/local.password"
CAPABILITY = "-all,+dac_read_search"
# What the engine runs, written out by hand: the same user, cache, options and paths.
RESTIC = [
    "setpriv", "--reuid=holdfast", "--regid=holdfast", "--init-groups", f"--inh-caps={CAPABILITY}", f"--ambient-caps={CAPABILITY}", "--",
    "env", "RESTIC_REPOSITORY=/srv/repository", f"RESTIC_PASSWORD_FILE={PASSWORD_FILE}", "RESTIC_CACHE_DIR=/var/cache/holdfast/restic",
    "TMPDIR=/var/cache/holdfast/tmp", "RESTIC_FEATURES=device-id-for-hardlinks",
    "restic", "backup", "--json", "--host=bench", f"--tag=holdfast-job={JOB}", "--tag=bench", "--group-by=host,tags", str(TREE),
]  # fmt: skip
HOLDFAST = ["holdfast", "backup", JOB]


def make_tree() -> None:
    """Write small files into a hundred directories."""
    for number in range(FILES):
        directory = TREE / f"d{number % 100}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"f{number}").write_bytes(os.urandom(1024))


def change_one_percent() -> None:
    """Rewrite every hundredth file."""
    for number in range(0, FILES, 100):
        (TREE / f"d{number % 100}" / f"f{number}").write_bytes(os.urandom(1024))


def seconds(argv: list[str]) -> float:
    """How long a command takes; it must succeed."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return time.perf_counter() - began


def in_restic() -> float:
    """How long restic took in the engine's last run."""
    return float(json.loads(HISTORY.read_text(encoding="utf-8").splitlines()[-1])["repositories"]["local"]["duration"])


def compare(changing: bool) -> dict[str, float]:
    """restic by hand and the engine in turn, after a warm-up of both: the median of each, and of what the engine took more in a round.

    restic's own time differs by a tenth of a second from run to run, hence so many rounds, and the time that a run takes outside restic.
    """
    by_hand: list[float] = []
    engine: list[float] = []
    outside: list[float] = []
    for number in range(ROUNDS + 1):
        for argv, found in ((RESTIC, by_hand), (HOLDFAST, engine)):
            if changing:
                change_one_percent()
            took = seconds(argv)
            # systemd still tears the unit down when the command is done, which would slow the next one.
            time.sleep(0.2)
            if number:
                found.append(took)
        if number:
            outside.append(engine[-1] - in_restic())
    more = [after - before for before, after in zip(by_hand, engine)]
    return {
        "restic": statistics.median(by_hand),
        "holdfast": statistics.median(engine),
        "more": statistics.median(more),
        "outside": statistics.median(outside),
    }


def value_of(status: str, name: str) -> int:
    """A number in /proc/PID/status (proc(5))."""
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")), 0)


class MemoryWatch(threading.Thread):
    """The most resident memory that our processes had at once while restic was there, restic apart."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.restics: set[int] = set()
        self.done = False

    def run(self) -> None:
        """Look a hundred times a second."""
        while not self.done:
            self._look()
            time.sleep(0.01)

    def _look(self) -> None:
        ours: dict[int, tuple[int, int]] = {}
        restics = set()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                status = (path / "status").read_text(encoding="utf-8")
                command = (path / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if command[0] == b"restic" and b"backup" in command:
                restics.add(int(path.name))
            elif b"/usr/local/bin/holdfast" in command:
                ours[int(path.name)] = (value_of(status, "PPid"), value_of(status, "VmRSS"))
        self.restics |= restics
        if restics:
            # A child of ours that is about to become another program still looks like its parent, and shares its memory.
            self.peak = max(self.peak, sum(size for parent, size in ours.values() if parent not in ours))


def memory() -> dict[str, float]:
    """Peak MiB of command and engine together, and how many restic backup processes were seen."""
    watch = MemoryWatch()
    watch.start()
    seconds(HOLDFAST)
    watch.done = True
    watch.join()
    return {"mebibytes": watch.peak / 1024, "restics": float(len(watch.restics))}


def status() -> dict[str, float]:
    """How long the status of all jobs takes."""
    seconds(["holdfast", "status", "--json"])
    return {"seconds": statistics.median(seconds(["holdfast", "status", "--json"]) for _ in range(7))}


def main() -> None:
    """Print the figures that the arguments ask for."""
    found: dict[str, dict[str, float]] = {}
    for name in sys.argv[1:]:
        if name == "tree":
            make_tree()
            seconds(HOLDFAST)
        elif name == "unchanged":
            found[name] = compare(changing=False)
        elif name == "changed":
            found[name] = compare(changing=True)
        elif name == "memory":
            found[name] = memory()
        elif name == "status":
            found[name] = status()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
