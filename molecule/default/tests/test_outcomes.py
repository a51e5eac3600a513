"""How runs end that are neither cut off nor short of space: what metrics, state and people are told."""

from __future__ import annotations

import time

import pytest

from tests.integration.faults import stopped, unreadable, without, wrong
from tests.integration.machine import Machine
from tests.integration.outcomes import expect, expect_run


def test_complete_run_tells_its_figures(machine: Machine) -> None:
    machine.write(f"/srv/pair/one/new-{time.time()}", f"never seen before: {time.time()}")
    machine.write("/srv/pair/one/one", f"changed: {time.time()}")
    figures = expect_run(machine, "service-pair", "complete").after["nas"]
    assert (figures["files_new"], figures["files_changed"]) == (1, 1)
    assert (figures["files_unmodified"] or 0) >= 3
    assert (figures["bytes_added"] or 0) > 0
    assert (figures["bytes_processed"] or 0) > 50
    assert 0 < (figures["duration_seconds"] or 0) < 30


def test_complete_run_leaves_one_snapshot_of_host_job_and_tags(machine: Machine) -> None:
    before = machine.snapshots("odd", "nas")
    expect_run(machine, "service-odd", "complete")
    (new,) = machine.snapshots("odd", "nas")[len(before) :]
    assert new["host"] == machine.inventory_name
    assert new["tags"] == ["holdfast-job=service-odd", "odd", "trees"]
    assert new["paths"] == ["/srv/odd"]


def test_unreadable_file_makes_it_partial(machine: Machine) -> None:
    before = machine.snapshots("pair", "nas")
    with unreadable(machine, "/srv/pair/one/closed"):
        expect_run(machine, "service-pair", "partial", says="/srv/pair/one/closed")
    assert len(machine.snapshots("pair", "nas")) == len(before) + 1
    expect_run(machine, "service-pair", "complete")


def test_journal_names_twenty_unreadable_files_and_counts_the_rest(machine: Machine) -> None:
    began = time.time()
    with unreadable(machine, *(f"/srv/pair/one/closed-{number}" for number in range(23))):
        expect_run(machine, "service-pair", "partial")
    journal = machine.journal(began, "--unit=holdfast-backup@service-pair.service")
    assert journal.count("could not read /srv/pair/one/closed-") + journal.count("could not read open /srv/pair/one/closed-") == 20
    assert "could not read 3 more files" in journal


def test_one_of_two_paths_gone_is_a_failure(machine: Machine) -> None:
    before = machine.snapshots("pair", "nas")
    with without(machine, "/srv/pair/two"):
        expect_run(machine, "service-pair", "failed", says="/srv/pair/two: no such file or directory")
    assert machine.snapshots("pair", "nas") == before


def test_wrong_password_is_a_failure(machine: Machine) -> None:
    with wrong(machine, "/etc/holdfast/secrets/nas.password", "not the password"):
        expect_run(machine, "service-pair", "failed", exit_code=12, says="/etc/holdfast/secrets/nas.password")


@pytest.mark.parametrize(("job", "repository", "server"), [("service-upload", "rest", "rest"), ("service-cloud", "bucket", "s3")])
def test_server_that_is_away_fails_the_run_at_once(machine: Machine, job: str, repository: str, server: str) -> None:
    with stopped(machine, f"server-{server}"):
        began = time.monotonic()
        expect_run(machine, job, "failed", repository, says="cannot be reached")
        assert time.monotonic() - began < 60


def test_failed_repository_does_not_keep_the_others_from_being_tried(machine: Machine) -> None:
    with stopped(machine, "server-rest"):
        attempt = machine.attempt("service-both")
    assert attempt.exit_status == 1
    expect(machine, attempt, "failed", "rest", says="cannot be reached")
    expect(machine, attempt, "complete", "nas")


def test_wrong_s3_key_is_a_failure_that_says_so(machine: Machine) -> None:
    with wrong(machine, "/etc/holdfast/secrets/bucket.env", "AWS_ACCESS_KEY_ID=AKIDCANARY4711\nAWS_SECRET_ACCESS_KEY=wrongwrongwrong"):
        expect_run(machine, "service-cloud", "failed", "bucket", says="refuses the credentials")


def test_terminated_run_is_a_failure(machine: Machine, heavy: None) -> None:
    def run() -> tuple[int, str]:
        with machine.under_way("service-slow"):
            machine.sh("systemctl stop holdfast-backup@service-slow.service")
        return 1, ""

    expect(machine, machine.attempt("service-slow", run), "failed", says="interrupted")
    assert machine.show("writer.service", "ActiveState") == "active"


def test_status_of_systemd_shows_progress(machine: Machine, heavy: None) -> None:
    with machine.under_way("service-slow"):
        shown = machine.sh("systemctl status holdfast-backup@service-slow.service", check=False)
    assert 'Status: "nas: ' in shown
    assert "MiB of " in shown
    assert " files" in shown


def test_journal_has_a_line_at_the_start_and_one_at_the_end(machine: Machine) -> None:
    began = time.time()
    expect_run(machine, "service-pair", "complete")
    lines = machine.journal(began, "--unit=holdfast-backup@service-pair.service", "--output=cat").splitlines()
    ours = [line for line in lines if line.startswith("service-pair: ")]
    assert "begins: /srv/pair/one, /srv/pair/two to nas" in ours[0]
    assert "ends: complete" in ours[-1]
    assert len(ours) <= 3
