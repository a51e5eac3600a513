"""One run at a time; a lock ends with the process that holds it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import locks
from holdfast.errors import BusyError
from tests.unit.samples import start_engine

HOLD = """
    import sys
    from pathlib import Path
    from holdfast import locks, names
    names.RUNTIME = sys.argv[1]
    with locks.held("job-a", "backup run 42"):
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def other(host: Path) -> Iterator[int]:
    """The number of another process, which holds the lock until it is killed."""
    with start_engine(HOLD, host / "run") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.kill()


def hold() -> None:
    """Take the lock and give it back."""
    with locks.held("job-a", "mine"):
        pass


def test_the_second_holder_is_told_who_and_since_when(other: int) -> None:
    with pytest.raises(BusyError) as caught:
        hold()
    message = str(caught.value)
    assert "backup run 42" in message
    assert f"process {other}" in message
    assert time.strftime("%Y-%m-%d %H:%M") in message or "ago" in message
    assert caught.value.exit_status == 75


def test_a_killed_holder_frees_the_lock(other: int) -> None:
    os.kill(other, 9)
    os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
    hold()


def test_the_holder_can_be_asked_for(other: int) -> None:
    found = locks.holder("job-a")
    assert found is not None
    assert found["pid"] == other
    assert found["purpose"] == "backup run 42"
    assert 0 <= time.time() - found["since"] < 20


@pytest.mark.usefixtures("host")
def test_a_free_lock_has_no_holder() -> None:
    assert locks.holder("job-a") is None
    hold()
    assert locks.holder("job-a") is None


@pytest.mark.usefixtures("host")
def test_a_lock_is_free_again_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), locks.held("job-a", "mine"):
        raise ZeroDivisionError
    hold()


@pytest.mark.usefixtures("host")
def test_locks_of_different_names_do_not_meet() -> None:
    with locks.held("job-a", "mine"):
        with locks.held("job-b", "mine"):
            assert locks.holder("job-a") is not None
        assert locks.holder("job-b") is None


@pytest.mark.usefixtures("host")
def test_a_lock_taken_again_names_its_new_holder_alone() -> None:
    with locks.held("job-a", "a very long purpose " * 10):
        pass
    with locks.held("job-a", "short"):
        found = locks.holder("job-a")
        assert found is not None
        assert found["purpose"] == "short"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
@pytest.mark.usefixtures("other")
def test_a_holder_that_said_nothing_is_still_busy(host: Path, content: bytes) -> None:
    next((host / "run").glob("*.lock")).write_bytes(content)
    assert locks.holder("job-a") is not None
    with pytest.raises(BusyError, match=r"(?i)busy"):
        hold()


@pytest.mark.usefixtures("host")
def test_programs_that_we_start_do_not_inherit_the_lock() -> None:
    with locks.held("job-a", "mine"):
        inherited = [
            os.readlink(path) for path in Path("/proc/self/fd").iterdir() if os.path.lexists(path) and os.get_inheritable(int(path.name))
        ]
    assert not [path for path in inherited if path.endswith(".lock")]
