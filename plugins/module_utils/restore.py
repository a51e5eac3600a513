# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Giving files back: which restic snapshot, where to, and the proof that what was written is what was stored."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from . import locks, names, probe
from .access import environment_of, restic_for
from .errors import ConfigurationError, HoldfastError
from .manifest import Job, Manifest, Repository
from .progress import Progress
from .quantities import format_time, printable, restic_time
from .reader import check_path
from .records import NamedTuple
from .restic import Restic
from .restic_records import Change, Node, Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

IN_PLACE = "/"
LATEST = "latest"
_TIME_SLACK = 0.001
Placed = tuple[Node, list[Path]]
_TYPES = {
    "file": stat.S_ISREG, "dir": stat.S_ISDIR, "symlink": stat.S_ISLNK, "fifo": stat.S_ISFIFO, "socket": stat.S_ISSOCK,
    "dev": stat.S_ISBLK, "chardev": stat.S_ISCHR,
}  # fmt: skip
_GO_SETUID, _GO_SETGID, _GO_STICKY = 1 << 23, 1 << 22, 1 << 20
_CHMODLESS = ("symlink",)


class RestoreRefused(ConfigurationError):
    """The request would overwrite something, or cannot be met; nothing was changed."""


class RestoreDiffers(HoldfastError):
    """What stands on the disk after the restore is not what was stored."""


class Request(NamedTuple):
    """What to restore.

    Attributes:
        snapshot: ``latest``, or the beginning of a restic snapshot's id.
        at: Unix time; the newest snapshot that is not younger.
        include: absolute paths or restic's patterns; empty for everything of the job.
        target: a directory below which the full paths go, or ``/`` for in place.
        overwrite: write over what is there.
        delete: also delete what the snapshot does not have, below what is restored.
        dry_run: change nothing, list what would change.
    """

    snapshot: str = LATEST
    at: float | None = None
    include: tuple[str, ...] = ()
    target: str = IN_PLACE
    overwrite: bool = False
    delete: bool = False
    dry_run: bool = False


class Report(NamedTuple):
    """What a restore did: figures in files, bytes and seconds; the changes are listed by a dry run alone."""

    job: str
    repository: str
    snapshot: Snapshot
    target: str
    files_restored: int
    files_unchanged: int
    files_deleted: int
    bytes_restored: int
    checked: int
    duration: float
    changes: tuple[Change, ...]


def choose_repository(manifest: Manifest, job: Job, name: str | None) -> Repository:
    """The repository to restore from: the one named, or the job's first that answers.

    Raises:
        RestoreRefused: the job does not write to the one named.
        HoldfastError: none answers.
    """
    if name is not None:
        if name not in job.repositories:
            raise RestoreRefused(f"repository: {name!r} holds nothing of {job.name}. It is in {', '.join(job.repositories)}.")
        return manifest.repositories[name]
    complaints = []
    for candidate in job.repositories:
        repository = manifest.repositories[candidate]
        try:
            probe.check_repository(repository, environment_of(repository))
            return repository
        except HoldfastError as error:
            complaints.append(str(error))
    raise HoldfastError(f"no repository of {job.name} answers: " + "; ".join(complaints))


def choose_snapshot(snapshots: Sequence[Snapshot], request: Request, job: str) -> Snapshot:
    """The restic snapshot that a request means, out of a job's own, oldest first.

    Raises:
        RestoreRefused: there is none, or the id fits several.
    """
    if not snapshots:
        raise RestoreRefused(f"{job}: has no restic snapshot in this repository. See: holdfast snapshots {job}")
    if request.at is not None:
        older = [found for found in snapshots if found.time <= request.at]
        if not older:
            raise RestoreRefused(
                f"{job}: no restic snapshot is as old as {format_time(request.at)}. The oldest is of {format_time(snapshots[0].time)}."
            )
        return older[-1]
    if request.snapshot == LATEST:
        return snapshots[-1]
    fitting = [found for found in snapshots if found.id.startswith(request.snapshot)]
    if len(fitting) != 1:
        problem = "fits several restic snapshots" if fitting else "is no restic snapshot"
        raise RestoreRefused(f"snapshot: {request.snapshot!r} {problem} of {job}. See: holdfast snapshots {job}")
    return fitting[0]


class Source(NamedTuple):
    """Where to restore from, without a manifest: whose restic snapshots, and how this host calls the repository."""

    repository: str
    host: str | None
    tag: str | None
    job: str = ""
    retry_lock: int = 0
    stall_timeout: float = 600.0


