# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""restic: the only place that knows its arguments, environment, exit codes and output."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from . import layout, process
from .errors import LimitExceeded
from .privileges import PLAIN, READER, RESTORER, Identity
from .process import Completed
from .progress import Progress
from .quantities import restic_time
from .records import NamedTuple
from .restic_errors import (
    RepositoryAbsent,
    RepositoryLocked,
    RepositoryUnreachable,
    ResticError,
    ResticInterrupted,
    ResticKilled,
    ResticMissing,
    WrongPassword,
)
from .restic_output import RETRYING, BackupHearing, RestoreHearing, exit_message, explain_backend_error, last_document
from .restic_records import Backup, Forgotten, Key, Lock, Node, Restored, Snapshot
from .restic_watch import Opening, Stall, patience

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

MINIMUM_VERSION = (0, 18, 0)
_LOOK = 10.0
_SHORT = 120.0
_LONG = 7 * 86400.0


_ERRORS: Mapping[int, type[ResticError]] = {
    10: RepositoryAbsent,
    11: RepositoryLocked,
    12: WrongPassword,
    130: ResticInterrupted,
}


class Access(NamedTuple):
    """How a repository is reached; ``environment`` may hold secrets and goes to restic's environment alone."""

    url: str
    password_file: Path
    environment: Mapping[str, str] = {}
    limit_upload: int = 0
    limit_download: int = 0
    cache: Path | None = layout.RESTIC_CACHE
    temporary: Path | None = layout.RESTIC_TEMPORARY


