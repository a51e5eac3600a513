# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors that every layer shares, and the exit status each one stands for."""

from __future__ import annotations

EXIT_COMPLETE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 3
EXIT_BUSY = 75


class HoldfastError(Exception):
    """Something failed; the text is for the person who has to mend it.

    Attributes:
        exit_status: what the command ends with.
        exit_code: what the metric of a run that it ended says.
    """

    exit_status = EXIT_FAILED
    exit_code = EXIT_FAILED


class ConfigurationError(HoldfastError):
    """A declaration is wrong or a request is refused; nothing was changed."""

    exit_status = EXIT_USAGE


class BusyError(HoldfastError):
    """Another run holds the lock."""

    exit_status = EXIT_BUSY


class InterruptedRun(HoldfastError):
    """SIGTERM or SIGINT ended the run."""

    exit_code = 130


class LimitExceeded(HoldfastError):
    """A time limit struck; the text says which one and what was being done."""

    exit_code = 124
