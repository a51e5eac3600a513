# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines for the journal or a terminal, and for whoever follows a run."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_JOURNAL = "JOURNAL_STREAM" in os.environ
_followed: list[int] = []
SETTLED = b"\0"


@contextmanager
def followed(path: str) -> Iterator[None]:
    """Write every line to a new file too, until the end; without it where that cannot be."""
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
    except OSError:
        yield
        return
    _followed.append(handle)
    try:
        yield
    finally:
        _followed.remove(handle)
        os.close(handle)


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
