# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Installing this very engine on the host as the Python package ``holdfast``, with its command and completion."""

from __future__ import annotations

import hashlib
import os
import pkgutil
import pwd
import stat
from dataclasses import dataclass, field
from pathlib import Path

from . import layout, process
from .errors import HoldfastError
from .files import read_text, remove, write_atomically
from .privileges import USER

_PYTHON = "/usr/bin/python3"
_DISTRIBUTION_PACKAGES = "/usr/lib/python3/dist-packages"
_LAUNCHER = f"""\
#!{_PYTHON} -IS
# Written by holdfast.backup; site.yml writes it anew.
# PYTHON_ARGCOMPLETE_OK
import gc
import os
import sys

# A run may cost little: the start has no garbage to collect, this is all of the site module that is needed, and the kernel tidies up.
gc.set_threshold(50000)
sys.path += [{str(layout.PACKAGE.parent)!r}, {_DISTRIBUTION_PACKAGES!r}]
from holdfast.cli import main

status = main()
sys.stdout.flush()
os._exit(status)
"""
_COMPLETION = """\
# Written by holdfast.backup; site.yml writes it anew.
eval "$(register-python-argcomplete holdfast)"
"""


_DIRECTORIES = (
    (layout.CONFIGURATION, None, 0o755),
    (layout.DECLARATIONS, None, 0o755),
    (layout.SECRETS, None, 0o711),
    (layout.DATA, None, 0o755),
    (layout.STATE, None, 0o755),
    (layout.HISTORY, None, 0o755),
    (layout.REPOSITORIES, None, 0o755),
    (layout.SYSTEM_LISTS, None, 0o755),
    (layout.HOME, None, 0o755),
    (layout.CACHE, None, 0o755),
    (layout.RESTIC_CACHE, USER, 0o700),
    (layout.RESTIC_TEMPORARY, USER, 0o700),
)


@dataclass
class Changes:
    """What was installed or would be: texts before and after, by path."""

    written: dict[str, tuple[str, str]] = field(default_factory=dict)
    digest: str = ""


def own_sources() -> dict[str, bytes]:
    """The engine's own files by name, from wherever it runs: a directory, or the archive that Ansible sends."""
    package = __package__ or ""
    path = __import__(package, fromlist=["*"]).__path__
    sources = {"__init__.py": b""}
    for module in pkgutil.iter_modules(path):
        finder = module.module_finder.find_spec(f"{package}.{module.name}")  # type: ignore[call-arg]
        loader = finder.loader if finder else None
        if loader is not None and finder is not None and finder.origin:
            sources[f"{module.name}.py"] = loader.get_data(finder.origin)  # type: ignore[attr-defined]
    return sources


def install(textfile_directory: Path | None, check: bool = False) -> Changes:
    """Put the engine and its directories on the host; a run that is under way keeps the files that it began with.

    Args:
        textfile_directory: made if it is missing, so that metrics have a place.
        check: change nothing, and tell what would change.

    Raises:
        HoldfastError: the new package does not start.
    """
    sources = own_sources()
    changes = Changes(digest=digest_of(sources))
    home = layout.PACKAGE.with_name(f"holdfast-{changes.digest}")
    if layout.PACKAGE.is_symlink() and os.readlink(layout.PACKAGE) == home.name and (home / "cli.py").exists():
        pass
    else:
        before = os.readlink(layout.PACKAGE) if layout.PACKAGE.is_symlink() else ""
        changes.written[str(layout.PACKAGE)] = (f"{before}\n" if before else "", f"{home.name}\n")
        if not check:
            _lay_out(home, sources)
    for path, text, mode in ((layout.COMMAND, _LAUNCHER, 0o755), (layout.COMPLETION, _COMPLETION, 0o644)):
        before = read_text(path) or ""
        if before != text:
            changes.written[str(path)] = (before, text)
            if not check:
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                write_atomically(path, text, mode)
    for path, user, directory_mode in _DIRECTORIES:
        _ensure_directory(path, user, directory_mode, changes, check)
    if textfile_directory is not None and not textfile_directory.exists():
        _ensure_directory(textfile_directory, None, 0o755, changes, check)
    return changes


def _ensure_directory(path: Path, user: str | None, mode: int, changes: Changes, check: bool) -> None:
    try:
        entry = pwd.getpwnam(user or "root")
        owner = (entry.pw_uid, entry.pw_gid)
    except KeyError:
        if not check:
            raise HoldfastError(f"The user {user} does not exist. Make it first, as the role agent does.") from None
        owner = (-1, -1)
    wanted = f"{user or 'root'} {mode:o}\n"
    found = path.stat() if path.is_dir() else None
    if found and (found.st_uid, found.st_gid) == owner and stat.S_IMODE(found.st_mode) == mode:
        return
    changes.written[str(path)] = (f"{found.st_uid} {stat.S_IMODE(found.st_mode):o}\n" if found else "", wanted)
    if not check:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        os.chown(path, *owner)
        path.chmod(mode)


def digest_of(sources: dict[str, bytes]) -> str:
    """A short name for a set of files."""
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name] + b"\0")
    return digest.hexdigest()[:12]


def _lay_out(home: Path, sources: dict[str, bytes]) -> None:
    if home.exists():
        remove(home)
    home.mkdir(mode=0o755, parents=True)
    home.chmod(0o755)
    for name, content in sources.items():
        write_atomically(home / name, content, 0o644)
    compiled = process.run([_PYTHON, "-m", "compileall", "-q", str(home)], doing="compiling the package", limit=120.0)
    if compiled.status != 0:
        remove(home)
        raise HoldfastError(f"{home}: does not compile on this host: {compiled.complaint}")
    old = os.readlink(layout.PACKAGE) if layout.PACKAGE.is_symlink() else None
    temporary = layout.PACKAGE.with_name(".holdfast.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(home.name)
    os.replace(temporary, layout.PACKAGE)
    keep = {home.name, old}
    for other in layout.PACKAGE.parent.glob("holdfast-*"):
        if other.name not in keep:
            remove(other)
