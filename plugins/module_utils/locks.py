# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run at a time for each job and repository; a lock ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import time

from . import names
from .errors import BusyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INSTANT = 0.02


class held:
    """Hold a lock.

    Args:
        name: as ``names`` gives it for a job or a repository.
        purpose: what it is held for, told to whoever finds it held.

    Raises:
        BusyError: on entering, where somebody else holds it; the text says who, and since when.
    """

    def __init__(self, name: str, purpose: str) -> None:
        self._name = name
        self._purpose = purpose
        self._handle = -1

    def __enter__(self) -> None:
        os.makedirs(names.RUNTIME, mode=0o755, exist_ok=True)
        self._handle = os.open(names.lock_file(self._name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not _take(self._handle):
                raise BusyError(busy_text(_read(self._handle)))
            _write(self._handle, self._purpose)
        except BaseException:
            os.close(self._handle)
            raise

    def __exit__(self, *_raised: object) -> None:
        os.close(self._handle)


def _take(handle: int) -> bool:
    """Take a lock; a second try outlasts the instant in which ``holder`` looks."""
    if _try(handle):
        return True
    time.sleep(_INSTANT)
    return _try(handle)


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(name: str) -> dict[str, Any] | None:
    """Who holds a lock: pid, since (Unix time), purpose; None where nobody does."""
    try:
        handle = os.open(names.lock_file(name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read(handle)
    finally:
        os.close(handle)


def busy_text(found: dict[str, Any]) -> str:
    """Who holds a lock, as a sentence."""
    if not found:
        return "Busy: another run has just begun."
    from .quantities import format_duration, format_time

    age = format_duration(max(0, int(time.time() - found["since"])))
    return f"Busy: {found['purpose']} (process {found['pid']}) holds the lock since {format_time(found['since'])} ({age} ago)."


def _write(handle: int, purpose: str) -> None:
    import json

    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": time.time(), "purpose": purpose}).encode(), 0)


def _read(handle: int) -> dict[str, Any]:
    import json

    try:
        found = json.loads(os.pread(handle, 4096, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
