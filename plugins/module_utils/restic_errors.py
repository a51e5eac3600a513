# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One error for each way in which restic fails."""

from __future__ import annotations

from .errors import HoldfastError


class ResticError(HoldfastError):
    """restic failed.

    Attributes:
        exit_code: its exit status; 128 and the signal's number where one killed it.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RepositoryAbsent(ResticError):
    """There is no repository at the place (exit code 10)."""


class RepositoryLocked(ResticError):
    """Another restic holds a lock that is in the way (exit code 11)."""


class WrongPassword(ResticError):
    """No key of the repository fits the password (exit code 12), or its key files are gone."""


class RepositoryUnreachable(ResticError):
    """The backend did not answer, or refused the credentials."""


class ResticInterrupted(ResticError):
    """A signal ended it (exit code 130)."""


class ResticKilled(ResticError):
    """A signal that it could not handle killed it, such as SIGKILL for want of memory."""


class ResticMissing(ResticError):
    """restic is not installed."""
