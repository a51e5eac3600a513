"""Running other programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast import process
from holdfast.errors import InterruptedRun, LimitExceeded
from tests.unit.samples import SECRET, start_engine

RELAYING = """
    import sys
    from holdfast import process
    process.relay.install()
    done = process.run(
        ["/bin/sh", "-c", sys.argv[1]], doing="x", limit=10.0, shielded=sys.argv[2] == "shielded",
        on_stdout=lambda line: print(line, flush=True),
    )
    print("status", done.status)
    try:
        process.relay.check()
    except Exception as error:
        print(type(error).__name__, error)
"""
SAYS_TERM = "trap 'echo got TERM; exit 5' TERM; echo ready; for i in 1 2 3 4 5 6; do sleep 0.1; done; echo finished"
COUNTS = "import sys; sys.stdout.write('o' * {0}); sys.stdout.flush(); sys.stderr.write('e' * {0})"


def shell(script: str, limit: float = 10.0, **options: object) -> process.Completed:
    """Run a text by a shell."""
    return process.run(["/bin/sh", "-c", script], doing="a test", limit=limit, **options)  # type: ignore[arg-type]


def is_gone(pid: int) -> bool:
    """Whether a process ended, waiting for it a little."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


def test_outputs_and_status_are_given_back() -> None:
    assert shell("echo out; echo err >&2; exit 3") == process.Completed(3, "out\n", "err\n")


def test_a_signal_is_a_negative_status() -> None:
    done = shell("kill -KILL $$")
    assert done.status == -signal.SIGKILL
    assert process.describe_status(done.status) == "killed by SIGKILL"
    assert process.describe_status(3) == "exit status 3"


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo first >&2; echo last >&2; echo >&2; echo out; exit 1", "last"), ("echo only out; exit 1", "only out"),
        ("exit 7", "exit status 7"), ("kill -TERM $$", "killed by SIGTERM"),
    ],
)  # fmt: skip
def test_a_complaint_is_the_last_thing_said(script: str, complaint: str) -> None:
    assert shell(script).complaint == complaint


def test_arguments_are_passed_as_they_are() -> None:
    words = ["a b", "$HOME", "; echo", "*", "é", ""]
    done = process.run([sys.executable, "-c", "import sys; print(sys.argv[1:])", *words], doing="x", limit=5.0)
    assert done.stdout == f"{words}\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        process.run(["no-such-program"], doing="x", limit=5.0)


def test_a_limit_says_which_and_what_was_being_done() -> None:
    began = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"^a test: not done within 1 s$") as caught:
        shell("exec sleep 30", limit=1.0)
    assert 0.9 < time.monotonic() - began < 5
    assert caught.value.exit_code == 124


def test_a_program_that_runs_silently_on_is_limited_too() -> None:
    began = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"^a test: not done within"):
        shell("exec >/dev/null 2>&1; sleep 8", limit=0.3)
    assert time.monotonic() - began < 4


def test_a_program_that_ignores_being_told_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PATIENCE", 0.2)
    pids: list[str] = []
    with pytest.raises(LimitExceeded):
        shell("trap '' TERM; echo $$; while :; do sleep 0.1; done", limit=0.2, on_stdout=pids.append)
    assert is_gone(int(pids[0]))


@pytest.mark.parametrize("script", ["sleep 60 & echo $!; wait", "trap '' TERM; sleep 60 & echo $!; trap - TERM; wait"])
def test_what_a_program_started_ends_with_it(script: str) -> None:
    pids: list[str] = []
    with pytest.raises(LimitExceeded):
        shell(script, limit=0.2, on_stdout=pids.append)
    assert is_gone(int(pids[0]))


def test_a_failing_listener_ends_the_program() -> None:
    pids: list[int] = []

    def listen(line: str) -> None:
        pids.append(int(line))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shell("sleep 60 & echo $!; wait", on_stdout=listen)
    assert is_gone(pids[0])


def test_a_watch_ends_a_program_for_its_reason() -> None:
    with pytest.raises(LimitExceeded, match=r"^a test: made no progress$"):
        shell("exec sleep 30", watch=lambda _now: "made no progress")


def test_a_watch_is_asked_about_once_a_second() -> None:
    asked: list[float] = []

    def watch(now: float) -> None:
        asked.append(now)

    shell("sleep 1.2", watch=watch)
    assert 2 <= len(asked) <= 8
    assert abs(asked[-1] - time.monotonic()) < 2


