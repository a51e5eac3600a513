"""Metrics for node_exporter's textfile collector."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast import metrics
from holdfast.state import COMPLETE, FAILED, PARTIAL, JobState, Outcome, RepositoryState, with_kept_success
from tests.unit.samples import TOOLS, make_expected, make_job

GOOD = Outcome(COMPLETE, 0, 1700000000.0, 1700000000.0, 145.0, 1, 2, 3, 4096, 8192, "abc")
SINCE_DECLARED = {"restic_backup_job_info", "restic_backup_rpo_seconds"}
SINCE_FIRST_RUN = {
    "restic_backup_status", "restic_backup_result", "restic_backup_exit_code", "restic_backup_duration_seconds",
    "restic_backup_last_run_timestamp", "restic_backup_last_success_timestamp", "restic_backup_files_new", "restic_backup_files_changed",
    "restic_backup_files_unmodified", "restic_backup_bytes_added", "restic_backup_bytes_processed",
}  # fmt: skip
FORGET = {"restic_forget_status", "restic_forget_duration_seconds", "restic_forget_last_success_timestamp"}
FORGOTTEN = RepositoryState(
    host="forge", forget_result=COMPLETE, forget_exit_code=0, forget_last_run=50.0, forget_last_success=50.0, forget_duration=2.0
)

Labels = frozenset[tuple[str, str]]


def parse(text: str) -> dict[str, dict[Labels, float]]:
    """The samples of a metric file by name and labels."""
    return {
        family.name: {frozenset(sample.labels.items()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def of_job(job: str = "service-grafana", *repositories: str, **outcomes: Outcome) -> dict[str, dict[Labels, float]]:
    """The samples of a job's file."""
    return parse(metrics.job_text(job, JobState(expected=make_expected(*repositories), outcomes=outcomes)))


def labels(repository: str = "nas", **more: str) -> Labels:
    """The labels of a job's sample."""
    return frozenset({"backup_job": "service-grafana", "repository": repository, "hostname": "forge", **more}.items())


