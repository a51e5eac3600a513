"""Stale locks told from live ones."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import forget
from holdfast.restic_records import Lock
from holdfast.state import FAILED
from tests.unit.samples import NAS, make_manifest, start_engine

# A proc file system of its own is new: nobody has looked at the process in it before.
FIRST_LOOK = """
    import ctypes, subprocess, time
    from holdfast import forget
    from holdfast.restic_records import Lock
    process = subprocess.Popen(["sleep", "60"])
    began = time.time()
    time.sleep(2.6)
    CLONE_NEWNS = 0x20000
    assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    print(forget.is_alive(Lock("id", "host", "root", process.pid, began, False)))
    process.kill()
"""


def lock(pid: int, age: float = 0.0) -> Lock:
    """A lock of this host."""
    return Lock("0123", socket.gethostname(), "root", pid, time.time() - age, exclusive=True)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_that_runs_is_alive(sleeper: subprocess.Popen[bytes]) -> None:
    assert forget.is_alive(lock(sleeper.pid))
    assert forget.is_alive(lock(1))


def test_a_process_that_ended_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    assert not forget.is_alive(lock(sleeper.pid))


def test_a_younger_process_of_the_same_number_is_not_it(sleeper: subprocess.Popen[bytes]) -> None:
    assert not forget.is_alive(lock(sleeper.pid, age=60))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_process_is_as_old_as_it_is_whoever_looked_at_it_first() -> None:
    with start_engine(FIRST_LOOK) as process:
        out, err = process.communicate(timeout=20)
    assert out == "True\n", err


@pytest.mark.parametrize(
    ("locks", "text"),
    [
        ([], "a lock came and went"),
        ([Lock("1", "forge", "root", 7, 0.0, False)], "locked by root on forge (process 7)"),
        (
            [Lock("1", "forge", "root", 7, 0.0, False), Lock("2", "b", "u", 8, 0.0, True)],
            "locked by root on forge (process 7), u on b (process 8)",
        ),
    ],
)
def test_holders_of_locks_are_named(locks: list[Lock], text: str) -> None:
    assert forget.describe(locks) == text


def test_the_exit_status_tells_a_failed_forget() -> None:
    assert forget.Report("nas").exit_status == 0
    assert forget.Report("nas", result=FAILED).exit_status == 1


@pytest.mark.parametrize("known", [None, "", "{"], ids=["unknown", "empty", "damaged"])
def test_a_forget_that_fails_is_told_by_its_metric_whatever_the_state(host: Path, known: str | None) -> None:
    if known is not None:
        (host / "repositories").mkdir()
        (host / "repositories/nas.json").write_text(known)
    manifest = make_manifest(repositories=(NAS._replace(url=str(host / "gone")),), textfile_directory=str(host))
    report = forget.run(manifest, manifest.repositories["nas"])
    assert report.result == FAILED
    assert 'restic_forget_status{hostname="forge",repository="nas"} 0.0' in (host / "holdfast_forget_nas.prom").read_text()
