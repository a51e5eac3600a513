# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starting the unit of a job or repository and following it: progress, journal, exit status."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Callable

from . import layout, locks, log, state, systemd
from .console import ProgressLine
from .errors import EXIT_BUSY, EXIT_COMPLETE, EXIT_FAILED, EXIT_PARTIAL, EXIT_USAGE, ConfigurationError
from .process import base_environment

_SEVERITY = (EXIT_COMPLETE, EXIT_PARTIAL, EXIT_BUSY, EXIT_USAGE, EXIT_FAILED)
_LAST_LINE = re.compile(r": run \S+ ends: |: pruned$|append_only")
_DRAIN = 1.0


def backup(jobs: Sequence[str], as_json: bool) -> int:
    """Run jobs one after the other and give the worst exit status."""
    return _follow_all(jobs, layout.backup_unit, lambda job: job, job_result, as_json)


def forget(repositories: Sequence[str], as_json: bool) -> int:
    """Thin and prune repositories one after the other and give the worst exit status."""
    return _follow_all(repositories, layout.forget_unit, lambda name: f"forget@{name}", _forget_result, as_json)


def job_result(job: str) -> dict[str, Any]:
    """How a job's last run ended in each repository."""
    known = state.read_job(job)
    names = known.expected.repositories if known.expected else ()
    outcomes = {name: known.outcomes[name] for name in names if name in known.outcomes}
    result = state.worst([outcome.result for outcome in outcomes.values()])
    return {"job": job, "result": result, "repositories": {name: asdict(outcome) for name, outcome in outcomes.items()}}


def _forget_result(repository: str) -> dict[str, Any]:
    known = state.read_repository(repository)
    return {"repository": repository, **{key: value for key, value in vars(known).items() if key.startswith("forget_")}}


def _follow_all(
    names: Sequence[str],
    unit_of: Callable[[str], str],
    lock_of: Callable[[str], str],
    result_of: Callable[[str], dict[str, Any]],
    as_json: bool,
) -> int:
    if os.geteuid() != 0:
        raise ConfigurationError("Starting a unit needs root: run this with sudo.")
    worst = EXIT_COMPLETE
    results = []
    for name in names:
        holder = locks.holder(lock_of(name))
        if holder is not None:
            log.error(locks.busy_text(name, holder))
            status = EXIT_BUSY
        else:
            status = follow(unit_of(name), name)
        worst = max(worst, status, key=lambda found: _SEVERITY.index(found) if found in _SEVERITY else len(_SEVERITY))
        results.append({**result_of(name), "exit_status": status})
    if as_json:
        print(json.dumps(results))
    return worst


def follow(unit: str, name: str) -> int:
    """Start a unit, show its journal and progress until it ends, and give its main process's exit status."""
    began = time.time()
    starter = _spawn(["systemctl", "start", unit])
    journal = _spawn(["journalctl", "--follow", "--no-tail", "--output=cat", f"--unit={unit}", f"--since=@{began:.6f}"])
    try:
        with ProgressLine(name) as line:
            _show_until_end(starter, journal, unit, line)
    except KeyboardInterrupt:
        log.warning(f"{name} goes on without you. Follow it with: journalctl -fu {unit}; end it with: systemctl stop {unit}")
        raise
    finally:
        for child in (starter, journal):
            child.terminate()
            child.wait()
            if child.stdout:
                child.stdout.close()
    return EXIT_COMPLETE if starter.returncode == 0 else systemd.exit_status(unit)


def _spawn(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=base_environment())


def _show_until_end(starter: subprocess.Popen[bytes], journal: subprocess.Popen[bytes], unit: str, line: ProgressLine) -> None:
    """Print the journal as it comes; once the start has ended, until its last line or for one second more."""
    assert starter.stdout is not None
    assert journal.stdout is not None
    rest = b""
    ended: float | None = None
    finished = False
    next_look = time.monotonic() + 1.0
    with selectors.DefaultSelector() as selector:
        selector.register(starter.stdout, selectors.EVENT_READ)
        selector.register(journal.stdout, selectors.EVENT_READ)
        while ended is None or (not finished and time.monotonic() - ended < _DRAIN):
            for key, _events in selector.select(0.1):
                data = os.read(key.fd, 65536)
                if key.fileobj is starter.stdout:
                    if not data:
                        selector.unregister(starter.stdout)
                        starter.wait()
                        ended = time.monotonic()
                elif not data:
                    return
                else:
                    *lines, rest = (rest + data).split(b"\n")
                    line.clear()
                    for text in (found.decode("utf-8", "replace") for found in lines):
                        print(text, file=sys.stderr)
                        finished = finished or bool(_LAST_LINE.search(text))
            if sys.stderr.isatty() and ended is None and time.monotonic() >= next_look:
                next_look = time.monotonic() + 1.0
                line.text(systemd.properties([unit], ["StatusText"])[0].get("StatusText", ""))
