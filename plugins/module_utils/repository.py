# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making a repository and its secret files what they should be; the only place that initialises one."""

from __future__ import annotations

import pwd
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import layout, probe, state
from .access import format_environment, read_environment
from .errors import ConfigurationError, HoldfastError
from .files import read_text, remove, write_atomically
from .manifest import Repository
from .privileges import Identity
from .records import NamedTuple
from .restic import Access, Restic
from .restic_errors import RepositoryAbsent, ResticMissing, WrongPassword
from .restic_records import Key

_SECRET_MODE = 0o400
_REPOSITORY_PARTS = {"config", "data", "index", "keys", "locks", "snapshots", "tmp"}


class RepositoryMismatch(HoldfastError):
    """The repository is not the one that this host has known."""


class Wish(NamedTuple):
    """What a repository should be.

    Attributes:
        repository: where it is.
        user: who restic runs as and who owns the password file; None for this process's user.
        password: what the password file should hold; None to leave the file as it is.
        environment: what the environment file should hold; None to leave the file as it is.
        force: take another repository, or initialise a known one anew.
    """

    repository: Repository
    user: str | None = None
    password: str | None = None
    environment: Mapping[str, str] | None = None
    force: bool = False


@dataclass
class Ensured:
    """What was done, or would be: each step as a sentence."""

    steps: list[str] = field(default_factory=list)
    initialized: bool = False
    id: str | None = None
    keys: list[Key] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was to do."""
        return bool(self.steps)


def ensure_present(wish: Wish, check: bool = False) -> Ensured:
    """Write the secret files, open the repository, initialise it only where restic says that there is none.

    Args:
        wish: what it should be.
        check: change nothing, and tell what would change.

    Raises:
        RepositoryMismatch: it was seen before and is now gone or another one.
        HoldfastError: it can neither be opened nor is clearly absent.
    """
    return _Ensurer(wish, check).present()


class _Ensurer:
    def __init__(self, wish: Wish, check: bool) -> None:
        self._wish = wish
        self._check = check
        self._repository = wish.repository
        self._known = state.read_repository(wish.repository.name)
        self._done = Ensured()
        self._password_file = Path(wish.repository.password_file)
        self._candidate = self._password_file.with_name(self._password_file.name + ".new")

    def present(self) -> Ensured:
        self._write_environment()
        environment = self._environment()
        probe.check_mount(self._repository)
        if self._repository.type != "local":
            probe.check_repository(self._repository, environment)
        candidate = self._stage_password()
        try:
            self._open_or_init(candidate)
        finally:
            self._candidate.unlink(missing_ok=True)
        return self._done

    def _environment(self) -> Mapping[str, str]:
        wish, path = self._wish, self._repository.environment_file
        if wish.environment is not None:
            return wish.environment
        return read_environment(Path(path)) if path else {}

    def _write_environment(self) -> None:
        path = self._repository.environment_file
        if self._wish.environment is None or path is None:
            return
        content = format_environment(self._wish.environment)
        self._write_secret(Path(path), content, None, "environment file")

    def _write_secret(self, path: Path, content: str, user: str | None, what: str) -> None:
        if read_text(path) == content:
            return
        self._done.steps.append(f"{what} {path} written")
        if not self._check:
            _make_secrets_directory(path.parent)
            write_atomically(path, content, _SECRET_MODE, _owner(user))

    def _stage_password(self) -> Path:
        """The file to open the repository with: the one in place, or a new password beside it."""
        if self._wish.password is None:
            if not self._password_file.exists() and not self._check:
                raise ConfigurationError(
                    f"{self._password_file}: is missing. Give the repository a 'password', or put its password into this file, mode 0400, "
                    f"owned by {self._wish.user or 'its user'}."
                )
            return self._password_file
        if read_text(self._password_file) == self._wish.password:
            return self._password_file
        if not self._check:
            _make_secrets_directory(self._password_file.parent)
            write_atomically(self._candidate, self._wish.password, _SECRET_MODE, _owner(self._wish.user))
        return self._candidate

    def _restic(self, password_file: Path) -> Restic:
        identity = Identity(self._wish.user)
        home = None if self._wish.user is None else layout.RESTIC_CACHE
        temporary = None if self._wish.user is None else layout.RESTIC_TEMPORARY
        access = Access(self._repository.url, password_file, self._environment(), cache=home, temporary=temporary)
        return Restic(access, reader=identity, restorer=identity, plain=identity)

    def _open_or_init(self, password_file: Path) -> None:
        if self._check and not password_file.exists():
            self._done.steps.append(f"password file {self._password_file} written, and the repository opened or initialised with it")
            return
        try:
            found = self._open(password_file)
        except ResticMissing:
            if not self._check:
                raise
            self._done.steps.append("restic installed, and the repository opened or initialised")
            return
        if found is None:
            self._init(password_file)
        else:
            self._compare(found)
        if password_file == self._candidate and not self._check:
            self._candidate.replace(self._password_file)
            self._done.steps.append(f"password file {self._password_file} written")
        if not self._check:
            self._drop_replaced_key()
            self._done.keys = self._restic(self._password_file).list_keys()
            self._remember()

    def _open(self, password_file: Path) -> str | None:
        """The repository's id, or None where restic says that there is none."""
        if self._repository.type == "local" and not Path(self._repository.url).exists():
            return None
        try:
            return self._restic(password_file).repository_id()
        except RepositoryAbsent:
            return None
        except WrongPassword:
            if password_file == self._password_file or not self._password_file.exists():
                raise
            return self._change_key()

    def _change_key(self) -> str:
        """Give the repository a key for the new password; the old one is removed once the new file is in place."""
        old = self._restic(self._password_file)
        identifier = old.repository_id()
        self._done.steps.append("key for the new password added, the old key removed")
        if not self._check:
            replaced = next(key.id for key in old.list_keys() if key.current)
            self._known = self._known._replace(id=identifier, url=self._repository.url, replaced_key=replaced)
            state.write_repository(self._repository.name, self._known)
            old.add_key(self._candidate)
        return identifier

    def _drop_replaced_key(self) -> None:
        replaced = self._known.replaced_key
        if replaced is None:
            return
        restic = self._restic(self._password_file)
        if any(key.id == replaced and not key.current for key in restic.list_keys()):
            restic.remove_key(replaced)
        self._known = self._known._replace(replaced_key=None)

    def _init(self, password_file: Path) -> None:
        if self._known.id and self._known.url == self._repository.url and not self._wish.force:
            raise RepositoryMismatch(
                f"{self._repository.url}: the repository {self._known.id[:8]} that this host has known is gone. If its disk is away, "
                "bring it back. If it is gone for good, say force=true (site.yml: -e holdfast_force_repository=NAME) to begin a new one."
            )
        self._done.steps.append(f"repository {self._repository.url} initialised")
        self._done.initialized = True
        if self._check:
            return
        made = self._make_directory()
        try:
            self._done.id = self._restic(password_file).init()
        except BaseException:
            if made and not any(made.iterdir()):
                made.rmdir()
            raise

    def _make_directory(self) -> Path | None:
        if self._repository.type != "local":
            return None
        place = Path(self._repository.url)
        made = not place.exists()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (self._wish.user and made) or (
            self._wish.user and not any(place.iterdir()) and place.stat().st_uid == 0 and not place.is_mount()
        ):
            shutil.chown(place, self._wish.user, self._wish.user)
        return place if made else None

    def _compare(self, found: str) -> None:
        self._done.id = found
        if self._known.id in (None, found) or self._known.url != self._repository.url or self._wish.force:
            return
        raise RepositoryMismatch(
            f"{self._repository.url}: holds the repository {found[:8]}, not {str(self._known.id)[:8]} as before. If a bucket or disk "
            "was swapped, swap it back. If this is meant, say force=true (site.yml: -e holdfast_force_repository=NAME)."
        )

    def _remember(self) -> None:
        known = self._known._replace(id=self._done.id, url=self._repository.url)
        if known != state.read_repository(self._repository.name):
            state.write_repository(self._repository.name, known)


