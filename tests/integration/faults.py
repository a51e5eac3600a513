"""Breaking something on a host for the length of a block, and mending it afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.machine import Machine


@contextmanager
def without(machine: Machine, path: str) -> Iterator[None]:
    """Move something out of the way."""
    machine.sh(f"mv {path} {path}.away")
    try:
        yield
    finally:
        machine.sh(f"rm -rf {path} && mv {path}.away {path}")


@contextmanager
def wrong(machine: Machine, path: str, content: str) -> Iterator[None]:
    """Have something else in a file, which keeps its owner and mode."""
    machine.sh(f"cp -p {path} {path}.right && printf %s {shlex.quote(content)} > {path}")
    try:
        yield
    finally:
        machine.sh(f"mv {path}.right {path}")


@contextmanager
def unreadable(machine: Machine, *paths: str) -> Iterator[None]:
    """Have files that even CAP_DAC_READ_SEARCH cannot read: another process's memory, bound over them."""
    machine.sh("; ".join(f"touch {path}; mount --bind /proc/1/mem {path}" for path in paths))
    try:
        yield
    finally:
        machine.sh("; ".join(f"umount {path}; rm {path}" for path in paths))


@contextmanager
def stopped(machine: Machine, unit: str) -> Iterator[None]:
    """Have a unit stopped."""
    machine.sh(f"systemctl stop {unit}")
    try:
        yield
    finally:
        machine.sh(f"systemctl start {unit}")


@contextmanager
def frozen(machine: Machine, unit: str) -> Iterator[None]:
    """Have a unit's processes stand still."""
    machine.sh(f"systemctl kill --signal=STOP {unit}")
    try:
        yield
    finally:
        machine.sh(f"systemctl kill --signal=CONT {unit}")


@contextmanager
def full(machine: Machine, directory: str, mebibytes: int = 1) -> Iterator[None]:
    """Have a directory on a file system of its own, with the same content and no room left."""
    machine.sh(
        f"mkdir -p /run/full && mount -t tmpfs -o size={mebibytes}m full /run/full && cp -a {directory}/. /run/full/ "
        f"&& mount --bind /run/full {directory} && ! cat /dev/zero 2> /dev/null > {directory}/filler"
    )
    try:
        yield
    finally:
        machine.sh(f"umount {directory} /run/full")


@contextmanager
def drop_in(machine: Machine, unit: str, text: str) -> Iterator[None]:
    """Have a unit changed by a drop-in."""
    directory = f"/run/systemd/system/{unit}.d"
    machine.write(f"{directory}/zz-test.conf", text)
    machine.sh("systemctl daemon-reload")
    try:
        yield
    finally:
        machine.sh(f"rm -r {directory}; systemctl daemon-reload; systemctl reset-failed {unit} || true")