def test_lines_come_while_the_program_still_runs() -> None:
    heard: list[tuple[str, float]] = []
    shell("echo first; sleep 0.6; echo second", on_stdout=lambda line: heard.append((line, time.monotonic())))
    assert [line for line, _when in heard] == ["first", "second"]
    assert heard[1][1] - heard[0][1] > 0.4


def test_lines_of_both_outputs_are_kept_apart_and_the_last_needs_no_end() -> None:
    out: list[str] = []
    err: list[str] = []
    shell("printf 'a\\n\\nb'; printf 'c\\nd\\n' >&2", on_stdout=out.append, on_stderr=err.append)
    assert (out, err) == (["a", "", "b"], ["c", "d"])


def test_bytes_that_are_no_text_survive() -> None:
    lines: list[str] = []
    done = shell("printf 'caf\\351\\n'", on_stdout=lines.append)
    assert os.fsencode(lines[0]) == b"caf\xe9"
    assert os.fsencode(done.stdout) == b"caf\xe9\n"


def test_a_letter_cut_in_two_by_the_pipe_is_put_together() -> None:
    lines: list[str] = []
    shell("printf '\\303'; sleep 0.2; printf '\\251\\n'", on_stdout=lines.append)
    assert lines == ["é"]


@pytest.mark.parametrize("keep", [True, False])
def test_large_outputs_on_both_pipes_do_not_stop_it(keep: bool) -> None:
    size = 3_000_000
    done = process.run([sys.executable, "-c", COUNTS.format(size)], doing="x", limit=20.0, keep_output=keep)
    assert done.status == 0
    assert (len(done.stdout) == size) == keep
    assert 0 < len(done.stderr) < size


def test_the_end_of_a_large_output_is_what_is_kept() -> None:
    assert shell("seq 1 100000").stdout.endswith("99999\n100000\n")


def test_secrets_of_this_process_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESTIC_PASSWORD", "AWS_SECRET_ACCESS_KEY", "NOTIFY_SOCKET", "LD_PRELOAD_X", "PYTHONPATH", "LANG"):
        monkeypatch.setenv(name, SECRET)
    done = process.run(["/usr/bin/env"], doing="x", limit=5.0, environment={"OWN": "given"})
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert SECRET not in done.stdout
    assert found["OWN"] == "given"
    assert found["LC_ALL"] == "C"
    assert set(found) <= {"OWN", "LC_ALL", "PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}


def test_a_program_reads_nothing_of_our_input() -> None:
    code = "from holdfast import process; print([process.run(['cat'], doing='x', limit=5.0).stdout])"
    with start_engine(code) as run:
        assert run.communicate("meant for us\n", timeout=20)[0] == "['']\n"


def relaying(script: str, shielded: bool, number: signal.Signals = signal.SIGTERM) -> list[str]:
    """What a run says that gets a signal once its program is ready."""
    with start_engine(RELAYING, script, "shielded" if shielded else "open") as run:
        assert run.stdout is not None
        said = [run.stdout.readline().strip()]
        run.send_signal(number)
        said += run.stdout.read().splitlines()
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_program_and_is_remembered(number: signal.Signals) -> None:
    script = SAYS_TERM.replace("TERM", number.name[3:])
    assert relaying(script, False, number) == ["ready", f"got {number.name[3:]}", "status 5", f"InterruptedRun ended by {number.name}"]


def test_a_shielded_program_finishes_and_the_signal_is_remembered() -> None:
    assert relaying(SAYS_TERM, True) == ["ready", "finished", "status 0", "InterruptedRun ended by SIGTERM"]


def test_a_program_that_starts_after_the_signal_gets_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = process.SignalRelay()
    relay.received = signal.SIGTERM
    monkeypatch.setattr(process, "relay", relay)
    assert shell("exec sleep 5").status == -signal.SIGTERM
    assert shell("sleep 0.1; echo done", shielded=True).stdout == "done\n"
    with pytest.raises(InterruptedRun, match=r"^ended by SIGTERM$"):
        relay.check()


def test_nothing_is_interrupted_before_a_signal() -> None:
    process.SignalRelay().check()


def test_a_signal_to_the_whole_group_reaches_no_program_of_ours() -> None:
    own = subprocess.run(["ps", "-o", "sid=", "-p", str(os.getpid())], capture_output=True, text=True, check=True).stdout.strip()
    assert shell("ps -o sid= -p $$").stdout.strip() != own
