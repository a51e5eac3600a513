"""The commands that a job runs before and after its backup."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast import hooks, process
from holdfast.errors import InterruptedRun, LimitExceeded

if TYPE_CHECKING:
    from holdfast.manifest import Command


def run(*commands: Command, limit: float = 10.0, shielded: bool = False, **environment: str) -> None:
    """Run commands as a job's pre_backup."""
    hooks.run("pre_backup", commands, environment, limit, shielded=shielded)


@pytest.mark.parametrize(
    ("command", "argv"), [("a | b", ["/bin/sh", "-c", "a | b"]), (("a", "| b"), ["a", "| b"]), ("", ["/bin/sh", "-c", ""])]
)
def test_a_text_goes_to_a_shell_and_a_list_does_not(command: Command, argv: list[str]) -> None:
    assert hooks.argv(command) == argv


def test_commands_run_one_after_the_other_with_the_variables_given(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(f"echo $HOLDFAST_JOB > {out}", ("/bin/sh", "-c", f"echo $HOLDFAST_RESULT >> {out}"), HOLDFAST_JOB="a", HOLDFAST_RESULT="partial")
    assert out.read_text() == "a\npartial\n"


def test_the_first_failure_ends_it_and_says_what_was_said_last(tmp_path: Path) -> None:
    with pytest.raises(hooks.HookFailed, match=r"^pre_backup\[1\] failed with exit status 4: the database is down$"):
        run("true", "echo starting; echo the database is down >&2; exit 4", f"touch {tmp_path}/never")
    assert not (tmp_path / "never").exists()


def test_a_killed_command_failed() -> None:
    with pytest.raises(hooks.HookFailed, match=r"^pre_backup\[0\] failed with killed by SIGKILL"):
        run("kill -KILL $$")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with pytest.raises(hooks.HookFailed, match=r"^pre_backup\[0\]: no-such-program: No such file or directory$"):
        run(("no-such-program", "x"))
    with pytest.raises(hooks.HookFailed, match=r"plain: Permission denied$"):
        run((str(tmp_path / "plain"),))


def test_a_command_has_a_time_limit_of_its_own() -> None:
    with pytest.raises(LimitExceeded, match=r"^pre_backup\[1\] .*hook_timeout.*: not done within 1 s$"):
        run("sleep 0.7", "exec sleep 30", limit=1.0)


def test_what_a_command_says_is_told_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    run("echo out; echo err >&2")
    told = capsys.readouterr()
    assert sorted((told.out + told.err).splitlines()) == ["pre_backup[0]: err", "pre_backup[0]: out"]


def test_a_signal_ends_commands_unless_they_are_shielded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "relay", process.SignalRelay())
    process.relay.received = signal.SIGTERM
    began = time.monotonic()
    with pytest.raises(InterruptedRun):
        run("exec sleep 5", f"touch {tmp_path}/never")
    run(f"touch {tmp_path}/shielded", shielded=True)
    assert time.monotonic() - began < 4
    assert os.listdir(tmp_path) == ["shielded"]
