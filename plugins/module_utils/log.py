# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines for the journal or a terminal, and for whoever follows a run."""

from __future__ import annotations

import os
import sys

_IN_JOURNAL = "JOURNAL_STREAM" in os.environ
_followed: list[int] = []
SETTLED = b"\0"


class followed:
    """Write every line to a new file too, until the end; without it where that cannot be."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> None:
        try:
            remove(self._path)
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError:
            return
        _followed.append(self._handle)

    def __exit__(self, *_raised: object) -> None:
        if self._handle is not None:
            _followed.remove(self._handle)
            os.close(self._handle)


def remove(path: str) -> None:
    """Remove what an earlier run wrote, if it did."""
    # `holdfast backup` waits for all that is imported here, and contextlib would take 3 ms.
    try:  # noqa: SIM105
        os.unlink(path)
    except FileNotFoundError:
        pass


def _say(priority: int, text: str) -> None:
    prefix = f"<{priority}>" if _IN_JOURNAL else ""
    stream = sys.stdout if _IN_JOURNAL else sys.stderr
    for line in text.splitlines() or [""]:
        stream.write(f"{prefix}{line}\n")
        stream.flush()
        for handle in _followed:
            os.write(handle, f"{line}\n".encode(errors="surrogateescape"))


def settled() -> None:
    """Tell whoever follows that the run was complete and all about it is written: it need not wait for the unit to be torn down."""
    for handle in _followed:
        os.write(handle, SETTLED)


def info(text: str) -> None:
    """Something went as it should."""
    _say(6, text)


def warning(text: str) -> None:
    """Something needs a look."""
    _say(4, text)


def error(text: str) -> None:
    """Something failed."""
    _say(3, text)
