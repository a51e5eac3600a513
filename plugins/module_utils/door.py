# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the Ansible modules share: arguments, and turning an error of the engine into a failed task. It imports no Ansible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .access import read_environment
from .errors import HoldfastError
from .manifest import Repository, repository_type
from .privileges import READER, RESTORER, Identity
from .restic import Access, Restic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REPOSITORY_ARGUMENTS: dict[str, dict[str, Any]] = {
    "repository": {"type": "str"},
    "password_file": {"type": "path", "no_log": False},
    "environment": {"type": "dict", "no_log": True},
    "environment_file": {"type": "path"},
    "user": {"type": "str"},
}


@contextmanager
def failing(module: Any) -> Iterator[None]:
    """Turn an error of the engine into ``fail_json``."""
    try:
        yield
    except HoldfastError as error:
        module.fail_json(msg=str(error), exit_status=error.exit_status, error=type(error).__name__)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or 'system call'}: {error.strerror or error}",
            exit_status=1,
            error=type(error).__name__,
        )


def environment_of(params: Mapping[str, Any]) -> dict[str, str]:
    """The variables for the backend out of a module's parameters; those given directly win over the file's."""
    found = read_environment(Path(params["environment_file"])) if params["environment_file"] else {}
    found.update({key: str(value) for key, value in (params["environment"] or {}).items()})
    return found


def restic_of(params: Mapping[str, Any]) -> Restic:
    """restic on the repository that a module's parameters describe, as their user or as this process's.

    Raises:
        ConfigurationError: the repository is none, or has credentials in its url.
    """
    url = params["repository"]
    repository_type(url, "repository")
    user = params["user"]
    access = Access(url, Path(params["password_file"]), environment_of(params), cache=None, temporary=None)
    return Restic(
        access,
        reader=Identity(user, READER.capabilities),
        restorer=Identity(user, RESTORER.capabilities),
        plain=Identity(user),
    )


def repository_of(params: Mapping[str, Any]) -> Repository:
    """The repository that a module's parameters describe; its name keeps what this host remembers of it apart.

    Raises:
        ConfigurationError: the url or the name cannot be used.
    """
    declared = {
        "url": params["repository"],
        "password_file": params["password_file"],
        "environment_file": params["environment_file"],
        "require_mount": params["require_mount"],
    }
    return Repository.parse(params["name"], {key: value for key, value in declared.items() if value is not None}, "repository")


def diff_of(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """Ansible's diff for some texts by their paths."""
    return [
        {"before_header": path, "after_header": path, "before": before.get(path, ""), "after": after.get(path, "")}
        for path in sorted({*before, *after})
    ]
