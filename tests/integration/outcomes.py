"""What must be true after a run, whatever way it ended."""

from __future__ import annotations

from tests.integration.machine import Attempt, Machine

EXIT_STATUS = {"complete": 0, "failed": 1, "partial": 3}


def expect(
    machine: Machine, attempt: Attempt, result: str, repository: str = "nas", *, exit_code: int | None = None, says: str = ""
) -> None:
    """Check all that tells of a run in one repository: metrics, state, history, the status document.

    Args:
        machine: where it ran.
        attempt: the run.
        result: how it must have ended.
        repository: in which repository.
        exit_code: the metric of that name; left out for a failure: anything but 0 and 3.
        says: part of the reason that people are given.
    """
    before, after = attempt.before[repository], attempt.after[repository]
    assert after.result == result
    assert after["status"] == (1 if result == "complete" else 0)
    _expect_exit_code(after["exit_code"], result, exit_code)
    assert after["last_run_timestamp"] is not None
    assert attempt.began <= after["last_run_timestamp"]
    success = after["last_run_timestamp"] if result == "complete" else before["last_success_timestamp"]
    assert after["last_success_timestamp"] == success
    assert after["job_info"] == 1
    assert after["rpo_seconds"] == before["rpo_seconds"]

    state = machine.state(attempt.job)
    assert state["running"] is None
    outcome = state["outcomes"][repository]
    assert (outcome["result"], outcome["last_success"]) == (result, success)
    assert says in (outcome["error"] or "")

    last = machine.history(attempt.job)[-1]
    assert last["began"] >= attempt.began
    assert last["repositories"][repository]["result"] == result

    entry = machine.entry(attempt.job, repository)
    assert (entry["result"], entry["last_success"], entry["last_run"]) == (result, success, after["last_run_timestamp"])


def _expect_exit_code(found: float | None, result: str, wanted: int | None) -> None:
    if wanted is not None:
        assert found == wanted
    elif result == "failed":
        assert found not in (None, 0, 3)
    else:
        assert found == EXIT_STATUS[result]


def expect_run(
    machine: Machine, job: str, result: str, repository: str = "nas", *, exit_code: int | None = None, says: str = ""
) -> Attempt:
    """Run a job with the command and check all that tells of it."""
    attempt = machine.attempt(job)
    assert attempt.exit_status == EXIT_STATUS[result], attempt.said
    expect(machine, attempt, result, repository, exit_code=exit_code, says=says)
    return attempt
