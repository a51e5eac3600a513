"""Gives every test of a scenario each of its hosts; testinfra's own Ansible backend takes a second per command."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import testinfra
import yaml
from testinfra.host import Host

from tests.integration.machine import Machine, container_of


def _platforms() -> list[str]:
    return [platform["name"] for platform in yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text())["platforms"]]


@pytest.fixture(scope="session", params=_platforms())
def platform(request: pytest.FixtureRequest) -> str:
    """The name of a host of the scenario in its inventory."""
    return str(request.param)


@pytest.fixture(scope="session")
def container(platform: str) -> str:
    """The container that is a host of the scenario."""
    return container_of(platform)


@pytest.fixture(scope="session")
def host(container: str) -> Host:
    """A host of the scenario, for testinfra's questions."""
    return testinfra.get_host(f"podman://{container}")


@pytest.fixture(scope="session")
def machine(container: str) -> Iterator[Machine]:
    """A host of the scenario, for all that is done to it."""
    machine = Machine(container)
    yield machine
    machine.disconnect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show beside a failure what the host's journal has of the test."""
    report = yield
    for machine in item.funcargs.values() if report.failed else ():
        if isinstance(machine, Machine):
            report.sections.append((f"journal of {machine.name}", machine.journal(call.start, "--output=short-precise", "--lines=150")))
    return report
