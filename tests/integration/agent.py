"""A process on a test host that runs commands one after the other; a start of `podman exec` takes a quarter of a second."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence

_PROGRAM = """
import json, subprocess, sys
for line in sys.stdin:
    asked = json.loads(line)
    give = {"input": asked["stdin"].encode(errors="surrogateescape")} if asked["stdin"] is not None else {"stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(asked["argv"], capture_output=True, timeout=asked["timeout"], **give)
        found = [done.returncode, done.stdout, done.stderr]
    except subprocess.TimeoutExpired as error:
        found = [None, error.stdout or b"", error.stderr or b""]
    except FileNotFoundError as error:
        found = [127, b"", str(error).encode()]
    print(json.dumps([found[0], *(text.decode(errors="surrogateescape") for text in found[1:])]), flush=True)
"""


class Agent:
    """The process on one host.

    Args:
        name: the host's.
        enter: gives the command that runs some words on it.
    """

    def __init__(self, name: str, enter: Callable[[Sequence[str]], list[str]]) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._process = subprocess.Popen(enter(["python3", "-u", "-c", _PROGRAM]), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, argv: Sequence[str], stdin: str | None, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end.

        Raises:
            TimeoutExpired: it took too long, and was killed.
            ConnectionError: the host is gone.
        """
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps({"argv": list(argv), "stdin": stdin, "timeout": timeout}).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise ConnectionError(f"{self._name} is gone")
        status, stdout, stderr = json.loads(answer)
        if status is None:
            raise subprocess.TimeoutExpired(list(argv), timeout, stdout, stderr)
        return subprocess.CompletedProcess(list(argv), status, stdout, stderr)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
