# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lines for the journal, or for a terminal."""

from __future__ import annotations

import os
import sys

_IN_JOURNAL = "JOURNAL_STREAM" in os.environ


def _say(priority: int, text: str) -> None:
    prefix = f"<{priority}>" if _IN_JOURNAL else ""
    for line in text.splitlines() or [""]:
        print(f"{prefix}{line}", file=sys.stdout if _IN_JOURNAL else sys.stderr, flush=True)


def info(text: str) -> None:
    """Something went as it should."""
    _say(6, text)


def warning(text: str) -> None:
    """Something needs a look."""
    _say(4, text)


def error(text: str) -> None:
    """Something failed."""
    _say(3, text)
