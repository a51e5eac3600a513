# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a frequency to OnCalendar=, spread by an offset that depends on nothing but host and name."""

from __future__ import annotations

import zlib

_NIGHT = 6 * 3600
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FREQUENCIES = ("hourly", "daily", "weekly", "monthly")


def on_calendar(frequency: str, host: str, name: str) -> str:
    """An expression for OnCalendar= (systemd.time(7)).

    ``hourly`` is spread over the hour; the others over the first six hours of the day, in local time, ``weekly`` over all days of the week
    and ``monthly`` over the first 28 days of the month. Any other text is taken for an expression, and stays as it is.

    Args:
        frequency: one of the four words, or an expression.
        host: the inventory's name of the host.
        name: of the job or repository.
    """
    if frequency not in FREQUENCIES:
        return frequency
    number = zlib.crc32(f"{host}/{name}".encode())
    if frequency == "hourly":
        minute, second = divmod(number % 3600, 60)
        return f"*-*-* *:{minute:02}:{second:02}"
    number, seconds = divmod(number, _NIGHT)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if frequency == "weekly":
        return f"{_DAYS[number % 7]} *-*-* {clock}"
    if frequency == "monthly":
        return f"*-*-{1 + number % 28:02} {clock}"
    return f"*-*-* {clock}"