def checked_by_promtool(text: str) -> Iterator[str]:
    """What promtool complains about."""
    done = subprocess.run([TOOLS / "promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    yield from (done.stdout + done.stderr).splitlines()


def test_before_the_first_run_a_job_has_its_promise_and_no_status() -> None:
    found = of_job()
    assert set(found) == SINCE_DECLARED
    assert found["restic_backup_job_info"] == {labels(): 1.0}
    assert found["restic_backup_rpo_seconds"] == {labels(): 180000.0}


def test_the_names_of_a_job_that_ran_are_those_that_are_promised() -> None:
    assert set(of_job(nas=GOOD)) == SINCE_DECLARED | SINCE_FIRST_RUN


def test_the_names_of_a_forget_are_those_that_are_promised() -> None:
    found = parse(metrics.repository_text("nas", FORGOTTEN))
    assert set(found) == FORGET
    assert found["restic_forget_status"] == {frozenset({("repository", "nas"), ("hostname", "forge")}): 1.0}


def test_every_metric_has_help_and_is_a_gauge() -> None:
    for family in text_string_to_metric_families(metrics.job_text("a", JobState(expected=make_expected(), outcomes={"nas": GOOD}))):
        assert family.documentation.endswith("."), family.name
        assert family.type == "gauge"


def test_figures_are_those_of_the_run() -> None:
    found = of_job(nas=GOOD)
    values = {name: samples[labels()] for name, samples in found.items() if labels() in samples}
    assert values == {
        "restic_backup_job_info": 1, "restic_backup_rpo_seconds": 180000, "restic_backup_status": 1, "restic_backup_exit_code": 0,
        "restic_backup_duration_seconds": 145, "restic_backup_last_run_timestamp": 1700000000,
        "restic_backup_last_success_timestamp": 1700000000, "restic_backup_files_new": 1, "restic_backup_files_changed": 2,
        "restic_backup_files_unmodified": 3, "restic_backup_bytes_added": 4096, "restic_backup_bytes_processed": 8192,
    }  # fmt: skip


@pytest.mark.parametrize(("result", "code", "status"), [(COMPLETE, 0, 1), (PARTIAL, 3, 0), (FAILED, 12, 0)])
def test_the_result_is_one_of_three(result: str, code: int, status: int) -> None:
    found = of_job(nas=Outcome(result, code, 100.0))
    assert found["restic_backup_result"] == {labels(result=word): float(word == result) for word in (COMPLETE, PARTIAL, FAILED)}
    assert found["restic_backup_status"] == {labels(): float(status)}
    assert found["restic_backup_exit_code"] == {labels(): float(code)}


def test_what_is_unknown_has_no_sample() -> None:
    found = of_job(nas=Outcome(FAILED, 1, 100.0))
    assert "restic_backup_last_success_timestamp" not in found
    assert "restic_backup_files_new" not in found
    assert "restic_backup_duration_seconds" not in found


def test_a_failed_run_keeps_the_last_success_and_spoils_no_other_repository() -> None:
    before = JobState(expected=make_expected("nas", "r2"), outcomes={"nas": GOOD, "r2": GOOD})
    after = before._replace(outcomes=with_kept_success(before, {"r2": Outcome(FAILED, 1, 1800000000.0)}))
    found = parse(metrics.job_text("service-grafana", after))
    assert found["restic_backup_status"] == {labels("nas"): 1.0, labels("r2"): 0.0}
    assert found["restic_backup_last_success_timestamp"] == {labels("nas"): 1700000000.0, labels("r2"): 1700000000.0}
    assert found["restic_backup_last_run_timestamp"] == {labels("nas"): 1700000000.0, labels("r2"): 1800000000.0}


def test_a_repository_that_the_job_left_has_no_sample() -> None:
    assert set(of_job("service-grafana", "nas", nas=GOOD, r2=GOOD)["restic_backup_status"]) == {labels("nas")}


def test_a_failed_forget_keeps_its_last_success() -> None:
    found = parse(metrics.repository_text("nas", FORGOTTEN._replace(forget_result=FAILED, forget_last_run=60.0)))
    assert list(found["restic_forget_status"].values()) == [0.0]
    assert list(found["restic_forget_last_success_timestamp"].values()) == [50.0]


def test_nothing_is_said_of_a_repository_before_its_first_forget() -> None:
    assert metrics.repository_text("nas", RepositoryState(host="forge", id="abc")) == ""


@pytest.mark.parametrize(
    "state", [JobState(expected=make_expected("nas", "r2")), JobState(expected=make_expected("nas", "r2"), outcomes={"nas": GOOD})]
)
def test_promtool_finds_nothing_to_say(state: JobState) -> None:
    assert list(checked_by_promtool(metrics.job_text("service-grafana", state))) == []
    assert list(checked_by_promtool(metrics.repository_text("nas", FORGOTTEN))) == []


def test_a_file_is_written_only_when_it_changes(tmp_path: Path) -> None:
    state = JobState(expected=make_expected(directory=str(tmp_path)), outcomes={"nas": GOOD})
    assert metrics.publish_job("a", state)
    assert not metrics.publish_job("a", state)
    assert [path.name for path in tmp_path.iterdir()] == ["holdfast_backup_a.prom"]
    assert (tmp_path / "holdfast_backup_a.prom").stat().st_mode & 0o777 == 0o644


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "holdfast_backup_a.prom").write_bytes(b"\xff\xfe\0")
    assert metrics.publish_job("a", JobState(expected=make_expected(directory=str(tmp_path))))
    assert parse((tmp_path / "holdfast_backup_a.prom").read_text())["restic_backup_job_info"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(metrics.MetricsError, match=r"holdfast_backup_a\.prom: No such file or directory"):
        metrics.publish_job("a", JobState(expected=make_expected(directory=str(tmp_path / "missing"))))
    with pytest.raises(metrics.MetricsError, match=r"holdfast_forget_nas\.prom: "):
        metrics.publish_repository("nas", FORGOTTEN._replace(textfile_directory=str(tmp_path / "missing")))


def test_nothing_is_published_of_a_job_that_nobody_expects(tmp_path: Path) -> None:
    assert not metrics.publish_job("a", JobState(outcomes={"nas": GOOD}))
    assert not metrics.publish_repository("nas", RepositoryState())
    assert not any(tmp_path.iterdir())


def test_stale_files_are_ours_alone(tmp_path: Path) -> None:
    names = [
        "holdfast_backup_a.prom", "holdfast_backup_gone.prom", "holdfast_forget_nas.prom", "holdfast_forget_gone.prom", "node.prom",
        "restic_backup_a.prom", "holdfast_backup_gone.txt", "my_holdfast_backup_x.prom", "holdfast_other.prom",
        "holdfast_backup_gone.prom.bak", "holdfast_zfs.prom", "holdfast_zfs_mine.prom",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    stale = metrics.stale_files(tmp_path, {"a": make_job("a")}, ["nas"])
    assert [path.name for path in stale] == ["holdfast_backup_gone.prom", "holdfast_forget_gone.prom", "holdfast_zfs.prom"]
    stale = metrics.stale_files(tmp_path, {"a": make_job("a", zfs_dataset="tank/a")}, ["nas"])
    assert [path.name for path in stale] == ["holdfast_backup_gone.prom", "holdfast_forget_gone.prom"]


def test_there_is_nothing_stale_in_a_directory_that_is_missing(tmp_path: Path) -> None:
    assert metrics.stale_files(tmp_path / "missing", {}, []) == []
