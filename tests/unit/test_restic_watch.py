"""Ending a restic that gets nowhere."""

from __future__ import annotations

import time

import pytest

from holdfast.errors import HoldfastError
from holdfast.restic_output import BackupHearing
from holdfast.restic_watch import OPENING_LIMIT, Opening, Stall, patience

ERROR = "Stat: The AWS Access Key Id you provided does not exist in our records."
RETRYING = f"Load(<config/0000000000>) returned error, retrying after 552ms: {ERROR}"
STATUS = '{"message_type":"status","percent_done":0.5,"bytes_done":5}'


def hearing_of(*lines: str, status: bool = True) -> BackupHearing:
    """A run that said some lines, and perhaps began to read."""
    hearing = BackupHearing(None, None)
    if status:
        hearing.stdout(STATUS)
    for line in lines:
        hearing.stderr(line)
    return hearing


def unanswered() -> bool:
    """A repository that cannot be asked for its locks."""
    raise HoldfastError


def test_a_restic_that_only_retries_is_ended_and_its_last_error_known() -> None:
    opening = Opening(None, None)
    began = time.monotonic()
    assert opening.watch(began + 1000) is None
    opening.hear(RETRYING.replace("The AWS", "first"))
    opening.hear("plain")
    opening.hear(RETRYING)
    assert opening.watch(began + OPENING_LIMIT - 1) is None
    assert opening.watch(began + OPENING_LIMIT + 2) == f"gave up after {OPENING_LIMIT:.0f} s of retries"
    assert opening.last_error == ERROR


def test_the_watch_and_the_listener_of_a_run_are_heard_first() -> None:
    heard: list[str] = []
    opening = Opening(heard.append, lambda now: f"asked at {now}")
    opening.hear(RETRYING)
    assert heard == [RETRYING]
    assert opening.watch(5.0) == "asked at 5.0"


def test_a_run_without_progress_is_ended_and_told_by_its_setting() -> None:
    hearing = hearing_of()
    stall = Stall(600.0, 0.0, hearing, bool)
    assert stall.watch(hearing.moved_at + 599) is None
    assert stall.watch(hearing.moved_at + 601) == "made no progress for 600 s (holdfast_settings.stall_timeout)"


def test_progress_gives_a_run_more_time() -> None:
    hearing = hearing_of()
    stall = Stall(600.0, 0.0, hearing, bool)
    hearing.moved_at += 500
    assert stall.watch(hearing.moved_at + 599) is None


@pytest.mark.parametrize(("waited", "ended"), [(700.0, False), (1700.0, False), (1900.0, True)])
def test_waiting_for_a_lock_is_no_stall_for_as_long_as_it_may_wait(waited: float, ended: bool) -> None:
    hearing = hearing_of(status=False)
    stall = Stall(600.0, 1800.0, hearing, lambda: True)
    assert (stall.watch(time.monotonic() + waited) is not None) == ended


def test_without_a_lock_not_to_begin_is_a_stall() -> None:
    for is_locked in (bool, unanswered):
        stall = Stall(600.0, 1800.0, hearing_of(status=False), is_locked)
        assert stall.watch(time.monotonic() + 700) is not None


def test_a_run_that_began_does_not_wait_for_a_lock() -> None:
    stall = Stall(600.0, 1800.0, hearing_of(), lambda: True)
    assert stall.watch(time.monotonic() + 700) is not None


def test_a_run_that_only_retries_before_it_began_is_ended_soon_and_later_it_may_retry() -> None:
    assert Stall(600.0, 0.0, hearing_of(RETRYING, status=False), bool).watch(time.monotonic() + OPENING_LIMIT + 5) is not None
    assert Stall(600.0, 0.0, hearing_of(RETRYING), bool).watch(time.monotonic() + OPENING_LIMIT + 5) is None


def test_a_limited_rate_gives_what_is_in_flight_its_time() -> None:
    assert patience(600.0, 0) == 600.0
    assert patience(600.0, 128) == 600.0 + 1024.0
