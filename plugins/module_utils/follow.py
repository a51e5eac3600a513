# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starting the unit of a job or repository and following it: what it says, its progress, its exit status."""

from __future__ import annotations

import os
import sys
import time

from . import locks, log, names
from .environment import base_environment
from .errors import EXIT_BUSY, EXIT_COMPLETE, EXIT_FAILED, EXIT_PARTIAL, EXIT_USAGE
from .terminal import ProgressLine, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Callable

_SEVERITY = (EXIT_COMPLETE, EXIT_PARTIAL, EXIT_BUSY, EXIT_USAGE, EXIT_FAILED)
_ATTEMPTS = 20
# Seconds: a start that took longer was a run, even if its run log could not be written.
_MERGED = 0.5
_LOOK = 0.005
# TimeoutStopSec= of the units, and a little more.
_STOPPING = 190.0
_SYSTEMCTL = "/usr/bin/systemctl"
_SILENT = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]


def backup(jobs: Sequence[str], as_json: bool) -> int:
    """Run jobs one after the other and give the worst exit status."""
    return _follow_all(jobs, names.backup_unit, names.job_lock, job_result, as_json)


def forget(repositories: Sequence[str], as_json: bool) -> int:
    """Thin and prune repositories one after the other and give the worst exit status."""
    return _follow_all(repositories, names.forget_unit, names.forget_lock, _forget_result, as_json)


def job_result(job: str) -> dict[str, Any]:
    """How a job's last run ended in each repository."""
    from . import state
    from .records import plain

    known = state.read_job(job)
    names = known.expected.repositories if known.expected else ()
    outcomes = {name: known.outcomes[name] for name in names if name in known.outcomes}
    result = state.worst([outcome.result for outcome in outcomes.values()])
    return {"job": job, "result": result, "repositories": plain(outcomes)}


def _forget_result(repository: str) -> dict[str, Any]:
    from . import state

    known = state.read_repository(repository)._asdict()
    return {"repository": repository, **{key: value for key, value in known.items() if key.startswith("forget_")}}


def _follow_all(
    names: Sequence[str],
    unit_of: Callable[[str], str],
    lock_of: Callable[[str], str],
    result_of: Callable[[str], dict[str, Any]],
    as_json: bool,
) -> int:
    worst = EXIT_COMPLETE
    results = []
    for name in names:
        holder = locks.holder(lock_of(name))
        if holder is not None:
            log.error(f"{name}: {locks.busy_text(holder)}")
            status = EXIT_BUSY
        else:
            status = follow(unit_of(name), name, lock_of(name))
        worst = max(worst, status, key=lambda found: _SEVERITY.index(found) if found in _SEVERITY else len(_SEVERITY))
        if as_json:
            results.append({**result_of(name), "exit_status": status})
    if as_json:
        import json

        say(json.dumps(results))
    return worst


def follow(unit: str, name: str, lock: str) -> int:
    """Start a unit, show what it says and how far it is until it ends, and give its main process's exit status.

    While systemd still tears down an earlier run, a start is merged into that run's and nothing new begins: then start again.
    """
    began = time.time()
    for _attempt in range(_ATTEMPTS):
        tail = _Tail(names.run_log(lock))
        started = time.monotonic()
        status = _start_and_show(unit, name, lock, tail)
        if status != 0 or tail.seen or time.monotonic() - started > _MERGED:
            break
    if not status:
        _wait_for_release(lock)
        return EXIT_COMPLETE
    if not tail.seen:
        _show_journal(unit, began)
    from . import systemd

    found = systemd.exit_status(unit)
    return found if found in _SEVERITY else EXIT_FAILED


def _start_and_show(unit: str, name: str, lock: str, tail: _Tail) -> int | None:
    """The exit status of systemctl, or None where the run settled before the unit was torn down."""
    starter = os.posix_spawn(_SYSTEMCTL, ["systemctl", "--quiet", "start", unit], base_environment(), file_actions=_SILENT)
    try:
        with ProgressLine(name) as line:
            status = _show_until_end(starter, tail, unit, line)
            if status:
                _show_rest(tail, lock)
    except KeyboardInterrupt:
        log.warning(f"{name} goes on without you. Follow it with: journalctl -fu {unit}; end it with: systemctl stop {unit}")
        raise
    finally:
        tail.close()
    return status


class _Tail:
    """Reads the run log of the next run from when it appears."""

    def __init__(self, path: str) -> None:
        log.remove(path)
        self._path = path
        self._handle: int | None = None
        self.seen = False
        self.settled = False

    def read(self) -> str:
        """What came since the last look."""
        if self._handle is None:
            try:
                self._handle = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return ""
        data = os.read(self._handle, 1 << 20)
        self.seen = self.seen or bool(data)
        self.settled = self.settled or log.SETTLED in data
        return data.replace(log.SETTLED, b"").decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)


def _show_until_end(starter: int, tail: _Tail, unit: str, line: ProgressLine) -> int | None:
    """The exit status of systemctl, or None where the run settled before the unit was torn down."""
    next_look = time.monotonic() + 1.0
    while True:
        ended, waited = os.waitpid(starter, os.WNOHANG)
        text = tail.read()
        if text:
            line.clear()
            sys.stderr.write(text)
            sys.stderr.flush()
        if ended:
            return os.waitstatus_to_exitcode(waited)
        if tail.settled:
            return None
        if line.live and time.monotonic() >= next_look:
            next_look = time.monotonic() + 1.0
            line.text(_status_text(unit))
        time.sleep(_LOOK)


def _show_rest(tail: _Tail, lock: str) -> None:
    """What a run that was stopped still says while it ends; systemctl does not wait for it."""
    until = time.monotonic() + _STOPPING
    while locks.holder(lock) is not None and time.monotonic() < until:
        time.sleep(_LOOK)
    sys.stderr.write(tail.read())
    sys.stderr.flush()


def _wait_for_release(lock: str) -> None:
    """The next run must not find the lock of one that is done."""
    until = time.monotonic() + 1.0
    while locks.holder(lock) is not None and time.monotonic() < until:
        time.sleep(_LOOK)


def _status_text(unit: str) -> str:
    from . import systemd

    return systemd.properties([unit], ["StatusText"])[0].get("StatusText", "")


def _show_journal(unit: str, began: float) -> None:
    """What systemd says of a unit whose program never began."""
    import subprocess

    argv = ["journalctl", "--no-pager", "--output=cat", f"--unit={unit}", f"--since=@{began:.6f}"]
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, env=base_environment())
