# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When to end a restic that gets nowhere: it retries an unreachable backend for 15 minutes and has no setting for it."""

from __future__ import annotations

import time

from . import process
from .errors import HoldfastError
from .restic_output import RETRYING, Hearing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

OPENING_LIMIT = 30.0
# KiB: packs of 16 MiB, two being read and five being uploaded, rounded up.
_IN_FLIGHT = 128 * 1024


class Opening:
    """Ends a restic that does nothing but retry: it would go on for 15 minutes."""

    def __init__(self, listener: Callable[[str], None] | None, watch: process.Watch | None) -> None:
        self._listener = listener
        self._watch = watch
        self._since: float | None = None
        self.last_error: str | None = None

    def hear(self, line: str) -> None:
        """Take a line of standard error."""
        found = RETRYING.search(line)
        if found:
            self.last_error = found[1]
            self._since = self._since or time.monotonic()
        if self._listener:
            self._listener(line)

    def watch(self, now: float) -> str | None:
        """Why to end it now, or None."""
        if self._watch:
            return self._watch(now)
        if self._since and now - self._since > OPENING_LIMIT:
            return f"gave up after {OPENING_LIMIT:.0f} s of retries"
        return None


class Stall:
    """Ends a run that makes no progress; waiting for a lock is not that."""

    def __init__(self, timeout: float, retry_lock: float, hearing: Hearing, is_locked: Callable[[], bool]) -> None:
        self._timeout = timeout
        self._hearing = hearing
        self._is_locked = is_locked
        self._began = time.monotonic()
        self._lock_until = self._began + retry_lock + 5.0

    def watch(self, now: float) -> str | None:
        """Why to end it now, or None."""
        hearing = self._hearing
        if not hearing.started and hearing.retrying and now - self._began > OPENING_LIMIT:
            return f"gave up after {OPENING_LIMIT:.0f} s of retries"
        if now - hearing.moved_at <= self._timeout:
            return None
        if not hearing.started and not hearing.retrying and now < self._lock_until and self._waits_for_lock():
            hearing.moved_at = now
            return None
        return f"made no progress for {self._timeout:.0f} s (holdfast_settings.stall_timeout)"

    def _waits_for_lock(self) -> bool:
        """A second restic may look, since the first cannot say in JSON that it waits."""
        try:
            return self._is_locked()
        except HoldfastError:
            return False


def patience(stall_timeout: float, limit: int) -> float:
    """Seconds without progress to allow: restic's figures stand still while what is in flight moves at a limited rate.

    Args:
        stall_timeout: seconds at an unlimited rate.
        limit: KiB/s, 0 for unlimited.
    """
    return stall_timeout + (_IN_FLIGHT / limit if limit else 0.0)
