# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd: the only place that knows systemctl's arguments and output and the notification socket."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from . import names, process
from .errors import HoldfastError

_LIMIT = 90.0
_ATTEMPTS = 20


class SystemdError(HoldfastError):
    """systemctl failed."""


def _systemctl(*arguments: str, doing: str, limit: float = _LIMIT, shielded: bool = False) -> str:
    completed = process.run(
        ["systemctl", *arguments],
        doing=doing,
        limit=limit,
        environment={"TZ": "UTC"},
        shielded=shielded,
        keep_output=True,
    )
    if completed.status != 0:
        raise SystemdError(f"{doing}: {completed.complaint}")
    return completed.stdout


def daemon_reload() -> None:
    """Make systemd read its unit files again."""
    _systemctl("daemon-reload", doing="systemctl daemon-reload")


def start(units: Sequence[str], *, shielded: bool = False) -> None:
    """Start units and wait for them; a signal does not break a shielded start off."""
    if units:
        _systemctl("start", *units, doing=f"starting {', '.join(units)}", limit=300.0, shielded=shielded)


def stop(units: Sequence[str]) -> None:
    """Stop units and wait for them."""
    if units:
        _systemctl("stop", *units, doing=f"stopping {', '.join(units)}", limit=300.0)


def enable_now(units: Sequence[str]) -> None:
    """Enable units and start them."""
    if units:
        _systemctl("enable", "--now", "--quiet", *units, doing="enabling timers")


def enable(units: Sequence[str]) -> None:
    """Enable units without starting them."""
    _systemctl("enable", "--quiet", *units, doing=f"enabling {', '.join(units)}")


def is_enabled(unit: str, target: str = "timers.target") -> bool:
    """Whether a unit starts with a target: the link that ``systemctl enable`` makes."""
    return os.path.lexists(f"{names.UNITS}/{target}.wants/{unit}")


def disable_now(units: Sequence[str]) -> None:
    """Disable units and stop them."""
    if units:
        _systemctl("disable", "--now", "--quiet", *units, doing="disabling timers")


def restart(units: Sequence[str]) -> None:
    """Restart units, such as timers whose schedule changed."""
    if units:
        _systemctl("restart", *units, doing="restarting timers")


def run_to_end(unit: str) -> int:
    """Start a unit that runs a program to its end, wait for it, and give the program's exit status; 1 where a signal ended it.

    A start that is merged into an earlier run's, which systemd still tears down, begins nothing: then start again.
    """
    for _attempt in range(_ATTEMPTS):
        before = _invocation(unit)
        completed = process.run(["systemctl", "start", unit], doing=f"running {unit}", limit=7 * 86400.0)
        if completed.status != 0:
            return exit_status(unit)
        after = _invocation(unit)
        # systemd forgets a unit that no timer refers to as soon as it has ended; one that was not there before either has run now.
        forgotten = not before and not after
        if forgotten or (after and after != before):
            return 0
    raise SystemdError(f"{unit}: could not be started anew. See: systemctl status {unit}")


def _invocation(unit: str) -> str:
    return properties([unit], ["InvocationID"])[0].get("InvocationID", "")


def exit_status(unit: str) -> int:
    """The exit status of a failed unit's main process; 1 where it was killed or never began."""
    found = properties([unit], ["ExecMainCode", "ExecMainStatus"])[0]
    return int(found.get("ExecMainStatus") or 0) or 1 if found.get("ExecMainCode") == "1" else 1


def properties(units: Sequence[str], names: Sequence[str]) -> list[Mapping[str, str]]:
    """Some properties of units (names or patterns), all in one call; each mapping also has ``Id``."""
    if not units:
        return []
    text = _systemctl("show", f"--property={','.join(['Id', *names])}", *units, doing="systemctl show")
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n") if block.strip()]


def active_units(units: Iterable[str]) -> list[str]:
    """Those of the units that are running or starting."""
    return [
        found["Id"]
        for found in properties(list(units), ["ActiveState"])
        if found.get("ActiveState") in ("active", "activating", "reloading")
    ]


def active(pattern: str) -> set[str]:
    """The loaded units of a pattern that are active; one call, whatever their number."""
    arguments = ("list-units", "--all", "--plain", "--no-legend", "--full", "--state=active", pattern)
    return {line.split()[0] for line in _systemctl(*arguments, doing="systemctl list-units").splitlines() if line.strip()}


def next_elapses(calendars: Sequence[str]) -> dict[str, float]:
    """When each calendar expression comes up next, in Unix seconds; all in one call."""
    known = list(dict.fromkeys(calendars))
    if not known:
        return {}
    completed = process.run(["systemd-analyze", "calendar", "--", *known], doing="systemd-analyze calendar", limit=_LIMIT, keep_output=True)
    found: dict[str, float] = {}
    for block in completed.stdout.split("\n\n"):
        fields = {label.strip(): value.strip() for label, _colon, value in (line.partition(": ") for line in block.splitlines())}
        moment = fields.get("(in UTC)") or fields.get("Next elapse", "")
        if moment.endswith(" UTC"):
            found[fields.get("Original form") or fields["Normalized form"]] = _utc(moment)
    return found


def _utc(moment: str) -> float:
    """The Unix time of ``Tue 2026-11-24 06:35:37 UTC``."""
    from datetime import datetime

    _weekday, day, clock, _zone = moment.split()
    return datetime.fromisoformat(f"{day}T{clock}+00:00").timestamp()


def wrong_calendars(expressions: Sequence[str]) -> list[str]:
    """Those of the expressions that systemd does not take for OnCalendar=."""
    wrong = []
    for expression in dict.fromkeys(expressions):
        completed = process.run(["systemd-analyze", "calendar", "--", expression], doing="systemd-analyze calendar", limit=20.0)
        if completed.status != 0:
            wrong.append(expression)
    return wrong


def escape_path(path: str) -> str:
    """A path as unit names have it (systemd.unit(5), "String escaping for inclusion in unit names")."""
    stripped = path.strip("/")
    if not stripped:
        return "-"
    escaped = []
    for index, byte in enumerate(os.fsencode(stripped)):
        letter = chr(byte)
        if letter == "/":
            escaped.append("-")
        elif (letter.isascii() and letter.isalnum()) or letter in ":_" or (letter == "." and index > 0):
            escaped.append(letter)
        else:
            escaped.append(f"\\x{byte:02x}")
    return "".join(escaped)


def notify(message: str) -> None:
    """Tell the service manager, where there is one (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(message.encode(), address)
        except OSError:
            return


def status(text: str) -> None:
    """The line that ``systemctl status`` shows."""
    notify(f"STATUS={text}")
