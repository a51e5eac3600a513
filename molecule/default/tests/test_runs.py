"""What surrounds restic in a run: one run at a time, hooks in their order, units that are down while it reads."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.integration.faults import unreadable, without
from tests.integration.machine import METRICS, Machine, backup_unit, wait_for
from tests.integration.outcomes import expect, expect_run

LOG = "/var/lib/hooked/log"
BEFORE = ["pre_backup 1 service-hooked", "pre_backup 2"]


@pytest.fixture
def hooks(machine: Machine) -> Iterator[Machine]:
    """The host, with hooks of the job hooked that do nothing but write a log; put back afterwards."""
    machine.sh(f"rm -f {LOG}")
    yield machine
    machine.sh("cd /var/lib/hooked && : > pre && : > post")


def logged(machine: Machine) -> list[str]:
    return machine.read(LOG).splitlines()


def test_second_start_is_refused_and_touches_no_metric(machine: Machine, heavy: None) -> None:
    look = f"stat --format='%Y %Z %i' {METRICS}/holdfast_backup_service-slow.prom /var/lib/holdfast/history/service-slow.jsonl"
    with machine.under_way("service-slow"):
        before = machine.sh(look)
        for arguments in (["backup", "service-slow"], ["run", "service-slow"], ["backup", "slow"]):
            status, said = machine.holdfast(*arguments)
            assert status == 75
            assert re.search(
                r"backup run \S+ of service-slow \(process \d+\) holds the lock since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \(", said
            )
        status, said = machine.holdfast("restore", "slow", "--overwrite")
        assert status == 75
        assert machine.sh(look) == before
    assert machine.metrics("service-slow")["nas"].result == "complete"


def test_unit_started_while_a_command_holds_the_lock_touches_no_metric(machine: Machine, heavy: None) -> None:
    look = f"stat --format='%Y %Z %i' {METRICS}/holdfast_backup_service-slow.prom"
    before = machine.sh(look)
    machine.sh("nohup holdfast run service-slow > /dev/null 2>&1 &")
    wait_for(lambda: machine.entry("service-slow", "nas")["running"], "the command holds the lock")
    assert machine.start_unit("service-slow")[0] != 0
    assert machine.show(backup_unit("service-slow"), "ExecMainStatus") == "75"
    assert machine.sh(look) == before
    wait_for(lambda: not machine.entry("service-slow", "nas")["running"], "the command ends")
    assert machine.metrics("service-slow")["nas"].result == "complete"
    machine.sh(f"systemctl reset-failed {backup_unit('service-slow')}")


def test_systemctl_status_tells_how_far_a_run_is(machine: Machine) -> None:
    machine.fill("/srv/slow/data", 192)
    try:
        with machine.under_way("service-slow"):
            told = wait_for(lambda: re.search(".* left$", machine.status_text("service-slow")), "the time left is known", 15)[0]
            machine.run(["systemctl", "stop", backup_unit("service-slow")])
    finally:
        machine.sh(f"rm /srv/slow/data; systemctl reset-failed {backup_unit('service-slow')}")
    assert re.fullmatch(r"nas: \d\d?%, [\d.]+ MiB of 192\.0 MiB, \d of \d files, \d+ s left", told)


def test_other_job_runs_meanwhile(machine: Machine, heavy: None) -> None:
    with machine.under_way("service-slow"):
        expect_run(machine, "service-pair", "complete")
        assert machine.entry("service-slow", "nas")["running"]


def test_hooks_run_in_order_around_a_complete_backup(hooks: Machine) -> None:
    expect_run(hooks, "service-hooked", "complete")
    assert logged(hooks) == [*BEFORE, "post_backup complete"]


def test_hooks_learn_of_a_partial_backup(hooks: Machine) -> None:
    with unreadable(hooks, "/srv/hooked/closed"):
        expect_run(hooks, "service-hooked", "partial")
    assert logged(hooks) == [*BEFORE, "post_backup partial"]


def test_hooks_learn_of_a_failed_backup(hooks: Machine) -> None:
    with without(hooks, "/srv/hooked"):
        expect_run(hooks, "service-hooked", "failed")
    assert logged(hooks)[-1] == "post_backup failed"


def test_failing_pre_backup_fails_the_run_before_restic(hooks: Machine) -> None:
    before = hooks.snapshots("hooked", "nas")
    hooks.write("/var/lib/hooked/pre", "echo the dump broke >&2; exit 7")
    attempt = expect_run(hooks, "service-hooked", "failed", says="pre_backup[1] failed with exit status 7: the dump broke")
    assert "the dump broke" in attempt.said
    assert logged(hooks) == [*BEFORE, "post_backup failed"]
    assert hooks.snapshots("hooked", "nas") == before


def test_failing_post_backup_fails_the_run(hooks: Machine) -> None:
    before = hooks.snapshots("hooked", "nas")
    hooks.write("/var/lib/hooked/post", "exit 9")
    expect_run(hooks, "service-hooked", "failed", says="post_backup[1] failed with exit status 9")
    assert len(hooks.snapshots("hooked", "nas")) == len(before) + 1


def test_hook_that_takes_too_long_is_ended(hooks: Machine) -> None:
    hooks.write("/var/lib/hooked/pre", "sleep 4711 & wait")
    began = time.monotonic()
    expect_run(hooks, "service-hooked", "failed", exit_code=124, says="pre_backup[1] (holdfast_settings.hook_timeout)")
    assert time.monotonic() - began < 30
    assert logged(hooks) == [*BEFORE, "post_backup failed"]
    assert hooks.sh("pgrep -f '^sleep 4711'", check=False) == ""


def test_hooks_can_write_where_they_need_to_and_nowhere_else(hooks: Machine) -> None:
    hooks.write(
        "/var/lib/hooked/pre",
        "set -e; for place in /srv/hooked /var/lib/hooked /tmp; do echo > $place/hook-was-here; rm $place/hook-was-here; done\n"
        "for place in /etc /usr/local /srv/wiki /opt; do ! echo > $place/hook-was-here; done 2> /dev/null",
    )
    expect_run(hooks, "service-hooked", "complete")


def test_hooks_run_as_root_without_the_repositories_secrets(hooks: Machine) -> None:
    hooks.write("/var/lib/hooked/pre", f"id -u >> {LOG}; env | grep -c -e RESTIC -e AWS >> {LOG} || true")
    expect_run(hooks, "service-hooked", "complete")
    assert logged(hooks)[2:4] == ["0", "0"]


@pytest.fixture
def writer(machine: Machine) -> Iterator[None]:
    """The service that a job stops is up, whatever it was before."""
    machine.sh("systemctl start writer")
    yield
    machine.sh("systemctl start writer")


def writer_is(machine: Machine, state: str) -> bool:
    return machine.show("writer.service", "ActiveState") == state


def test_stopped_unit_is_down_during_the_backup_and_up_afterwards(machine: Machine, heavy: None, writer: None) -> None:
    with machine.under_way("service-slow"):
        assert writer_is(machine, "inactive")
    assert writer_is(machine, "active")
    assert machine.metrics("service-slow")["nas"].result == "complete"


def test_stopped_unit_is_up_after_a_partial_backup(machine: Machine, writer: None) -> None:
    began = time.time()
    with unreadable(machine, "/srv/slow/closed"):
        expect_run(machine, "service-slow", "partial")
    assert "Stopped writer.service" in machine.journal(began, "--unit=writer")
    assert writer_is(machine, "active")


def test_stopped_unit_is_up_after_a_failed_backup(machine: Machine, writer: None) -> None:
    with without(machine, "/srv/nas/keys"):
        expect_run(machine, "service-slow", "failed")
    assert writer_is(machine, "active")


def test_unit_that_was_down_before_stays_down(machine: Machine, writer: None) -> None:
    machine.sh("systemctl stop writer")
    expect_run(machine, "service-slow", "complete")
    assert writer_is(machine, "inactive")


def test_unit_that_cannot_be_started_again_fails_the_run(machine: Machine, heavy: None, writer: None) -> None:
    unit = "/etc/systemd/system/writer.service"

    def run() -> tuple[int, str]:
        with machine.under_way("service-slow"):
            machine.sh(
                f"cp {unit} /root/writer.service && sed -i s,^ExecStart=.*,ExecStart=/does/not/exist, {unit} && "
                f"echo Type=oneshot >> {unit} && systemctl daemon-reload"
            )
        return 1, ""

    try:
        expect(machine, machine.attempt("service-slow", run), "failed", says="writer.service")
    finally:
        machine.sh(f"mv /root/writer.service {unit} && systemctl daemon-reload && systemctl reset-failed writer")


def test_several_jobs_and_services_are_named_at_once(machine: Machine) -> None:
    status, said = machine.holdfast("backup", "pair", "service-wiki", "--json")
    assert status == 0, said
    assert said.count('"result": "complete"') >= 2


def test_every_command_makes_a_run_of_its_own(machine: Machine) -> None:
    before = machine.snapshots("pair", "nas")
    machine.sh("for turn in 1 2 3 4 5; do echo $turn > /srv/pair/one/turn; holdfast backup pair || exit; done")
    found = machine.snapshots("pair", "nas")[len(before) :]
    assert [machine.restic_by_hand("nas", "dump", entry["id"], "/srv/pair/one/turn") for entry in found] == [
        f"{turn}\n" for turn in range(1, 6)
    ]


def test_unknown_job_is_a_usage_error_that_lists_what_there_is(machine: Machine) -> None:
    status, said = machine.holdfast("backup", "service-wikki")
    assert status == 2
    assert "service-wiki" in said


def test_backup_without_a_job_is_a_usage_error(machine: Machine) -> None:
    assert machine.holdfast("backup")[0] == 2
