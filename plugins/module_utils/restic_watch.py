# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When to end a restic that gets nowhere: it retries an unreachable backend for 15 minutes and has no setting for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Callable

from . import process
from .errors import HoldfastError
from .restic_output import RETRYING, Hearing

OPENING_LIMIT = 30.0


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

    def __init__(self, timeout: float, retry_lock: float, hearing: Hearing, locks: Callable[[], Sequence[object]]) -> None:
        self._timeout = timeout
        self._hearing = hearing
        self._locks = locks
        self._began = time.monotonic()
        self._lock_until = self._began + retry_lock + 5.0

    def watch(self, now: float) -> str | None:
        """Why to end it now, or None."""
        hearing = self._hearing
        if not hearing.started and hearing.retrying and now - self._began > OPENING_LIMIT:
            return f"gave up after {OPENING_LIMIT:.0f} s of retries"
        if now - hearing.moved_at <= self._timeout:
            return None
        if not hearing.started and now < self._lock_until and self._waits_for_lock():
            hearing.moved_at = now
            return None
        return f"made no progress for {self._timeout:.0f} s (holdfast_settings.stall_timeout)"

    def _waits_for_lock(self) -> bool:
        """A second restic may look, since the first cannot say in JSON that it waits."""
        try:
            return bool(self._locks())
        except HoldfastError:
            return False
