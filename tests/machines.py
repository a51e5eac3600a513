"""The disposable virtual machine with OpenZFS in its kernel: an emulator in a container of its own."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass

from tests.hosts import LABEL, HostError, podman, stop
from tests.setup.images import EMULATOR
from tests.setup.machine import PATH

MEMORY = 3072
BOOT_LIMIT = 300.0
SSH_OPTIONS = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR", "-oConnectTimeout=60"]
RUN = [
    "--runtime=runc",
    "run",
    "--detach",
    "--replace",
    f"--label={LABEL}",
    "--network=host",
    "--ulimit=nofile=20000:20000",
    "--ulimit=nproc=1000:1000",
]


def ssh_port() -> int:
    """Return the port that the inventory of the scenario gives the machine of this checkout."""
    return int(f"2{os.environ['HOLDFAST_CHECKOUT']}4")


@dataclass(frozen=True)
class VirtualMachine:
    """A running machine; its monitor listens one port above its ssh."""

    name: str
    port: int

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs some words on it."""
        return ["ssh", f"-i{PATH}/key", f"-p{self.port}", *SSH_OPTIONS, "root@127.0.0.1", shlex.join(words)]

    def reset(self) -> None:
        """Reset it as the button does: nothing is written any more, and it boots."""
        with socket.create_connection(("127.0.0.1", self.port + 1), 10) as monitor:
            monitor.sendall(b"system_reset\n")
            time.sleep(1)
        self.wait()

    def wait(self) -> None:
        """Wait until systemd has started everything."""
        deadline = time.monotonic() + BOOT_LIMIT
        said = ""
        while time.monotonic() < deadline:
            command = self.command(["systemctl", "is-system-running", "--wait"])
            done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_LIMIT)
            said = (done.stdout or done.stderr).strip()
            if said == "running":
                return
            if said == "degraded":
                failed = subprocess.run(self.command(["systemctl", "--failed"]), check=False, capture_output=True, text=True).stdout
                raise HostError(f"{self.name}: units failed:\n{failed}")
            time.sleep(1)
        raise HostError(f"{self.name}: not up after {BOOT_LIMIT:.0f} s (last: {said or 'nothing'})")


def start(name: str, port: int) -> VirtualMachine:
    """Boot a machine from the prepared disk, which stays as it is; its ssh listens on a port of the loopback."""
    emulator = [
        "qemu-system-x86_64",
        # KVM does not work on the machines that run the tests.
        *("-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2", "-m", str(MEMORY)),
        *("-kernel", "/machine/vmlinuz", "-initrd", "/machine/initrd.img"),
        *("-append", "root=/dev/vda rw console=ttyS0 mitigations=off systemd.show_status=no"),
        *("-drive", "file=/machine/disk,format=raw,if=virtio,snapshot=on"),
        *("-nic", f"user,model=virtio,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-monitor", f"tcp:127.0.0.1:{port + 1},server,nowait"),
        *("-display", "none", "-serial", "stdio"),
    ]
    podman(*RUN, f"--name={name}", f"--volume={PATH.resolve()}:/machine:ro", EMULATOR.tag, *emulator)
    machine = VirtualMachine(name, port)
    machine.wait()
    return machine


def main() -> int:
    """Start or stop the machine from the command line, for Molecule and for people."""
    parser = ArgumentParser(prog="python3 -m tests.machines", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("start", help="boot a machine")
    verb.add_argument("name")
    verb.add_argument("port", type=int, help="where its ssh listens; its monitor is one above")
    verbs.add_parser("stop", help="remove a machine").add_argument("name")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "start":
            start(arguments.name, arguments.port)
        else:
            stop(arguments.name)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
