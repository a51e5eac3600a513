"""A host from its bare state on: check mode foretells the first site.yml, and no reset makes a run vanish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.controller import Played, play
from tests.integration.machine import METRICS, Machine, wait_for
from tests.integration.outcomes import expect, expect_run

SNAPSHOT = Path(snapshot.__file__).read_text()
INVENTORY: dict[str, Any] = {
    "holdfast_target": "spare",
    "holdfast_repositories": {"nas": {"url": "/srv/nas", "password": "of the spare host", "primary": True}},
    "holdfast_settings": {"limit_upload": 8192, "stall_timeout": "8s"},
    "holdfast_services": {
        "slow": {
            "paths": ["/srv/slow"],
            "stop_units": ["writer"],
            "post_backup": ["echo $HOLDFAST_RESULT >> /var/lib/told"],
        },
        "other": {"paths": ["/srv/slow"], "repositories": ["nas"]},
    },
}


def files(spare: Machine) -> dict[str, str]:
    places = ["/etc", "/usr", "/var/lib/holdfast", "/var/lib/dpkg", "/var/cache/holdfast", "/srv", METRICS]
    return dict(json.loads(spare.python(SNAPSHOT, *places)))


@pytest.fixture(scope="module")
def foretold(spare: Machine) -> Played:
    """Check mode on the bare host, which changed nothing."""
    spare.sh("apt-get purge --yes restic; rm -rf /var/lib/holdfast /srv/*")
    before = files(spare)
    played = play("site", "spare", "--check", variables=INVENTORY)
    assert played.status == 0, played.output
    assert files(spare) == before
    return played


@pytest.fixture(scope="module")
def done(spare: Machine, foretold: Played) -> Played:
    """The first site.yml, and a source and a service for the job slow."""
    played = play("site", "spare", variables=INVENTORY)
    assert played.status == 0, played.output
    spare.sh("mkdir -p /srv/slow && echo one > /srv/slow/one")
    spare.write("/etc/systemd/system/writer.service", "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n")
    spare.sh("systemctl enable --now writer")
    return played


def test_check_mode_on_a_bare_host_foretells_every_change(foretold: Played, done: Played) -> None:
    assert foretold.tasks("changed") == done.tasks("changed")
    assert len(done.tasks("changed")) == 6


def test_second_run_on_that_host_changes_nothing(done: Played) -> None:
    again = play("site", "spare", variables=INVENTORY)
    assert (again.status, again.tasks("changed")) == (0, [])
    assert play("site", "spare", "--check", variables=INVENTORY).tasks("changed") == []


@pytest.mark.parametrize("crash", [True, False], ids=["reset", "reboot"])
def test_run_that_a_reset_or_reboot_cuts_off_is_a_failure(spare: Machine, done: Played, crash: bool) -> None:
    spare.sh("rm -f /var/lib/told; systemctl start writer")
    expect_run(spare, "service-slow", "complete")
    expect_run(spare, "service-other", "complete")
    untouched = spare.state("service-other")

    def run() -> tuple[int, str]:
        spare.fill("/srv/slow/data", 32)
        spare.sh("sync; systemctl start --no-block holdfast-backup@service-slow.service")
        wait_for(lambda: "%" in spare.status_text("service-slow"), "the run uploads")
        spare.reboot(crash=crash)
        wait_for(lambda: spare.show("holdfast-cleanup.service", "ExecMainExitTimestamp"), "the clean-up at boot")
        return 1, ""

    expect(spare, spare.attempt("service-slow", run), "failed", says="never ended" if crash else "")
    assert spare.state("service-other") == untouched
    assert spare.show("writer.service", "ActiveState") == "active"
    assert spare.read("/var/lib/told").splitlines() == ["complete", "failed"]
    spare.sh("rm /srv/slow/data")
    expect_run(spare, "service-slow", "complete")
    status, said = spare.holdfast("forget", "nas")
    assert status == 0
    assert ("removed a stale lock" in said) == crash


def test_timers_are_active_after_a_boot(spare: Machine, done: Played) -> None:
    assert spare.show("holdfast-backup@service-slow.timer", "ActiveState") == "active"
