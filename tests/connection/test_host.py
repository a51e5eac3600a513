"""Ansible's way to the test hosts: one `podman exec` for each task, where containers.podman takes five and a mount."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = r"""
name: test_host
short_description: Run tasks in a test host
description: The host is a container on this machine.
options:
  container:
    description: The container's name.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
"""


class Connection(ConnectionBase):  # type: ignore[misc]
    """A test host."""

    transport = "test_host"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _podman(self, *arguments: str, stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
        command = ["podman", "exec", "--interactive", self.get_option("container"), *arguments]
        done = subprocess.run(command, check=False, input=stdin or b"", capture_output=True)
        if done.returncode == 125:
            raise AnsibleConnectionFailure(done.stderr.decode(errors="replace").strip())
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command in the host."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._podman("/bin/sh", "-c", cmd, stdin=in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file into the host."""
        self._podman("/bin/sh", "-c", 'cat > "$1"', "-", out_path, stdin=Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the host."""
        Path(out_path).write_bytes(self._podman("cat", in_path)[1])

    def close(self) -> None:
        """There is nothing to close."""
        self._connected = False
