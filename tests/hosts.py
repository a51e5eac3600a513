"""Disposable test hosts: containers with systemd as their first process, in the network of this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.setup.cache import ROOT
from tests.setup.images import HOSTS

LABEL = "holdfast-test-host"
BOOT_LIMIT = 60.0

# runc, because crun refuses cgroup hierarchies that mix both versions. SYS_ADMIN for systemd and for mounts,
# DAC_READ_SEARCH so that a unit may be given it, SYS_PTRACE for root to look into another user's process,
# MKNOD for device nodes that are restored.
RUN = [
    "--runtime=runc",
    "run",
    "--detach",
    "--replace",
    f"--label={LABEL}",
    "--systemd=always",
    "--network=host",
    "--ulimit=nofile=20000:20000",
    "--ulimit=nproc=1000:1000",
    "--cap-add=SYS_ADMIN,DAC_READ_SEARCH,SYS_PTRACE,MKNOD",
]

# systemd 257 (trixie) refuses to start on cgroups of version 1 without this word.
INIT = ["/sbin/init", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]


class HostError(Exception):
    """A command on a test host failed, or the host did not come up."""


@dataclass(frozen=True)
class Host:
    """A running test host."""

    name: str

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root and return its result, both streams as text."""
        command = ["podman", "exec", *(["--interactive"] if stdin is not None else []), self.name, *argv]
        result = subprocess.run(command, check=False, input=stdin, capture_output=True, text=True, timeout=timeout)
        if check and result.returncode:
            raise HostError(f"{self.name}: {' '.join(argv)} ended with status {result.returncode}:\n{result.stdout}{result.stderr}")
        return result

    def copy_in(self, source: Path | str, target: str) -> None:
        """Copy a file or directory of this machine to the host."""
        podman("cp", str(source), f"{self.name}:{target}")

    def reboot(self, *, crash: bool = False) -> None:
        """Shut down and start again, or with `crash` as if the power had failed. Files stay; /run and /tmp do not."""
        podman("kill" if crash else "stop", self.name)
        podman("wait", self.name)
        podman("start", self.name)
        self.wait()

    def wait(self) -> None:
        """Wait until systemd has started everything."""
        deadline = time.monotonic() + BOOT_LIMIT
        state = ""
        while time.monotonic() < deadline:
            # Until systemd listens, the command fails at once instead of waiting.
            state = self.run(["systemctl", "is-system-running", "--wait"], check=False, timeout=BOOT_LIMIT).stdout.strip()
            if state == "running":
                return
            if state == "degraded":
                raise HostError(f"{self.name}: units failed:\n{self.run(['systemctl', '--failed']).stdout}")
            time.sleep(0.05)
        raise HostError(f"{self.name}: not up after {BOOT_LIMIT:.0f} s (last state: {state or 'none'})")


def podman(*argv: str) -> None:
    """Run podman.

    Raises:
        HostError: it failed.
    """
    result = subprocess.run(["podman", *argv], check=False, capture_output=True, text=True)
    if result.returncode:
        raise HostError(f"podman {' '.join(argv)} ended with status {result.returncode}:\n{result.stderr}")


def _cgroup_volumes() -> list[str]:
    """Return what makes MemoryMax= and CPUQuota= work in a container where cgroups are of version 1."""
    controllers = (Path("/sys/fs/cgroup", name) for name in ("cpu", "cpuacct", "memory"))
    return [f"--volume={path}:{path}:rw" for path in controllers if path.is_dir()]


def tools() -> list[str]:
    """Return the volumes that put the tests' own programs at /opt/tools and /opt/rclone."""
    rclone = (ROOT / "venv/bin/rclone").resolve()
    return [f"{(ROOT / 'tools').resolve()}:/opt/tools:ro", f"{rclone}:/opt/rclone:ro"]


def start(release: str, name: str, *, volumes: Sequence[str] = (), extra: Sequence[str] = ()) -> Host:
    """Start a host of a release (one of that name is replaced) and wait until it is up.

    `volumes` are podman's SOURCE:TARGET[:OPTIONS], `extra` more of its options.
    """
    mounts = [*_cgroup_volumes(), *(f"--volume={volume}" for volume in volumes)]
    podman(*RUN, f"--name={name}", f"--hostname={name}", *mounts, *extra, HOSTS[release].tag, *INIT)
    host = Host(name)
    host.wait()
    return host


def stop(name: str) -> None:
    """Remove a host; one that does not exist is no error."""
    podman("rm", "--force", "--ignore", "--time=0", name)


def stop_all() -> None:
    """Remove every test host on this machine."""
    listed = subprocess.run(["podman", "ps", "--all", "--quiet", f"--filter=label={LABEL}"], check=True, capture_output=True, text=True)
    for name in listed.stdout.split():
        stop(name)


def main() -> int:
    """Start or stop hosts from the command line, for Molecule and for people."""
    parser = ArgumentParser(prog="python3 -m tests.hosts", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("start", help="start a host")
    verb.add_argument("release")
    verb.add_argument("name")
    verb.add_argument("--tools", action="store_true", help="put the tests' own programs into /opt")
    verbs.add_parser("stop", help="remove a host").add_argument("name")
    verbs.add_parser("stop-all", help="remove every host")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "start":
            start(arguments.release, arguments.name, volumes=tools() if arguments.tools else ())
        elif arguments.verb == "stop":
            stop(arguments.name)
        else:
            stop_all()
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
