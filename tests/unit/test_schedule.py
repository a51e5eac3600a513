"""From a frequency to OnCalendar=."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.schedule import FREQUENCIES, on_calendar

HOSTS = [f"host-{number:03}" for number in range(100)]
CLOCK = r"0[0-5]:[0-5]\d:[0-5]\d"
FORMS = {
    "hourly": r"\*-\*-\* \*:[0-5]\d:[0-5]\d",
    "daily": rf"\*-\*-\* {CLOCK}",
    "weekly": rf"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \*-\*-\* {CLOCK}",
    "monthly": rf"\*-\*-(0[1-9]|1\d|2[0-8]) {CLOCK}",
}


def spread(frequency: str) -> list[str]:
    """When a hundred hosts run the same job."""
    return [on_calendar(frequency, host, "service-grafana") for host in HOSTS]


@given(st.sampled_from(FREQUENCIES), st.text(), st.text())
def test_every_expression_lies_within_its_period(frequency: str, host: str, name: str) -> None:
    assert re.fullmatch(FORMS[frequency], on_calendar(frequency, host, name))


@pytest.mark.parametrize(
    ("frequency", "expression"),
    [
        ("hourly", "*-*-* *:12:21"),
        ("daily", "*-*-* 01:12:21"),
        ("weekly", "Fri *-*-* 01:12:21"),
        ("monthly", "*-*-05 01:12:21"),
    ],
)
def test_a_schedule_is_fixed_for_a_host_and_a_name(frequency: str, expression: str) -> None:
    assert on_calendar(frequency, "forge", "service-grafana") == expression


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_jobs_of_one_host_do_not_begin_together(frequency: str) -> None:
    assert len({on_calendar(frequency, "forge", f"job-{number}") for number in range(20)}) >= 19


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_no_minute_of_the_hour_holds_more_than_a_few_of_a_hundred_hosts(frequency: str) -> None:
    minutes = Counter(text.split(":")[-2] for text in spread(frequency))
    assert max(minutes.values()) <= 7
    assert len(minutes) >= 40


def test_daily_uses_all_six_hours_of_the_night() -> None:
    hours = Counter(text.split(" ")[-1][:2] for text in spread("daily"))
    assert sorted(hours) == ["00", "01", "02", "03", "04", "05"]
    assert max(hours.values()) <= 30


def test_weekly_uses_every_day_of_the_week() -> None:
    days = Counter(text[:3] for text in spread("weekly"))
    assert len(days) == 7
    assert max(days.values()) <= 30


def test_monthly_uses_most_days_of_the_month() -> None:
    days = Counter(text[4:6] for text in spread("monthly"))
    assert len(days) >= 24
    assert max(days.values()) <= 12


@pytest.mark.parametrize("expression", ["Sun 03:00", "*-*-* 04:30:00", "", "Mon..Fri 12:00 Europe/Berlin", "Daily"])
def test_an_expression_stays_as_it_is(expression: str) -> None:
    assert on_calendar(expression, "forge", "service-grafana") == expression


def test_systemd_takes_every_expression() -> None:
    expressions = [on_calendar(frequency, "forge", "service-grafana") for frequency in FREQUENCIES]
    subprocess.run(["systemd-analyze", "calendar", "--", *expressions], check=True, capture_output=True)