def run(
    manifest: Manifest,
    job: Job,
    repository: Repository,
    request: Request,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Restore a job, and compare what was written with what was stored.

    Raises:
        RestoreRefused: nothing was changed.
        RestoreDiffers: something on the disk is not what was stored.
        BusyError: a run of the job is under way, and the restore would be in place.
        ResticError: restic failed.
    """
    settings = manifest.settings
    source = Source(repository.name, manifest.host, job.tag, job.name, settings.retry_lock, settings.stall_timeout)
    with ExitStack() as stack:
        if request.target == IN_PLACE and not request.dry_run:
            stack.enter_context(locks.held(names.job_lock(job.name), f"restore of {job.name}"))
        return run_alone(restic_for(repository, settings), source, request, on_progress)


def run_alone(restic: Restic, source: Source, request: Request, on_progress: Callable[[Progress], None] | None = None) -> Report:
    """Restore from any repository, and compare what was written with what was stored; errors as of ``run``."""
    began = time.time()
    if os.geteuid() != 0:
        raise RestoreRefused("A restore sets owners and reads the repository's password: run it as root.")
    check_path("target", request.target)
    listed = restic.snapshots(host=source.host, tag=source.tag, retry_lock=source.retry_lock)
    snapshot = choose_snapshot(listed, request, source.job or source.repository)
    wanted = request.include or tuple(snapshot.paths)
    _refuse_to_overwrite(request, wanted)
    ancestors = [] if request.dry_run else _Ancestor.of(request.target, wanted)
    include = include_patterns(request, wanted)
    if request.target != IN_PLACE and not request.dry_run:
        Path(request.target).mkdir(mode=0o700, parents=True, exist_ok=True)
    done = restic.restore(
        snapshot.id,
        target=request.target,
        include=include,
        delete=request.delete,
        dry_run=request.dry_run,
        retry_lock=source.retry_lock,
        stall_timeout=source.stall_timeout,
        on_progress=on_progress,
    )
    for ancestor in ancestors:
        ancestor.put_back()
    placed = list(_placed(restic, snapshot, request, include))
    if request.include and not placed and not done.files_restored:
        raise RestoreRefused(f"include: {', '.join(request.include)} matches nothing in restic snapshot {snapshot.id[:8]}.")
    checked = 0 if request.dry_run else compare(placed)
    return Report(
        job=source.job,
        repository=source.repository,
        snapshot=snapshot,
        target=request.target,
        files_restored=done.files_restored,
        files_unchanged=done.files_skipped,
        files_deleted=done.files_deleted,
        bytes_restored=done.bytes_restored,
        checked=checked,
        duration=time.time() - began,
        changes=planned(placed, done.changes) if request.dry_run else (),
    )


def include_patterns(request: Request, wanted: Sequence[str]) -> tuple[str, ...]:
    """restic's patterns for a request: paths of the snapshot are escaped, the user's are taken as they are."""
    if request.include:
        return request.include
    return tuple(re.sub(r"([*?\[\]\\])", r"\\\1", path) for path in wanted)


def _refuse_to_overwrite(request: Request, wanted: Sequence[str]) -> None:
    if request.overwrite:
        return
    places = [Path(path) for path in wanted if path.startswith("/")] if request.target == IN_PLACE else [Path(request.target)]
    for place in places:
        if is_occupied(place):
            problem = "is not empty" if place.is_dir() else "is there already"
            raise RestoreRefused(
                f"{place}: {problem}. Say --overwrite to write over it, --target DIR to restore beside it, or --dry-run to look first."
            )


def is_occupied(place: Path) -> bool:
    """Whether a restore to a place would meet something: a file, or a directory that is not empty."""
    if place.is_dir() and not place.is_symlink():
        return any(place.iterdir())
    return os.path.lexists(place)


class _Ancestor(NamedTuple):
    """A directory above what is restored: restic would give it the metadata of the snapshot."""

    path: Path
    before: os.stat_result

    @classmethod
    def of(cls, target: str, wanted: Sequence[str]) -> list[_Ancestor]:
        places = {Path(target)} | ({parent for path in wanted for parent in PurePosixPath(path).parents} if target == IN_PLACE else set())
        return [cls(Path(place), os.stat(place)) for place in sorted(places, key=str, reverse=True) if Path(place).is_dir()]

    def put_back(self) -> None:
        now = os.stat(self.path)
        if (now.st_uid, now.st_gid) != (self.before.st_uid, self.before.st_gid):
            os.chown(self.path, self.before.st_uid, self.before.st_gid)
        if now.st_mode != self.before.st_mode:
            os.chmod(self.path, stat.S_IMODE(self.before.st_mode))


def compare(placed: Sequence[Placed]) -> int:
    """Compare type, owner, mode, size and time of everything restored with the snapshot; the bytes were read back by restic.

    restic passes over a refused chown or chmod without a word when it is not root, so its word is not enough.

    Returns:
        How many paths were compared.

    Raises:
        RestoreDiffers: naming the first that differ.
    """
    differing = []
    checked = 0
    for node, places in placed:
        differences = [differs(node, place) for place in places]
        checked += 1
        if all(differences):
            differing.append(f"{printable(str(places[0]))}: {differences[0]}")
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise RestoreDiffers(f"{len(differing)} of {checked} restored paths are not as stored: {'; '.join(differing[:5])}{more}")
    return checked


def _placed(restic: Restic, snapshot: Snapshot, request: Request, include: Sequence[str]) -> Iterator[Placed]:
    """Every node that a request means, with where it may stand on the disk.

    With a pattern of the user's, only what is there is given, since only restic knows what the pattern means.
    """
    roots = plain_paths(include)
    for node in restic.nodes(snapshot.id, roots or ()):
        if roots is not None and not any(node.path == root or node.path.startswith(root.rstrip("/") + "/") for root in roots):
            continue
        places = on_disk(request.target, node.path) or [Path(request.target, node.path.lstrip("/"))]
        if roots is not None or any(os.path.lexists(place) for place in places):
            yield node, places


def planned(placed: Sequence[Placed], told: Sequence[Change]) -> tuple[Change, ...]:
    """What a restore would change: restic's dry run compares bytes alone, and lists every directory and symlink."""
    by_restic = {change.path: change for change in told}
    changes = [change for change in told if change.action == "deleted"]
    for node, places in placed:
        change = by_restic.get(node.path)
        if not any(os.path.lexists(place) for place in places):
            changes.append(Change("restored", node.path, node.size))
        elif (change and change.action == "updated") or all(differs(node, place) or _link_moved(node, place) for place in places):
            changes.append(Change("updated", node.path, node.size))
    return tuple(changes)


def _link_moved(node: Node, place: Path) -> bool:
    """Whether a symlink was made anew since; restic does not list where it points to."""
    return node.type == "symlink" and abs(os.lstat(place).st_mtime - restic_time(node.mtime)) > _TIME_SLACK


def plain_paths(include: Sequence[str]) -> list[str] | None:
    """The paths that patterns name, if all of them name one path each; None where one is a real pattern."""
    paths = []
    for pattern in include:
        if not pattern.startswith("/") or re.search(r"(?<!\\)(?:\\\\)*[*?\[\]]", pattern):
            return None
        paths.append(re.sub(r"\\(.)", r"\1", pattern).rstrip("/") or "/")
    return paths


def on_disk(target: str, path: str) -> list[Path]:
    """Where a path of a snapshot may stand below a target: restic's JSON has U+FFFD for what is no UTF-8 in a name."""
    found = [Path(target)]
    for part in PurePosixPath(path).parts[1:]:
        if "\ufffd" in part:
            found = [
                Path(place, name) for place in found if place.is_dir() for name in os.listdir(place) if _shown(name) == _runs_as_one(part)
            ]
        else:
            found = [place / part for place in found]
    return found


def _shown(name: str) -> str:
    return _runs_as_one(os.fsencode(name).decode("utf-8", "replace"))


def _runs_as_one(text: str) -> str:
    return re.sub("\ufffd+", "\ufffd", text)


def differs(node: Node, place: Path) -> str | None:
    """How a path on the disk differs from a snapshot's node, in words; None where it does not."""
    try:
        found = os.lstat(os.fsencode(place))
    except FileNotFoundError:
        return "is missing"
    if node.type in _TYPES and not _TYPES[node.type](found.st_mode):
        return f"is no {node.type}"
    if (found.st_uid, found.st_gid) != (node.uid, node.gid):
        return f"belongs to {found.st_uid}:{found.st_gid}, stored {node.uid}:{node.gid}"
    if node.type not in _CHMODLESS and stat.S_IMODE(found.st_mode) != unix_mode(node.mode):
        return f"has the mode {stat.S_IMODE(found.st_mode):o}, stored {unix_mode(node.mode):o}"
    if node.type == "file" and found.st_size != node.size:
        return f"has {found.st_size} bytes, stored {node.size}"
    if node.type != "symlink" and abs(found.st_mtime - restic_time(node.mtime)) > _TIME_SLACK:
        return f"was modified {format_time(found.st_mtime)}, stored {node.mtime}"
    return None


def unix_mode(mode: int) -> int:
    """The permission bits of a mode as Go writes it (its os.FileMode has setuid, setgid and sticky elsewhere)."""
    bits = mode & 0o777
    for flag, bit in ((_GO_SETUID, stat.S_ISUID), (_GO_SETGID, stat.S_ISGID), (_GO_STICKY, stat.S_ISVTX)):
        if mode & flag:
            bits |= bit
    return bits
