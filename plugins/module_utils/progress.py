# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a long run is: a value and a text."""

from __future__ import annotations

from .quantities import format_bytes, format_duration
from .records import NamedTuple


class Progress(NamedTuple):
    """How far a backup or restore is; None where restic does not know yet."""

    fraction: float
    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    seconds_left: int | None


def progress_text(progress: Progress) -> str:
    """How far a run is, in one line."""
    left = f", {format_duration(progress.seconds_left)} left" if progress.seconds_left else ""
    return (
        f"{progress.fraction:.0%}, {format_bytes(progress.bytes_done)} of {format_bytes(progress.bytes_total)}, "
        f"{progress.files_done} of {progress.files_total} files{left}"
    )
