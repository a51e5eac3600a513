"""The hosts of the default scenario, after its playbook ran."""

from __future__ import annotations

from testinfra.host import Host


def test_host_is_up(host: Host) -> None:
    assert host.check_output("systemctl is-system-running") == "running"
