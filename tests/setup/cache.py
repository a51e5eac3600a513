"""A cache of built things: each is made once, under a name that is a hash of what it is made from."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast"
BUILDS = ROOT / "builds"
CHECKOUT = Path(__file__).resolve().parents[2]


class SetupError(Exception):
    """A step of the set-up failed; the message says which command and what it printed last."""


def run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command quietly and return what it printed; its output is shown only when it fails."""
    result = subprocess.run(
        argv,
        check=False,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if result.returncode:
        tail = "\n".join(result.stdout.splitlines()[-40:])
        raise SetupError(f"{' '.join(argv)}\nended with status {result.returncode}:\n{tail}")
    return result.stdout


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print one line with the seconds that the block took."""
    start = time.monotonic()
    yield
    print(f"  {title:<28} {time.monotonic() - start:6.1f} s", flush=True)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Keep a second set-up on this machine waiting until this one is done, then clear away what a failed one left."""
    BUILDS.mkdir(parents=True, exist_ok=True)
    with open(ROOT / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("  waiting for another set-up", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        published = {link.resolve() for link in ROOT.iterdir() if link.is_symlink()}
        for build in set(BUILDS.iterdir()) - published:
            shutil.rmtree(build, ignore_errors=True)
        yield


def key_of(inputs: Sequence[str | bytes]) -> str:
    """Return the short hash under which something made from these inputs is kept, the same in every checkout."""
    digest = hashlib.sha256()
    for item in inputs:
        data = item.replace(str(CHECKOUT), "").encode() if isinstance(item, str) else item
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:12]


def _link(link: Path, target: Path) -> None:
    """Point a symbolic link at a target in one step."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target.relative_to(link.parent))
    new.replace(link)


def piece(name: str, inputs: Sequence[str | bytes], build: Callable[[Path], None]) -> Path:
    """Have `build` fill a directory unless one made from the same inputs exists; `ROOT/name` then leads to it.

    Directories are built under a name of their own and become visible through a link, not a rename: a Python
    environment holds its own path.
    """
    keyed = ROOT / f"{name}-{key_of(inputs)}"
    if not keyed.exists():
        directory = BUILDS / f"{keyed.name}.{os.getpid()}"
        directory.mkdir()
        with step(name):
            build(directory)
        _link(keyed, directory)
    _link(ROOT / name, keyed)
    return ROOT / name


def prune() -> None:
    """Remove the pieces that no stable name leads to any more."""
    links = [link for link in ROOT.iterdir() if link.is_symlink()]
    current = {ROOT / os.readlink(link) for link in links}
    for link in links:
        if link not in current and (ROOT / os.readlink(link)).parent == BUILDS:
            build = link.resolve()
            link.unlink()
            shutil.rmtree(build, ignore_errors=True)
