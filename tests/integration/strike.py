"""Runs on a test host, `strike.py PHASE VICTIM UNIT`: wait until a run is in a phase, and kill a part of it, all of it, or nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

PHASES: dict[str, Callable[[list[str]], bool]] = {
    "hook": lambda words: words[:2] == ["sh", "/var/lib/hooked/frozen"],
    "mounting": lambda words: "within" in words and "/usr/local/bin/holdfast" in words,
    "uploading": lambda words: words[:2] == ["restic", "backup"],
    "destroying": lambda words: words[1:3] == ["/usr/local/sbin/zfs", "destroy"],
}


def processes(unit: str) -> Iterator[tuple[int, list[str]]]:
    """Every process of a unit with its arguments."""
    try:
        with open(f"/sys/fs/cgroup/holdfast.slice/{unit}/cgroup.procs", encoding="ascii") as file:
            numbers = [int(line) for line in file]
    except OSError:
        return
    for number in numbers:
        with suppress(OSError), open(f"/proc/{number}/cmdline", encoding="utf-8", errors="replace") as file:
            yield number, file.read().split("\0")


def main() -> None:
    """Strike once, or fail after a minute."""
    phase, victim, unit = sys.argv[1:]
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = [number for number, words in processes(unit) if PHASES[phase](words)]
        if found:
            break
        time.sleep(0.002)
    else:
        sys.exit(f"no run came to {phase}")
    if victim == "nobody":
        return
    if victim == "unit":
        subprocess.run(["systemctl", "kill", "--signal=KILL", "--kill-whom=all", unit], check=True)
        return
    if victim == "engine":
        shown = subprocess.run(["systemctl", "show", "--property=MainPID", "--value", unit], check=True, capture_output=True, text=True)
        found = [int(shown.stdout)]
    os.kill(found[0], signal.SIGKILL)


if __name__ == "__main__":
    main()
