"""Whatever kills a run or starves it, the metric tells. How that comes out does not depend on the release, so one host is enough."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.faults import drop_in, frozen, full, wrong
from tests.integration.machine import METRICS, Machine, backup_unit
from tests.integration.outcomes import expect, expect_run

pytestmark = pytest.mark.parametrize("platform", ["debian13"], indirect=True, scope="session")

UPLOAD_LIMIT = 60


def kill(machine: Machine, victim: str) -> None:
    """Kill a part of the run of the job slow, or all of it."""
    unit = backup_unit("service-slow")
    if victim == "restic":
        machine.sh(f"kill -KILL {machine.restic('service-slow')}")
    elif victim == "engine":
        machine.sh(f"kill -KILL {machine.show(unit, 'MainPID')}")
    else:
        machine.sh(f"systemctl kill --signal=KILL --kill-whom=all {unit}")


@pytest.mark.parametrize("victim", ["restic", "engine", "unit"])
def test_killed_run_is_a_failure_and_leaves_nothing_behind(machine: Machine, heavy: None, victim: str) -> None:
    def run() -> tuple[int, str]:
        with machine.under_way("service-slow"):
            assert machine.show("writer.service", "ActiveState") == "inactive"
            kill(machine, victim)
        return 1, ""

    expect(machine, machine.attempt("service-slow", run), "failed", exit_code=137, says="SIGKILL" if victim == "restic" else "KILL")
    assert machine.show("writer.service", "ActiveState") == "active"
    assert machine.sh("pgrep -x restic", check=False) == ""
    expect_run(machine, "service-slow", "complete")


def test_server_that_dies_in_the_middle_of_an_upload_fails_the_run(machine: Machine, heavy: None) -> None:
    def run() -> tuple[int, str]:
        with machine.under_way("service-upload"):
            machine.sh("systemctl kill --signal=KILL server-rest")
        return 1, ""

    began = time.monotonic()
    attempt = machine.attempt("service-upload", run)
    assert time.monotonic() - began < UPLOAD_LIMIT
    machine.sh("systemctl restart server-rest")
    expect(machine, attempt, "failed", "rest", says="stall_timeout")
    expect_run(machine, "service-upload", "complete", "rest")


def test_server_that_comes_back_in_time_does_no_harm(machine: Machine, heavy: None) -> None:
    def run() -> tuple[int, str]:
        with machine.under_way("service-upload"):
            machine.sh("systemctl kill --signal=KILL server-rest; systemctl start server-rest")
        return 0, ""

    expect(machine, machine.attempt("service-upload", run), "complete", "rest")


def test_server_that_stands_still_in_the_middle_of_an_upload_fails_the_run_within_its_limit(machine: Machine, heavy: None) -> None:
    def run() -> tuple[int, str]:
        with machine.under_way("service-upload"):
            machine.sh("systemctl kill --signal=STOP server-rest")
        return 1, ""

    began = time.monotonic()
    attempt = machine.attempt("service-upload", run)
    assert time.monotonic() - began < UPLOAD_LIMIT
    machine.sh("systemctl kill --signal=CONT server-rest")
    expect(machine, attempt, "failed", "rest", says="holdfast_settings.stall_timeout")


def test_server_that_stands_still_from_the_start_fails_the_run_within_its_limit(machine: Machine) -> None:
    began = time.monotonic()
    with frozen(machine, "server-rest"):
        expect_run(machine, "service-upload", "failed", "rest", says="stall_timeout")
    assert time.monotonic() - began < UPLOAD_LIMIT


@pytest.fixture
def unmounted(machine: Machine) -> Iterator[None]:
    """The disk of a repository is away, and only the directory below it is there."""
    machine.sh("umount /mnt/disk")
    yield
    machine.sh("mount --bind /srv/disk /mnt/disk")


def test_unmounted_repository_is_a_failure_and_nothing_is_written_below(machine: Machine, unmounted: None) -> None:
    expect_run(machine, "service-mounted", "failed", "disk", says="nothing is mounted there")
    assert machine.sh("ls -A /mnt/disk") == ""


def test_emptied_local_repository_is_a_failure_and_not_begun_anew(machine: Machine) -> None:
    machine.sh("mv /srv/disk/restic /srv/disk/away")
    try:
        expect_run(machine, "service-mounted", "failed", "disk", exit_code=10, says="there is no repository")
        assert machine.sh("ls -A /mnt/disk") == "away\n"
    finally:
        machine.sh("mv /srv/disk/away /srv/disk/restic")


def test_full_repository_is_a_failure(machine: Machine) -> None:
    machine.sh("mount -o remount,size=$(($(du -sm /mnt/tiny | cut -f1) + 6))m /mnt/tiny")
    machine.fill("/srv/cramped/data", 12)
    expect_run(machine, "service-cramped", "failed", "tiny", says="no space left")
    machine.sh("rm /srv/cramped/data && mount -o remount,size=64m /mnt/tiny")
    assert machine.holdfast("forget", "tiny")[0] == 0
    expect_run(machine, "service-cramped", "complete", "tiny")


def test_full_state_directory_does_not_keep_the_metric_from_telling(machine: Machine) -> None:
    with full(machine, "/var/lib/holdfast"):
        attempt = machine.attempt("service-pair")
        assert attempt.exit_status == 0, attempt.said
        assert "state could not be kept" in attempt.said
    assert attempt.after["nas"].result == "complete"
    assert (attempt.after["nas"]["last_success_timestamp"] or 0) >= attempt.began
    expect_run(machine, "service-pair", "complete")


def test_full_state_directory_does_not_hide_a_failure(machine: Machine) -> None:
    with full(machine, "/var/lib/holdfast"), wrong(machine, "/etc/holdfast/secrets/nas.password", "wrong"):
        attempt = machine.attempt("service-pair")
    assert attempt.exit_status == 1
    assert (attempt.after["nas"].result, attempt.after["nas"]["exit_code"]) == ("failed", 12)
    assert attempt.after["nas"]["last_success_timestamp"] == attempt.before["nas"]["last_success_timestamp"]


def test_full_metrics_directory_spoils_no_metric_and_is_reported(machine: Machine) -> None:
    with full(machine, METRICS):
        files = machine.sh(f"cd {METRICS} && ls -A && cat holdfast_*")
        attempt = machine.attempt("service-pair")
        assert machine.sh(f"cd {METRICS} && ls -A && cat holdfast_*") == files
    assert f"{METRICS}/holdfast_backup_service-pair.prom: No space left on device" in attempt.said
    assert machine.state("service-pair")["outcomes"]["nas"]["last_success"] >= attempt.began
    expect_run(machine, "service-pair", "complete")


@pytest.mark.parametrize(
    ("text", "exit_code", "says"),
    [
        ("[Service]\nExecStart=\nExecStart=/does/not/exist\n", 203, "203"),
        ("[Service]\nReadWritePaths=/does/not/exist\n", 226, "226"),
        ("[Service]\nUser=nobody-of-that-name\n", 217, "217"),
        ("[Unit]\nRequires=broken.service\nAfter=broken.service\n", 1, "depends on failed"),
    ],
    ids=["no program", "no sandbox", "no user", "failed dependency"],
)
def test_unit_that_cannot_start_is_a_failure(machine: Machine, text: str, exit_code: int, says: str) -> None:
    machine.write("/run/systemd/system/broken.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    with drop_in(machine, backup_unit("service-pair"), text):
        attempt = machine.attempt("service-pair", lambda: machine.start_unit("service-pair"))
    assert attempt.exit_status != 0
    expect(machine, attempt, "failed", exit_code=exit_code, says=says)


def test_run_that_systemd_ends_for_its_time_is_a_failure(machine: Machine, heavy: None) -> None:
    with drop_in(machine, backup_unit("service-slow"), "[Service]\nTimeoutStartSec=3\n"):
        attempt = machine.attempt("service-slow", lambda: machine.start_unit("service-slow"))
    expect(machine, attempt, "failed")


def test_run_that_takes_too_much_memory_is_a_failure(machine: Machine, heavy: None) -> None:
    with drop_in(machine, backup_unit("service-slow"), "[Service]\nMemoryMax=24M\n"):
        attempt = machine.attempt("service-slow", lambda: machine.start_unit("service-slow"))
    expect(machine, attempt, "failed", exit_code=137)


@pytest.mark.parametrize("content", ["{broken", "{}", '{"version": 1}'])
def test_broken_manifest_is_a_failure_of_the_run(machine: Machine, content: str) -> None:
    with wrong(machine, "/etc/holdfast/manifest.json", content):
        attempt = machine.attempt("service-pair", lambda: machine.start_unit("service-pair"))
    assert attempt.exit_status != 0
    expect(machine, attempt, "failed", exit_code=2)


def test_broken_manifest_is_a_usage_error_of_the_command(machine: Machine) -> None:
    with wrong(machine, "/etc/holdfast/manifest.json", "{broken"):
        status, said = machine.holdfast("backup", "service-pair")
    assert status == 2
    assert "/etc/holdfast/manifest.json" in said


def test_damaged_state_does_not_keep_a_run_from_completing(machine: Machine) -> None:
    machine.write("/var/lib/holdfast/state/service-pair.json", '{"outcomes": 3')
    machine.write("/var/lib/holdfast/history/service-pair.jsonl", "\x00not json\n")
    attempt = machine.attempt("service-pair")
    assert attempt.exit_status == 0, attempt.said
    assert attempt.after["nas"].result == "complete"
    machine.sh("rm /var/lib/holdfast/history/service-pair.jsonl")
    expect_run(machine, "service-pair", "complete")


def test_history_keeps_the_last_hundred_runs(machine: Machine) -> None:
    line = machine.read("/var/lib/holdfast/history/service-pair.jsonl").splitlines()[-1]
    machine.write("/var/lib/holdfast/history/service-pair.jsonl", f"{line}\n" * 100)
    expect_run(machine, "service-pair", "complete")
    assert len(machine.history("service-pair")) == 100
