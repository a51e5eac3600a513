"""What is remembered of each job and repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast import state
from holdfast.records import plain
from holdfast.state import COMPLETE, FAILED, PARTIAL, Expected, JobState, Outcome, RepositoryState, Running
from tests.unit.samples import NAS, R2, make_expected, make_job, make_manifest

pytestmark = pytest.mark.usefixtures("host")

FULL = JobState(
    expected=make_expected("nas", "r2"),
    outcomes={"nas": Outcome(COMPLETE, 0, 1000.5, 1000.5, 3.25, 1, 2, 3, 4, 5, "abc"), "r2": Outcome(FAILED, 1, 1001.0, error="é")},
    running=Running("run", "invocation", 7, 999.0, ("a.service",), True),
    last_failed_invocation="before",
)
DAMAGED = [
    b"", b"{", b"null", b"[]", b"[1]", b"7", b'"text"', b"\xff\xfe\x00", b"\0" * 64, b'{"outcomes": []}', b'{"outcomes": {"nas": {}}}',
    b'{"outcomes": {"nas": null}}', b'{"expected": {"host": "x"}}', b'{"expected": 5}', b'{"running": []}', b'{"running": {"run": "x"}}',
]  # fmt: skip


def write(path: Path, content: bytes) -> None:
    """Put a file below the state directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_what_is_written_is_read_again() -> None:
    state.write_job("a", FULL)
    assert state.read_job("a") == FULL


def test_a_job_that_never_ran_is_known_for_nothing() -> None:
    assert state.read_job("a") == JobState()


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_state_file_is_taken_for_an_empty_one(content: bytes) -> None:
    write(state.job_path("a"), content)
    assert state.read_job("a") == JobState()


def test_keys_of_a_later_release_are_passed_over() -> None:
    document = plain(FULL)
    for mapping in (document, document["expected"], document["running"], document["outcomes"]["nas"]):
        mapping["later"] = {"new": 1}
    write(state.job_path("a"), json.dumps(document).encode())
    assert state.read_job("a") == FULL


def test_the_state_of_an_earlier_release_without_the_newer_keys_is_read() -> None:
    write(state.job_path("a"), b'{"outcomes": {"nas": {"result": "complete", "exit_code": 0, "last_run": 5.0}}}')
    assert state.read_job("a").outcomes["nas"].last_run == 5.0


def test_a_failed_run_keeps_the_last_success() -> None:
    before = JobState(outcomes={"nas": Outcome(COMPLETE, 0, 100.0, 100.0)})
    for result, code in ((FAILED, 1), (PARTIAL, 3)):
        merged = state.with_kept_success(before, {"nas": Outcome(result, code, 200.0)})
        assert merged["nas"].last_success == 100.0
        assert merged["nas"].result == result


def test_a_complete_run_is_the_last_success() -> None:
    before = JobState(outcomes={"nas": Outcome(COMPLETE, 0, 100.0, 100.0)})
    assert state.with_kept_success(before, {"nas": Outcome(COMPLETE, 0, 200.0, 200.0)})["nas"].last_success == 200.0


def test_a_run_that_did_not_reach_a_repository_leaves_its_outcome() -> None:
    known = Outcome(COMPLETE, 0, 100.0, 100.0)
    merged = state.with_kept_success(JobState(outcomes={"nas": known}), {"r2": Outcome(FAILED, 1, 200.0)})
    assert merged["nas"] == known
    assert merged["r2"].last_success is None


@pytest.mark.parametrize(
    ("results", "worst"),
    [([COMPLETE], COMPLETE), ([COMPLETE, PARTIAL], PARTIAL), ([FAILED, PARTIAL, COMPLETE], FAILED), ([], FAILED)],
)
def test_the_worst_result_counts_and_none_at_all_is_a_failure(results: list[str], worst: str) -> None:
    assert state.worst(results) == worst


def test_history_keeps_the_last_hundred_runs_oldest_first() -> None:
    for number in range(103):
        state.append_history("a", {"run": str(number)})
    assert [json.loads(line)["run"] for line in state.history_lines("a")] == [str(number) for number in range(3, 103)]


def test_there_is_no_history_before_the_first_run() -> None:
    assert state.history_lines("a") == []


@pytest.mark.parametrize("content", [b"\xff\xfe{", b'{"run": "cut of', b"\0\0\0"])
def test_a_damaged_history_takes_another_run(content: bytes) -> None:
    write(state.history_path("a"), content)
    state.append_history("a", {"run": "next"})
    assert json.loads(state.history_lines("a")[-1]) == {"run": "next"}


def test_a_run_is_kept_in_history_with_all_of_its_outcomes() -> None:
    entry = state.history_entry("r", 1.0, PARTIAL, FULL.outcomes)
    state.append_history("a", entry)
    assert json.loads(state.history_lines("a")[0]) == entry
    assert entry["repositories"]["r2"]["error"] == "é"


def test_a_forgotten_job_leaves_nothing() -> None:
    state.write_job("a", FULL)
    state.append_history("a", {})
    state.write_job("b", FULL)
    state.forget_job("a")
    state.forget_job("a")
    assert state.known_jobs() == ["b"]
    assert not state.history_path("a").exists()


def test_jobs_are_known_by_their_names() -> None:
    for name in ("service-grafana", "a.b", "x.json"):
        state.write_job(name, FULL)
    assert state.known_jobs() == ["a.b", "service-grafana", "x.json"]


def test_what_a_manifest_says_of_a_job_is_expected() -> None:
    job = make_job(repositories=("nas", "r2"), protection="critical", frequency="Sun 04:00")
    found = Expected.of(make_manifest(job, repositories=(NAS, R2)), job)
    assert (found.host, found.repositories, found.service) == ("forge", ("nas", "r2"), "grafana")
    assert (found.rpo, found.protection, found.calendar) == (26 * 3600, "critical", "Sun 04:00")
    assert found.textfile_directory == "/var/lib/prometheus/node-exporter"


def test_a_repository_is_remembered_with_its_id() -> None:
    known = RepositoryState(id="d1116f28", url="/mnt/nas", forget_result=COMPLETE, forget_last_run=5.0)
    state.write_repository("nas", known)
    assert state.read_repository("nas") == known
    assert state.read_repository("other") == RepositoryState()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"\0\0"])
def test_a_known_repository_is_never_taken_for_an_unknown_one(content: bytes) -> None:
    write(state.repository_path("nas"), content)
    with pytest.raises(state.DamagedState, match=r"is damaged"):
        state.read_repository("nas")


def test_state_is_for_all_to_read() -> None:
    state.write_job("a", FULL)
    assert state.job_path("a").stat().st_mode & 0o777 == 0o644
