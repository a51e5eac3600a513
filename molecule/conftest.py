"""Gives every test of a scenario each of its hosts; testinfra's own Ansible backend takes a second per command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import testinfra
import yaml
from testinfra.host import Host


def _containers() -> list[str]:
    scenario = os.environ["MOLECULE_SCENARIO_NAME"]
    platforms = yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text())["platforms"]
    return [f"holdfast-{scenario}-{platform['name']}" for platform in platforms]


@pytest.fixture(scope="session", params=_containers())
def host(request: pytest.FixtureRequest) -> Host:
    """A host of the scenario."""
    return testinfra.get_host(f"podman://{request.param}")
