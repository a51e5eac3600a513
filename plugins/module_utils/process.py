# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running other programs: argument lists only, lines streamed, limits kept, signals passed on."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from .environment import base_environment
from .errors import InterruptedRun, LimitExceeded
from .records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    LineHandler = Callable[[str], None]
    Watch = Callable[[float], Optional[str]]

_PATIENCE = 20.0
_KEPT = 64 * 1024


class SignalRelay:
    """Passes SIGTERM and SIGINT on to the program that is running, and remembers that they came."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._shielded = False

    def install(self) -> None:
        """Take over both signals for the life of this process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        if self._child is not None and not self._shielded:
            self._child.send_signal(number)

    @contextmanager
    def relaying_to(self, child: subprocess.Popen[bytes], shielded: bool) -> Iterator[None]:
        """Name the program that is to get the signals; a shielded one is left to finish."""
        before = (self._child, self._shielded)
        self._child, self._shielded = child, shielded
        try:
            if self.received and not shielded:
                child.send_signal(self.received)
            yield
        finally:
            self._child, self._shielded = before

    def check(self) -> None:
        """Stop here if a signal came.

        Raises:
            InterruptedRun: one did.
        """
        if self.received is not None:
            raise InterruptedRun(f"ended by {signal.Signals(self.received).name}")


relay = SignalRelay()


class Completed(NamedTuple):
    """How a program ended; a negative status is the signal that killed it."""

    status: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last thing that it said, for an error message."""
        for text in (self.stderr, self.stdout):
            lines = [line for line in text.splitlines() if line.strip()]
            if lines:
                return lines[-1].strip()
        return describe_status(self.status)


def describe_status(status: int) -> str:
    """``exit status 3`` or ``killed by SIGKILL``."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


class _Lines:
    """Cuts what comes out of a pipe into lines, and keeps the end of it."""

    def __init__(self, handle: LineHandler | None, keep: int | None) -> None:
        self._handle = handle
        self._keep = keep
        self._rest = b""
        self._kept: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._kept.append(data)
        self._size += len(data)
        while self._keep is not None and self._size - len(self._kept[0]) > self._keep:
            self._size -= len(self._kept.pop(0))
        if self._handle is None:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._handle(line.decode("utf-8", "surrogateescape"))

    def end(self) -> str:
        if self._handle is not None and self._rest:
            self._handle(self._rest.decode("utf-8", "surrogateescape"))
        return b"".join(self._kept).decode("utf-8", "surrogateescape")


def run(
    argv: Sequence[str],
    *,
    doing: str,
    limit: float,
    environment: Mapping[str, str] | None = None,
    on_stdout: LineHandler | None = None,
    on_stderr: LineHandler | None = None,
    watch: Watch | None = None,
    shielded: bool = False,
    keep_output: bool = False,
) -> Completed:
    """Run a program to its end.

    Args:
        argv: the program and its arguments.
        doing: what it does, for the message when a limit strikes.
        limit: seconds that it may take in all.
        environment: added to ``base_environment``.
        on_stdout: gets every line of its output as it comes.
        on_stderr: gets every line of its errors as it comes.
        watch: is asked about once a second with the monotonic time; a text means: end it, for this reason.
        shielded: signals that this process gets are not passed on (for work that must be finished, such as clean-up).
        keep_output: keep the whole standard output, not only its end.

    Raises:
        LimitExceeded: the limit or the watch struck; the program was ended first.
        FileNotFoundError: there is no such program.
    """
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**base_environment(), **(environment or {})},
        start_new_session=True,
    )
    outputs = {child.stdout: _Lines(on_stdout, None if keep_output else _KEPT), child.stderr: _Lines(on_stderr, _KEPT)}
    try:
        with relay.relaying_to(child, shielded):
            deadline = time.monotonic() + limit
            reason = _pump(child, outputs, deadline, watch) or _wait(child, deadline)
            stdout, stderr = (lines.end() for lines in outputs.values())
            if reason is not None:
                _end(child)
    except BaseException:
        _end(child)
        raise
    finally:
        for pipe in outputs:
            if pipe is not None:
                pipe.close()
    if reason is not None:
        raise LimitExceeded(f"{doing}: {reason}")
    return Completed(child.returncode, stdout, stderr)


def _pump(child: subprocess.Popen[bytes], outputs: Mapping[Any, _Lines], deadline: float, watch: Watch | None) -> str | None:
    """Read until both pipes are closed; give the reason if the program had to be ended."""
    reason: str | None = None
    kill_at = float("inf")
    started = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for pipe, lines in outputs.items():
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, lines)
        while selector.get_map():
            for key, _events in selector.select(0.5):
                data = os.read(key.fd, 65536)
                if data:
                    key.data.feed(data)
                else:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if reason is None:
                reason = _late(deadline - started) if now > deadline else watch(now) if watch else None
                if reason is not None:
                    child.terminate()
                    kill_at = now + _PATIENCE
            elif now > kill_at:
                _end(child)
                break
            if child.poll() is not None and reason is not None:
                break
    return reason


def _late(limit: float) -> str:
    return f"not done within {limit:.0f} s"


def _wait(child: subprocess.Popen[bytes], deadline: float) -> str | None:
    """Wait for a program that has closed its outputs; give the reason if it does not end."""
    left = max(1.0, deadline - time.monotonic())
    try:
        child.wait(left)
    except subprocess.TimeoutExpired:
        return _late(left)
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it started in its session, and wait for it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    if child.poll() is None:
        child.kill()
    child.wait()
