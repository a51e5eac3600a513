# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Installing restic from a release file: a program compressed with bzip2."""

from __future__ import annotations

import bz2
import hashlib
from pathlib import Path

from .errors import ConfigurationError
from .files import write_atomically
from .privileges import SELF
from .restic import Access, Restic
from .restic_errors import ResticError

PROGRAM = Path("/usr/local/bin/restic")


def parse_version(value: str) -> tuple[int, ...]:
    """``0.18.0`` as numbers.

    Raises:
        ConfigurationError: it is no version.
    """
    try:
        return tuple(int(part) for part in value.split("."))
    except ValueError:
        raise ConfigurationError(f"minimum_version: {value!r} is no version. Write it like 0.18.0.") from None


def text(version: tuple[int, ...] | None) -> str:
    """A version as people write it; empty for None."""
    return ".".join(str(number) for number in version or ())


def installed_version(binary: str = "restic") -> tuple[int, ...] | None:
    """The version of the restic on this host, or None where there is none."""
    try:
        return Restic(Access("", Path("/")), plain=SELF, binary=binary).version()
    except (FileNotFoundError, ResticError):
        return None


def install(compressed: bytes, sha256: str, source: str) -> tuple[int, ...]:
    """Check a release file, unpack it and put it in place; give its version.

    Raises:
        ConfigurationError: the file is not the expected one, or holds no restic for this host.
    """
    digest = hashlib.sha256(compressed).hexdigest()
    if digest != sha256.lower():
        raise ConfigurationError(f"{source}: has the SHA-256 {digest}, not {sha256}. Nothing was installed. Check holdfast_restic_url.")
    try:
        program = bz2.decompress(compressed)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{source}: is not compressed with bzip2 ({error}). Nothing was installed.") from None
    candidate = PROGRAM.with_name(".restic.new")
    write_atomically(candidate, program, 0o755)
    try:
        version = installed_version(str(candidate))
    except OSError:
        version = None
    if version is None:
        candidate.unlink()
        raise ConfigurationError(f"{source}: is no restic that runs on this host. Nothing was installed.")
    candidate.replace(PROGRAM)
    return version
