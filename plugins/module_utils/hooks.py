# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The commands that a job runs before and after its backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from . import log, process
from .errors import HoldfastError
from .manifest import Command


class HookFailed(HoldfastError):
    """A command of a job failed; the text has the end of what it said."""


def argv(command: Command) -> list[str]:
    """A command's argument list; a text goes to ``/bin/sh -c``."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


def run(phase: str, commands: Sequence[Command], environment: Mapping[str, str], limit: float, *, shielded: bool = False) -> None:
    """Run commands one after the other; the first failure ends it.

    Args:
        phase: ``pre_backup`` or ``post_backup``, for messages.
        commands: as declared.
        environment: variables for them.
        limit: seconds for each.
        shielded: let them finish when a signal comes.

    Raises:
        HookFailed: one failed or is not there.
        LimitExceeded: one took too long.
    """
    for index, command in enumerate(commands):
        name = f"{phase}[{index}]"
        try:
            completed = process.run(
                argv(command),
                doing=f"{name} (holdfast_settings.hook_timeout)",
                limit=limit,
                environment=environment,
                on_stdout=partial(_tell, name),
                on_stderr=partial(_tell, name),
                shielded=shielded,
            )
        except OSError as error:
            raise HookFailed(f"{name}: {argv(command)[0]}: {error.strerror}") from None
        if not shielded:
            process.relay.check()
        if completed.status != 0:
            raise HookFailed(f"{name} failed with {process.describe_status(completed.status)}: {completed.complaint}")


def _tell(name: str, line: str) -> None:
    log.info(f"{name}: {line}")
