"""Every argument list that was seen on this machine, which also runs the processes of its test hosts."""

from __future__ import annotations

import os
import threading
from types import TracebackType


class ArgvWatch:
    """Looks at all processes again and again for the length of a block."""

    def __init__(self) -> None:
        self.seen: dict[int, set[bytes]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> ArgvWatch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        with open(f"/proc/{name}/cmdline", "rb") as stream:
                            self.seen.setdefault(int(name), set()).add(stream.read())
                    except OSError:
                        continue

    def processes(self, program: str, word: str) -> list[list[str]]:
        """Return the argument lists of a program that have a word among them, one for each process."""
        lists = [line.decode(errors="replace").split("\0") for lines in self.seen.values() for line in lines]
        return [found for found in lists if found[0].rpartition("/")[2] == program and word in found]
