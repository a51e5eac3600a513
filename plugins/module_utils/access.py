# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a repository of the manifest to restic on it, its secrets read from their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .errors import ConfigurationError
from .files import read_text
from .manifest import Repository, Settings
from .privileges import PLAIN, READER, RESTORER, USER, Identity
from .restic import Access, Restic


def read_environment(path: Path) -> dict[str, str]:
    """The variables of an environment file: ``KEY=VALUE`` lines, quotes around a value taken off.

    Raises:
        ConfigurationError: it is missing or has another kind of line in it; no value is shown.
    """
    text = read_text(path)
    if text is None:
        raise ConfigurationError(f"{path}: is missing. Run site.yml, or provide the file.")
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals or not key.replace("_", "a").isalnum():
            raise ConfigurationError(f"{path}: line {number} is not of the form KEY=VALUE.")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[key] = value
    return found


def format_environment(variables: Mapping[str, str]) -> str:
    """The content of an environment file that ``read_environment`` reads back as these variables."""
    return "".join(f"{key}={_quoted(value)}\n" for key, value in sorted(variables.items()))


def _quoted(value: str) -> str:
    return f'"{value}"' if value != value.strip() or value[:1] in "'\"" else value


def environment_of(repository: Repository) -> Mapping[str, str]:
    """The variables that a repository's backend needs; they may be secrets."""
    return read_environment(Path(repository.environment_file)) if repository.environment_file else {}


def restic_for(repository: Repository, settings: Settings, groups: tuple[str, ...] = (), within: tuple[str, ...] = ()) -> Restic:
    """restic on a repository of this host, as the user holdfast; a backup with more groups, and within another view of the host."""
    return Restic(
        Access(
            url=repository.url,
            password_file=Path(repository.password_file),
            environment=environment_of(repository),
            limit_upload=settings.limit_upload,
            limit_download=settings.limit_download,
        ),
        reader=Identity(USER, READER.capabilities, groups, within),
        restorer=RESTORER,
        plain=PLAIN,
    )
