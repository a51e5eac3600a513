# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The manifest's file as it stands: enough for a command that needs names alone, and quick with a thousand jobs."""

from __future__ import annotations

import json
from pathlib import Path

from . import layout, names
from .errors import ConfigurationError
from .files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read(path: Path | None = None) -> dict[str, Any]:
    """The document in a file, or in this host's manifest.

    Raises:
        ConfigurationError: it is missing, unreadable or no JSON.
    """
    path = path or layout.MANIFEST
    try:
        text = read_text(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}). Run this as root.") from None
    if text is None:
        raise ConfigurationError(f"{path}: is missing. Run playbooks/site.yml for this host first.")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{path}: is no JSON ({error}). Run site.yml again to write it anew.") from None
    if not isinstance(found, dict) or not isinstance(found.get("jobs"), dict) or not isinstance(found.get("repositories"), dict):
        raise ConfigurationError(f"{path}: is no manifest. Run site.yml again to write it anew.")
    return found


def job_name(document: dict[str, Any], name: str) -> str:
    """A job's name from its own or its service's.

    Raises:
        ConfigurationError: there is none; the error lists what there is.
    """
    jobs = document["jobs"]
    if name not in jobs and f"{names.SERVICE_PREFIX}{name}" in jobs:
        return f"{names.SERVICE_PREFIX}{name}"
    return _known("job", name, jobs, document)


def repository_name(document: dict[str, Any], name: str) -> str:
    """A repository's name.

    Raises:
        ConfigurationError: there is none; the error lists what there is.
    """
    return _known("repository", name, document["repositories"], document)


def _known(kind: str, name: str, known: dict[str, Any], document: dict[str, Any]) -> str:
    if name in known:
        return name
    from .reader import choose

    return choose(kind, name, known, f"{kind} on {document.get('host')}")
