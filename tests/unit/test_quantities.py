"""Durations, sizes and moments."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import quantities

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


@pytest.fixture
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from("smhdw")), min_size=1, max_size=5))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert quantities.parse_duration(text) == sum(number * SECONDS[unit] for number, unit in parts)


@pytest.mark.parametrize(("written", "seconds"), [("26h", 93600), ("1h30m", 5400), ("35d", 3024000), (90, 90), ("90", 90), (" 10m ", 600)])
def test_durations_are_read_as_people_write_them(written: object, seconds: int) -> None:
    assert quantities.parse_duration(written) == seconds


@pytest.mark.parametrize("wrong", ["h", "26 hours", "1.5h", "-5m", "5m!", "1h 30m", "1y", True, None, [], -3, 1.5])
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=re.escape(str(wrong))):
        quantities.parse_duration(wrong)


@pytest.mark.parametrize(
    ("written", "size"),
    [("512M", 512 * 1024**2), ("1.5G", 1536 * 1024**2), ("2T", 2 * 1024**4), ("10KB", 10240), ("7", 7), (7, 7), ("3b", 3)],
)
def test_sizes_are_read_as_people_write_them(written: object, size: int) -> None:
    assert quantities.parse_size(written) == size


@pytest.mark.parametrize("wrong", ["M", "lots", "-1M", "1 M", "1MM", "5MiB", "1e3", True, None])
def test_what_is_no_size_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=re.escape(str(wrong))):
        quantities.parse_size(wrong)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    for parse in (quantities.parse_duration, quantities.parse_size):
        with suppress(ValueError):
            assert parse(text) >= 0


@given(st.integers(0, 10**9))
def test_a_formatted_duration_is_exact_to_its_smaller_unit(seconds: int) -> None:
    parts = re.findall(r"(\d+) (s|min|h|d)\b", quantities.format_duration(seconds))
    shown = sum(int(number) * SECONDS[unit] for number, unit in parts)
    smaller = {"s": 1, "min": 1, "h": 60, "d": 3600}[parts[0][1]]
    assert len(parts) <= 2
    assert 0 <= seconds - shown < smaller


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0 s"), (0.4, "0.4 s"), (4, "4 s"), (59, "59 s"), (60, "1 min"), (190, "3 min 10 s"), (90000, "1 d 1 h")],
)
def test_durations_are_shown(seconds: float | None, text: str) -> None:
    assert quantities.format_duration(seconds) == text


@given(st.integers(0, 10**15))
def test_a_formatted_size_is_right_to_its_last_digit(count: int) -> None:
    number, unit = quantities.format_bytes(count).split(" ")
    assert abs(float(number) * BYTES[unit] - count) <= 0.05 * BYTES[unit]


@pytest.mark.parametrize(("count", "text"), [(None, "-"), (0, "0 B"), (812, "812 B"), (4404019, "4.2 MiB"), (3 * 1024**5, "3072.0 TiB")])
def test_sizes_are_shown(count: float | None, text: str) -> None:
    assert quantities.format_bytes(count) == text


@pytest.mark.usefixtures("_in_berlin")
def test_moments_are_local_unless_they_name_an_offset() -> None:
    assert quantities.parse_time("2026-11-20 03:00") == quantities.parse_time("2026-11-20T02:00:00Z")
    assert quantities.parse_time("2026-11-20T03:00+01:00") == quantities.parse_time(" 2026-11-20 03:00 ")
    assert quantities.format_time(quantities.parse_time("2026-11-20T02:00:00Z")) == "2026-11-20 03:00:00"


def test_no_moment_is_shown_as_never() -> None:
    assert quantities.format_time(None) == "never"


@pytest.mark.parametrize("wrong", ["", "yesterday", "2026-13-01", "20:00"])
def test_what_is_no_moment_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        quantities.parse_time(wrong)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),
    st.integers(0, 999),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_time_of_restic_is_read_to_the_microsecond(moment: datetime, nanoseconds: int, zone: timezone) -> None:
    there = moment.replace(tzinfo=timezone.utc).astimezone(zone)
    offset = there.strftime("%z")
    text = f"{there:%Y-%m-%dT%H:%M:%S}.{there.microsecond:06}{nanoseconds:03}{offset[:3]}:{offset[3:]}"
    assert quantities.restic_time(text) == pytest.approx(there.timestamp(), abs=2e-6)


def test_a_time_of_restic_may_be_the_beginning_of_its_calendar() -> None:
    assert quantities.restic_time("0001-01-01T00:00:00Z") < 0
    assert quantities.restic_time("1970-01-01T00:00:01.5Z") == 1.5


@pytest.mark.parametrize("wrong", ["2026-11-20", "2026-11-20T03:00:00", "now"])
def test_what_is_no_time_of_restic_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        quantities.restic_time(wrong)
