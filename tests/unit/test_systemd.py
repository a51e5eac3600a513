"""systemd: paths, schedules and notifications."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from holdfast import names, systemd
from tests.unit.samples import ODD_PATHS


def escaped_by_systemd(paths: Sequence[str]) -> list[str]:
    """What systemd-escape makes of paths."""
    done = subprocess.run(["systemd-escape", "--path", "--", *paths], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_paths_are_escaped_as_systemd_escapes_them() -> None:
    paths = [path for path in ODD_PATHS if "\n" not in path]
    assert dict(zip(paths, map(systemd.escape_path, paths))) == dict(zip(paths, escaped_by_systemd(paths)))


@pytest.mark.parametrize(
    ("path", "escaped"),
    [
        ("/", "-"), ("/srv/app/", "srv-app"), ("/srv/my-app", r"srv-my\x2dapp"), ("/.x/.y", r"\x2ex-.y"), ("/a b", r"a\x20b"),
        ("/é", r"\xc3\xa9"), ("/50%", r"50\x25"),
    ],
)  # fmt: skip
def test_known_escapes(path: str, escaped: str) -> None:
    assert systemd.escape_path(path) == escaped


def test_the_next_time_of_each_schedule_is_told() -> None:
    now = time.time()
    schedules = ["*-*-* *:17:23", "*-*-* 04:15:47 UTC", "Mon *-*-* 03:00:00 Europe/Berlin", "*-*-01 00:00:00", "04:30 UTC"]
    found = systemd.next_elapses(schedules)
    assert list(found) == schedules
    assert all(now - 1 <= moment <= now + 32 * 86400 for moment in found.values())
    moments = {schedule: datetime.fromtimestamp(moment, timezone.utc) for schedule, moment in found.items()}
    assert (moments[schedules[0]].minute, moments[schedules[0]].second) == (17, 23)
    assert f"{moments[schedules[1]]:%H:%M:%S}" == "04:15:47"
    assert f"{moments[schedules[2]]:%a %H}" in ("Mon 02", "Mon 01")
    assert f"{moments[schedules[4]]:%H:%M}" == "04:30"


def test_a_schedule_that_never_comes_up_or_is_none_has_no_next_time() -> None:
    found = systemd.next_elapses(["2020-01-01 00:00:00", "nonsense", "*-*-* *:17:23"])
    assert set(found) == {"*-*-* *:17:23"}
    assert time.gmtime(found["*-*-* *:17:23"]).tm_min == 17
    assert systemd.next_elapses([]) == {}


def test_schedules_that_systemd_does_not_take_are_told() -> None:
    assert systemd.wrong_calendars(["Sun 03:00", "dayly", "daily", "25:00", "--help"]) == ["dayly", "25:00", "--help"]


def test_a_unit_is_enabled_by_its_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "UNITS", str(tmp_path))
    assert not systemd.is_enabled("a.timer")
    (tmp_path / "timers.target.wants").mkdir()
    (tmp_path / "timers.target.wants/a.timer").symlink_to("/nowhere/a.timer")
    assert systemd.is_enabled("a.timer")
    assert not systemd.is_enabled("a.timer", "multi-user.target")


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    address = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        systemd.status("47%, 1.0 GiB of 2.1 GiB")
        assert manager.recv(100) == b"STATUS=47%, 1.0 GiB of 2.1 GiB"


def test_without_a_service_manager_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.status("x")
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/gone")
    systemd.status("x")
