# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The commands that a job runs before and after its backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from . import log, process
from .errors import HoldfastError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .manifest import Command


class HookFailed(HoldfastError):
    """A command of a job failed; the text has the end of what it said."""


def argv(command: Command) -> list[str]:
    """A command's argument list; a text goes to ``/bin/sh -c``."""
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


def environment(job: str, run_id: str, host: str, result: str | None = None) -> dict[str, str]:
    """The variables that a command of a job gets; the result only after the backup."""
    found = {"HOLDFAST_JOB": job, "HOLDFAST_RUN": run_id, "HOLDFAST_HOST": host}
    return found if result is None else {**found, "HOLDFAST_RESULT": result}


def run(phase: str, commands: Sequence[Command], variables: Mapping[str, str], limit: float, *, shielded: bool = False) -> None:
    """Run commands one after the other; the first failure ends it.

    Args:
        phase: ``pre_backup`` or ``post_backup``, for messages.
        commands: as declared.
        variables: the environment that they get beside the usual.
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
                environment=variables,
                on_stdout=partial(_tell, name),
                on_stderr=partial(_tell, name),
                shielded=shielded,
            )
        except OSError as error:
            raise HookFailed(f"{name}: {argv(command)[0]}: {error.strerror}") from None
        if not shielded:
            process.relay.check()
        if completed.status != 0:
            said = f": {completed.complaint}" if completed.stderr.strip() or completed.stdout.strip() else ""
            raise HookFailed(f"{name} failed with {process.describe_status(completed.status)}{said}")


def _tell(name: str, line: str) -> None:
    log.info(f"{name}: {line}")
