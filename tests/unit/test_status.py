"""How well each job is protected now."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast import layout, names, state, status
from holdfast.state import COMPLETE, FAILED, JobState, Outcome, Running
from tests.unit.samples import make_expected

pytestmark = pytest.mark.usefixtures("host")

# The keys that design section 3 promises.
PROMISED = {
    "job", "service", "repository", "protection", "result", "last_run", "last_success", "age_seconds", "rpo_seconds", "within_rpo",
    "duration_seconds", "bytes_added", "files_new", "next_run",
}  # fmt: skip


def collect() -> dict[str, Any]:
    """The status document of a host whose manifest has every job that is expected."""
    jobs: dict[str, dict[str, str]] = {job: {} for job in state.known_jobs() if state.read_job(job).expected}
    layout.MANIFEST.write_text(json.dumps({"host": "forge", "jobs": jobs, "repositories": {}}))
    return status.collect()


def entries(**known: JobState) -> list[dict[str, Any]]:
    """The entries of the status document for jobs by name."""
    for job, what in known.items():
        state.write_job(job, what)
    document = collect()
    assert document["host"] == "forge"
    assert abs(document["generated"] - time.time()) < 5
    found: list[dict[str, Any]] = document["jobs"]
    return found


def succeeded(age: float) -> Outcome:
    """A complete run of some age in seconds."""
    then = time.time() - age
    return Outcome(COMPLETE, 0, then, then, 12.5, 1, 2, 3, 4, 5, "abc")


def test_an_entry_has_all_that_is_promised() -> None:
    (found,) = entries(a=JobState(expected=make_expected(), outcomes={"nas": succeeded(60)}))
    assert set(found) >= PROMISED
    assert (found["job"], found["service"], found["repository"], found["protection"]) == ("a", "grafana", "nas", "standard")
    assert (found["result"], found["duration_seconds"], found["bytes_added"], found["files_new"]) == (COMPLETE, 12.5, 4, 1)
    assert found["rpo_seconds"] == 180000
    assert found["age_seconds"] == pytest.approx(60, abs=5)


def test_a_job_that_never_ran_is_not_protected_and_its_figures_are_unknown() -> None:
    (found,) = entries(a=JobState(expected=make_expected()))
    assert not found["within_rpo"]
    assert {key for key in PROMISED if found[key] is None} == {
        "result", "last_run", "last_success", "age_seconds", "duration_seconds", "bytes_added", "files_new", "next_run",
    }  # fmt: skip


@pytest.mark.parametrize(("age", "within"), [(179000, True), (181000, False), (-3600, True)])
def test_the_age_of_the_last_success_is_what_counts(age: float, within: bool) -> None:
    (found,) = entries(a=JobState(expected=make_expected(), outcomes={"nas": succeeded(age)}))
    assert found["within_rpo"] == within
    assert found["age_seconds"] >= 0


def test_a_failed_run_within_the_promise_is_still_protected() -> None:
    outcome = Outcome(FAILED, 12, time.time(), time.time() - 3600, error="wrong password")
    (found,) = entries(a=JobState(expected=make_expected(), outcomes={"nas": outcome}))
    assert found["within_rpo"]
    assert found["result"] == FAILED
    assert found["error"] == "wrong password"


def test_there_is_an_entry_for_each_job_and_repository() -> None:
    found = entries(b=JobState(expected=make_expected("nas", "r2")), a=JobState(expected=make_expected("r2")))
    assert [(entry["job"], entry["repository"]) for entry in found] == [("a", "r2"), ("b", "nas"), ("b", "r2")]


def test_a_job_that_left_the_inventory_has_no_entry() -> None:
    assert entries(a=JobState(outcomes={"nas": succeeded(1)})) == []


def test_a_run_under_way_is_told() -> None:
    (found,) = entries(a=JobState(expected=make_expected(), running=Running("r", "", 1, 0.0)))
    assert found["running"]


def test_the_next_run_is_told_where_the_timer_is_enabled(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "UNITS", str(host / "units"))
    (host / "units/timers.target.wants").mkdir(parents=True)
    (host / "units/timers.target.wants/holdfast-backup@a.timer").symlink_to("x")
    expected = make_expected()._replace(calendar="*-*-* *:17:23")
    first, second = entries(a=JobState(expected=expected), b=JobState(expected=expected))
    assert 0 <= first["next_run"] - time.time() <= 3600
    assert time.gmtime(first["next_run"])[4:6] == (17, 23)
    assert second["next_run"] is None


def test_the_unprotected_are_told_apart() -> None:
    state.write_job("a", JobState(expected=make_expected(), outcomes={"nas": succeeded(1)}))
    state.write_job("b", JobState(expected=make_expected()))
    assert [entry["job"] for entry in status.unprotected(collect())] == ["b"]


def test_a_thousand_jobs_are_told_at_once() -> None:
    state.write_job("job-0", JobState(expected=make_expected(), outcomes={"nas": succeeded(60)}))
    for number in range(1, 1000):
        state.job_path(f"job-{number}").write_bytes(state.job_path("job-0").read_bytes())
    times = []
    for _ in range(3):
        began = time.process_time()
        assert len(collect()["jobs"]) == 1000
        times.append(time.process_time() - began)
    assert min(times) < 0.25