def ensure_absent(repository: Repository, force: bool, check: bool = False) -> Ensured:
    """Delete a local repository with all its backups, and what this host remembers of it.

    Raises:
        ConfigurationError: it is not local, force is not given, or there is more in the directory than a repository.
    """
    done = Ensured()
    place = Path(repository.url)
    if repository.type != "local":
        raise ConfigurationError(
            f"{repository.url}: only a local repository can be deleted here. Delete the bucket or the server's directory."
        )
    if not (place / "config").exists():
        return done
    if not force:
        raise ConfigurationError(f"{repository.url}: would be deleted with all backups in it. Say force=true if that is meant.")
    foreign = sorted(entry.name for entry in place.iterdir() if entry.name not in _REPOSITORY_PARTS)
    if foreign:
        raise ConfigurationError(f"{repository.url}: holds more than a repository ({', '.join(foreign[:5])}). Move that away first.")
    done.steps.append(f"repository {repository.url} deleted")
    if not check:
        for entry in place.iterdir():
            remove(entry)
        if not place.is_mount():
            place.rmdir()
        state.repository_path(repository.name).unlink(missing_ok=True)
    return done


def _owner(user: str | None) -> tuple[int, int] | None:
    if user is None:
        return None
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _make_secrets_directory(path: Path) -> None:
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
