# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""restic's own view of the host: ZFS snapshots mounted over their datasets in a mount namespace that ends with restic."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import instant, layout, names, zfs
from .errors import HoldfastError
from .files import read_json

# mount(2)
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _BIND = 1, 2, 4, 8, 4096
# setpriv and restic have no such exit status.
EXIT_NOT_PROVED = 97


class NotProved(HoldfastError):
    """What restic would read is not what the ZFS snapshots hold."""


def prefix(record: Path, live: Sequence[Path]) -> tuple[str, ...]:
    """The arguments that stand before a program's own, to run it where a run's ZFS snapshots are mounted.

    Args:
        record: the run's record.
        live: directories that stay as they are, where a ZFS snapshot would cover them.
    """
    kept = [f"--live={path}" for path in live]
    return ("unshare", "--mount", "--propagation=private", "--", str(layout.COMMAND), names.WITHIN, str(record), *kept, "--")


def enter(arguments: Sequence[str]) -> int:
    """Mount, prove, and become the program; comes back only when that failed.

    Args:
        arguments: those of ``prefix`` behind the verb, and the program's own.
    """
    own, program = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    record = instant.Record.parse(read_json(Path(own[0])))
    live = {path: os.open(path, os.O_PATH) for path in (word.partition("=")[2] for word in own[1:]) if os.path.isdir(path)}
    try:
        for layer in record.layers:
            _mount(f"{layer.dataset}@{record.snapshot}", layer.point, "zfs", _RDONLY | _NOSUID | _NODEV | _NOEXEC)
        for path, handle in live.items():
            if not _is_same(path, handle):
                _mount(f"/proc/self/fd/{handle}", path, None, _BIND)
        prove(record)
        # A directory that was entered before stands below the mounts.
        os.chdir("/")
        os.execvp(program[0], list(program))
    except (OSError, HoldfastError) as error:
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"mounting ZFS snapshots: {text}\n")
    return EXIT_NOT_PROVED


def prove(record: instant.Record) -> None:
    """Every dataset's place must show its ZFS snapshot: by the mount table, and by the device of what one finds there.

    Raises:
        NotProved: one does not.
    """
    seen = zfs.visible(zfs.mounts())
    for layer in record.layers:
        expected = f"{layer.dataset}@{record.snapshot}"
        mount = seen.get(layer.point)
        if mount is None or mount.type != "zfs" or mount.source != expected or "ro" not in mount.options:
            raise NotProved(f"{layer.point} shows {mount.source if mount else 'nothing'} instead of {expected}")
        device = os.stat(layer.point).st_dev
        if (os.major(device), os.minor(device)) != mount.device:
            raise NotProved(f"{layer.point} is covered by something else than {expected}")


def _is_same(path: str, handle: int) -> bool:
    """Whether a directory is still what it was when it was opened."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return False
    before = os.fstat(handle)
    return (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """mount(2); the helper mount.zfs would refuse a directory that is not empty.

    Raises:
        OSError: with the source as its file name.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(os.fsencode(source), os.fsencode(target), kind.encode() if kind else None, flags, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} (at {target})", source)