class Restic:
    """restic on one repository.

    Args:
        access: where the repository is and what opens it.
        reader: who a backup runs as.
        restorer: who a restore runs as.
        plain: who everything else runs as.
        binary: the program.
    """

    def __init__(
        self,
        access: Access,
        *,
        reader: Identity = READER,
        restorer: Identity = RESTORER,
        plain: Identity = PLAIN,
        binary: str = "restic",
    ) -> None:
        self._access = access
        self._reader = reader
        self._restorer = restorer
        self._plain = plain
        self._binary = binary

    def _environment(self) -> dict[str, str]:
        access = self._access
        found = {
            **access.environment,
            "RESTIC_REPOSITORY": access.url,
            "RESTIC_PASSWORD_FILE": str(access.password_file),
            "RESTIC_PROGRESS_FPS": "1",
            "RESTIC_FEATURES": "device-id-for-hardlinks",
        }
        if self._plain.user is not None:
            found["HOME"] = str(layout.HOME)
        if access.cache:
            found["RESTIC_CACHE_DIR"] = str(access.cache)
        if access.temporary:
            found["TMPDIR"] = str(access.temporary)
        return found

    def _writable(self) -> list[Path]:
        """Where restic must write: its cache, its temporary files, a repository on this host."""
        places = [self._access.cache, self._access.temporary, Path(self._access.url) if self._access.url.startswith("/") else None]
        return [place for place in places if place is not None]

    def _arguments(self, *arguments: str) -> list[str]:
        limits = [
            f"{option}={rate}"
            for option, rate in (
                ("--limit-upload", self._access.limit_upload),
                ("--limit-download", self._access.limit_download),
            )
            if rate
        ]
        return [self._binary, *arguments[:1], *limits, *arguments[1:]]

    def _run(self, identity: Identity, *arguments: str, doing: str, limit: float = _SHORT, **options: Any) -> Completed:
        opening = Opening(options.pop("on_stderr", None), options.pop("watch", None))
        writable = None if identity is self._restorer else self._writable()
        argv = [*identity.prefix(writable), *self._arguments(*arguments)]
        try:
            completed = process.run(
                argv,
                doing=doing,
                limit=limit,
                environment=self._environment(),
                on_stderr=opening.hear,
                watch=opening.watch,
                **options,
            )
        except FileNotFoundError as error:
            raise ResticMissing(f"{error.filename} is not installed. Run playbooks/site.yml, or install restic 0.18 or newer.") from None
        except LimitExceeded as error:
            if opening.last_error:
                raise RepositoryUnreachable(f"{explain_backend_error(self._access.url, opening.last_error)}; {error}") from error
            raise
        return completed

    def _checked(self, identity: Identity, *arguments: str, doing: str, limit: float = _SHORT, **options: Any) -> Completed:
        completed = self._run(identity, *arguments, doing=doing, limit=limit, **options)
        if completed.status != 0:
            raise self._error(doing, completed)
        return completed

    def _error(self, doing: str, completed: Completed) -> ResticError:
        status = completed.status
        if status < 0:
            hint = ", perhaps for want of memory (resources.memory)" if status == -signal.SIGKILL else ""
            return ResticKilled(f"{doing}: restic was {process.describe_status(status)}{hint}", 128 - status)
        message = exit_message(completed)
        if process.relay.received is not None:
            return ResticInterrupted(f"{doing}: interrupted", status)
        kind = _ERRORS.get(status)
        if kind is None:
            retried = RETRYING.search(completed.stderr)
            if retried:
                return RepositoryUnreachable(explain_backend_error(self._access.url, retried[1].splitlines()[0]), status)
            return ResticError(f"{doing}: {message}", status)
        if status in _MEANING:
            message = _MEANING[status].format(url=self._access.url, file=self._access.password_file)
        return kind(f"{doing}: {message}", status)

    def backup(
        self,
        paths: Sequence[str],
        *,
        host: str,
        tags: Sequence[str],
        exclude: Sequence[str] = (),
        retry_lock: int = 0,
        read_concurrency: int = 2,
        compression: str = "auto",
        stall_timeout: float = 600.0,
        on_progress: Callable[[Progress], None] | None = None,
        on_unreadable: Callable[[str], None] | None = None,
    ) -> Backup:
        """Back up paths in one restic process.

        Args:
            paths: absolute paths that exist.
            host: recorded as the host.
            tags: recorded in this order; host and tags also choose the parent snapshot.
            exclude: restic's patterns.
            retry_lock: seconds to wait for another restic's lock.
            read_concurrency: files read at once.
            compression: ``auto``, ``off``, ``fastest``, ``better`` or ``max``.
            stall_timeout: seconds without progress after which it is ended.
            on_progress: called about once a second.
            on_unreadable: called for each file that cannot be read.

        Raises:
            ResticError: no snapshot was made, or a path vanished before restic looked at it.
            LimitExceeded: it stood still.
        """
        hearing = BackupHearing(on_progress, on_unreadable)
        stall = Stall(patience(stall_timeout, self._access.limit_upload), retry_lock, hearing, self.is_locked)
        doing = f"backup to {self._access.url}"
        completed = self._run(
            self._reader, "backup", "--json", f"--host={host}", *(f"--tag={tag}" for tag in tags), "--group-by=host,tags",
            f"--retry-lock={retry_lock}s", f"--read-concurrency={read_concurrency}", f"--compression={compression}",
            *(f"--exclude={pattern}" for pattern in exclude), "--", *paths,
            doing=doing, limit=_LONG, on_stdout=hearing.stdout, on_stderr=hearing.stderr, watch=stall.watch,
        )  # fmt: skip
        if completed.status not in (0, 3):
            raise self._error(doing, completed)
        if hearing.skipped:
            raise ResticError(f"{doing}: {', '.join(hearing.skipped)} vanished before it was read")
        if hearing.summary is None:
            raise ResticError(f"{doing}: restic ended without a summary, so nothing is known to be stored")
        return Backup(hearing.summary, completed.status, tuple(hearing.unreadable))

    def version(self) -> tuple[int, ...]:
        """The version as numbers, from ``restic version``."""
        completed = process.run([self._binary, "version"], doing="restic version", limit=20.0)
        found = re.search(r"restic (\d+)\.(\d+)\.(\d+)", completed.stdout)
        if not found:
            raise ResticError(f"restic version: {completed.complaint}")
        return tuple(int(number) for number in found.groups())

    def init(self) -> str:
        """Make a new repository and give its id."""
        completed = self._checked(self._plain, "init", "--json", doing=f"init of {self._access.url}")
        return str(last_document(completed.stdout)["id"])

    def repository_id(self, retry_lock: int = 0) -> str:
        """The id in the repository's config; opens it with the password."""
        completed = self._checked(
            self._plain,
            "cat",
            "config",
            "--json",
            f"--retry-lock={retry_lock}s",
            doing=f"opening {self._access.url}",
            limit=_SHORT + retry_lock,
        )
        return str(json.loads(completed.stdout)["id"])

    def snapshots(self, *, host: str | None = None, tag: str | None = None, lock: bool = True, retry_lock: int = 0) -> list[Snapshot]:
        """The restic snapshots, oldest first, of one host and with one tag where given."""
        filters = [*([f"--host={host}"] if host else []), *([f"--tag={tag}"] if tag else [])]
        completed = self._checked(
            self._plain, "snapshots", "--json", *filters, *([f"--retry-lock={retry_lock}s"] if lock else ["--no-lock"]),
            doing=f"listing {self._access.url}", limit=_SHORT + retry_lock, keep_output=True,
        )  # fmt: skip
        return sorted(
            (Snapshot.parse(entry) for entry in json.loads(completed.stdout or "[]") or []),
            key=lambda found: found.time,
        )

    def forget(
        self,
        retention: Mapping[str, int | str],
        *,
        host: str,
        tag: str,
        dry_run: bool = False,
        retry_lock: int = 0,
    ) -> Forgotten:
        """Thin the snapshots of one host with one tag, all in one group.

        restic 0.18 says 0 and lists a snapshot as removed also where it could not delete it: ask ``snapshots`` afterwards.
        """
        rules = [f"--{key.replace('_', '-')}={value}" for key, value in retention.items() if value]
        completed = self._checked(
            self._plain, "forget", "--json", f"--host={host}", f"--tag={tag}", "--group-by=host", *rules,
            *(["--dry-run"] if dry_run else []), f"--retry-lock={retry_lock}s",
            doing=f"forget in {self._access.url}", limit=3600.0 + retry_lock, keep_output=True,
        )  # fmt: skip
        groups = json.loads(completed.stdout) if completed.stdout.strip() else []
        return Forgotten(
            kept=_by_age(entry for group in groups for entry in group.get("keep") or []),
            removed=_by_age(entry for group in groups for entry in group.get("remove") or []),
        )

    def prune(self, retry_lock: int = 0, on_line: Callable[[str], None] | None = None) -> None:
        """Remove the data that no snapshot needs."""
        self._checked(
            self._plain,
            "prune",
            f"--retry-lock={retry_lock}s",
            doing=f"prune of {self._access.url}",
            limit=_LONG,
            on_stdout=on_line,
        )

    def is_locked(self) -> bool:
        """Whether there is any lock in the repository; a backend that takes long to say counts as an error."""
        doing = f"looking for locks in {self._access.url}"
        return bool(self._checked(self._plain, "list", "locks", "--no-lock", doing=doing, limit=_LOOK).stdout.split())

    def locks(self) -> list[Lock]:
        """Every lock in the repository, without taking one."""
        listed = self._checked(self._plain, "list", "locks", "--no-lock", doing=f"looking for locks in {self._access.url}")
        found = []
        for identifier in listed.stdout.split():
            shown = self._run(self._plain, "cat", "lock", identifier, "--no-lock", doing=f"reading a lock of {self._access.url}")
            if shown.status == 0:
                entry = json.loads(shown.stdout)
                found.append(
                    Lock(
                        id=identifier,
                        host=entry.get("hostname", ""),
                        user=entry.get("username", ""),
                        pid=int(entry.get("pid", 0)),
                        time=restic_time(entry["time"]),
                        exclusive=bool(entry.get("exclusive")),
                    )
                )
        return found

    def unlock(self) -> None:
        """Remove the locks that restic itself holds for stale (dead process of this host, or older than 30 minutes)."""
        self._checked(self._plain, "unlock", doing=f"unlock of {self._access.url}")

    def list_keys(self) -> list[Key]:
        """The keys of the repository."""
        completed = self._checked(self._plain, "key", "list", "--json", "--no-lock", doing=f"listing the keys of {self._access.url}")
        return [
            Key(entry["id"], bool(entry["current"]), entry["userName"], entry["hostName"], entry["created"])
            for entry in json.loads(completed.stdout)
        ]

    def add_key(self, password_file: Path) -> None:
        """Add a key for the password in a file."""
        self._checked(
            self._plain,
            "key",
            "add",
            f"--new-password-file={password_file}",
            doing=f"adding a key to {self._access.url}",
        )

    def remove_key(self, identifier: str) -> None:
        """Remove a key that is not the one in use."""
        self._checked(self._plain, "key", "remove", identifier, doing=f"removing a key of {self._access.url}")

    def restore(
        self,
        snapshot: str,
        *,
        target: str,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        delete: bool = False,
        dry_run: bool = False,
        retry_lock: int = 0,
        on_progress: Callable[[Progress], None] | None = None,
        on_unreadable: Callable[[str], None] | None = None,
        stall_timeout: float = 600.0,
    ) -> Restored:
        """Restore a snapshot below a directory, sparse, and read back what was written.

        Args:
            snapshot: its id.
            target: the directory below which the full paths go; ``/`` is in place.
            include: restic's patterns of what to restore; empty for everything.
            exclude: restic's patterns of what to leave.
            delete: also delete what the snapshot does not have, inside what is included.
            dry_run: change nothing, and list what would change.
            retry_lock: seconds to wait for another restic's lock.
            on_progress: called about once a second.
            on_unreadable: called for each error that restic goes on after.
            stall_timeout: seconds without progress after which it is ended.

        Raises:
            ResticError: something was not restored, or differs from what was stored.
            LimitExceeded: it stood still.
        """
        hearing = RestoreHearing(on_progress, on_unreadable)
        stall = Stall(patience(stall_timeout, self._access.limit_download), retry_lock, hearing, self.is_locked)
        doing = f"restore from {self._access.url}"
        completed = self._run(
            self._restorer, "restore", snapshot, "--json", f"--target={target}", "--sparse", "--overwrite=always",
            *(f"--include={pattern}" for pattern in include), *(f"--exclude={pattern}" for pattern in exclude),
            *(["--delete"] if delete else []), *(["--dry-run", "-vv"] if dry_run else ["--verify"]), f"--retry-lock={retry_lock}s",
            doing=doing, limit=_LONG, on_stdout=hearing.stdout, on_stderr=hearing.stderr, watch=stall.watch,
        )  # fmt: skip
        if completed.status != 0:
            error = self._error(doing, completed)
            raise type(error)(f"{error}{hearing.first_complaint}", error.exit_code)
        if hearing.restored is None:
            raise ResticError(f"{doing}: restic ended without a summary")
        return hearing.restored

    def nodes(self, snapshot: str, paths: Sequence[str] = ()) -> Iterator[Node]:
        """Everything in a snapshot, or below some of its paths."""
        found: list[Node] = []

        def hear(line: str) -> None:
            entry = json.loads(line)
            if entry.get("message_type", entry.get("struct_type")) == "node":
                found.append(
                    Node(
                        path=entry["path"],
                        type=entry["type"],
                        mode=int(entry.get("mode", 0)),
                        uid=int(entry.get("uid", 0)),
                        gid=int(entry.get("gid", 0)),
                        size=int(entry.get("size", 0)),
                        mtime=entry["mtime"],
                    )
                )

        self._checked(
            self._plain, "ls", "--json", "--recursive", "--no-lock", snapshot, *paths,
            doing=f"listing a snapshot of {self._access.url}", limit=3600.0, on_stdout=hear,
        )  # fmt: skip
        return iter(found)


def _by_age(entries: Iterable[Mapping[str, Any]]) -> tuple[Snapshot, ...]:
    """Snapshots out of restic's JSON, oldest first."""
    return tuple(sorted((Snapshot.parse(entry) for entry in entries), key=lambda found: found.time))


_MEANING = {
    10: "there is no repository at {url}. If it lies on a mount, is it mounted? Only playbooks/site.yml makes a new one",
    12: "no key of the repository fits the password in {file}, or its key files are gone",
}
