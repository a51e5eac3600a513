# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Durations, sizes, moments and names: read from what people write, written for people to read."""

from __future__ import annotations

import re
import time

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+)([smhdw])")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)B?", re.IGNORECASE)


def parse_duration(value: object) -> int:
    """Seconds in ``26h``, ``1h30m``, ``35d`` or a whole number of seconds.

    Raises:
        ValueError: it is neither.
    """
    text = str(value).strip()
    if isinstance(value, bool):
        raise ValueError(text)
    if text.isdecimal():
        return int(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise ValueError(text)
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def parse_size(value: object) -> int:
    """Bytes in ``512M``, ``1.5G`` or a plain number, with binary prefixes as systemd reads them.

    Raises:
        ValueError: it is neither.
    """
    found = _SIZE.fullmatch(str(value).strip())
    if not found or isinstance(value, bool):
        raise ValueError(str(value))
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def format_duration(seconds: float | None) -> str:
    """``4 s``, ``3 min 10 s``, ``5 h 2 min``, ``3 d 4 h``; ``-`` for None."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {name}" if rest else f"{whole // size} {unit}"
    return f"{seconds:.1f} s" if isinstance(seconds, float) and seconds < 10 else f"{whole} s"


def format_bytes(count: float | None) -> str:
    """``812 B``, ``4.2 MiB``; ``-`` for None."""
    if count is None:
        return "-"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{int(size)} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def format_time(timestamp: float | None) -> str:
    """Local time to the second, for people; ``never`` for None."""
    if timestamp is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))


def counted(number: int, noun: str) -> str:
    """``1 path``, ``2 paths``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """A text, such as a file's name, with what would break a line or reach the terminal written out."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text)


def parse_time(text: str) -> float:
    """The Unix time of a moment such as ``2026-11-20 03:00``, local time unless it names an offset.

    Raises:
        ValueError: it is not in ISO 8601 form.
    """
    from datetime import datetime

    return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).timestamp()


def restic_time(text: str) -> float:
    """The Unix time of a time stamp as restic prints it: RFC 3339 with nanoseconds."""
    from datetime import datetime

    found = re.fullmatch(r"(.*?)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if not found:
        raise ValueError(text)
    offset = "+00:00" if found[3] == "Z" else found[3]
    return datetime.fromisoformat(found[1] + offset).timestamp() + float(found[2] or 0)
