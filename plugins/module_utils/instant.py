# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The instant that a run backs up: which ZFS snapshots it needs, taking them, and destroying them and no others."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from . import layout, locks, log, names, zfs
from .errors import HoldfastError
from .files import read_json, write_json
from .records import NamedTuple, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

JOB_PROPERTY = "holdfast:job"
RUN_PROPERTY = "holdfast:run"
PROPERTIES = (JOB_PROPERTY, RUN_PROPERTY)
# Seconds: a mount namespace that has just ended keeps its ZFS snapshots busy for an instant.
_BUSY = 10.0
_AGAIN = 0.2


class PlanError(HoldfastError):
    """What a job declares cannot be backed up from ZFS snapshots; nothing was taken."""


class Layer(NamedTuple):
    """A dataset that a run needs, and where it is mounted."""

    dataset: str
    point: str


class Plan(NamedTuple):
    """What to back up, and from which datasets; outer mount points come before inner ones."""

    paths: tuple[str, ...]
    layers: tuple[Layer, ...]


class Record(NamedTuple):
    """The ZFS snapshots of a run, on the disk from before they are taken until all are gone.

    Attributes:
        job: the job.
        run: the run.
        snapshot: their name behind the ``@``.
        layers: the datasets, and where each is to be mounted.
        guids: each ZFS snapshot's GUID and transaction group, by name; empty until they were taken.
    """

    job: str
    run: str
    snapshot: str
    layers: tuple[Layer, ...]
    guids: Mapping[str, tuple[str, int]] = {}

    @property
    def names(self) -> list[str]:
        """The ZFS snapshots' names."""
        return [f"{layer.dataset}@{self.snapshot}" for layer in self.layers]

    @property
    def path(self) -> Path:
        """The record's file."""
        return layout.ZFS_RUNS / f"{self.run}.json"

    def without_all_but(self, names: Sequence[str]) -> Record:
        """The record of these ZFS snapshots alone; a renamed one is told by its GUID, so then nothing is left out."""
        if not set(names) <= set(self.names):
            return self
        layers = tuple(layer for layer in self.layers if f"{layer.dataset}@{self.snapshot}" in names)
        return self._replace(layers=layers, guids={name: ids for name, ids in self.guids.items() if name in names})

    def write(self) -> None:
        """Keep the record."""
        layout.ZFS_RUNS.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_json(self.path, plain(self))

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Record:
        """Read a record's document."""
        return cls(
            job=document["job"],
            run=document["run"],
            snapshot=document["snapshot"],
            layers=tuple(Layer(*layer.values()) if isinstance(layer, Mapping) else Layer(*layer) for layer in document["layers"]),
            guids={name: (str(guid), int(txg)) for name, (guid, txg) in document["guids"].items()},
        )


# -- which datasets


def plan(origin: str, dataset: str, paths: Sequence[str], exclude: Sequence[str], limit: float) -> Plan:
    """Work out which datasets hold what a job backs up.

    Args:
        origin: the declaration, for messages.
        dataset: the one that it declares.
        paths: what it backs up; without any, all of the dataset and of those below it.
        exclude: its patterns: a foreign mount that one of them names is left out knowingly.
        limit: seconds for each call of zfs.

    Raises:
        PlanError: something would be missing from the backup; the text says what to declare.
        ZfsError: zfs failed, or the dataset does not exist.
    """
    seen = zfs.visible(_without_binds(zfs.mounts()))
    listed = zfs.datasets([dataset], recursive=True, limit=limit)
    if listed[0].type == "volume":
        raise PlanError(f"{origin}.zfs_dataset: {dataset} is a volume: a backup of files cannot see into it. Name a file system.")
    mounted = _mounted(seen.values())
    if not paths:
        whole = [_required(origin, found, mounted) for found in listed if not _is_container(found)]
        if not whole:
            raise PlanError(f"{origin}.zfs_dataset: {dataset} has no file system that can be mounted. Name one that has files.")
        paths = _outermost(mount.point for mount in whole)
    needed = {mount for path in paths for mount in _below(origin, path, seen, exclude)}
    sources = {mount.source for mount in needed}
    if not sources & {found.name for found in listed}:
        raise PlanError(f"{origin}.zfs_dataset: {dataset} holds none of {', '.join(paths)}. Name the dataset that they lie in.")
    inner = [found for found in zfs.datasets(sorted(sources), recursive=True, limit=limit) if found.name not in sources]
    _refuse_absent(origin, [found for found in inner if found.name not in mounted], paths, exclude)
    ordered = sorted(needed, key=lambda mount: (len(PurePosixPath(mount.point).parts), mount.point))
    return Plan(tuple(paths), tuple(Layer(mount.source, mount.point) for mount in ordered))


def _without_binds(table: Sequence[zfs.Mount]) -> list[zfs.Mount]:
    """The mount table without directories that are mounted over themselves, as a unit's sandbox does to make some writable."""
    whole = {mount.device: mount for mount in table if mount.root == "/"}

    def is_own(mount: zfs.Mount) -> bool:
        file_system = whole.get(mount.device)
        return file_system is not None and mount.point == os.path.normpath(f"{file_system.point}/{mount.root}")

    return [mount for mount in table if mount.root == "/" or not is_own(mount)]


def _mounted(table: Iterable[zfs.Mount]) -> dict[str, zfs.Mount]:
    """Where each dataset is mounted as a whole."""
    return {mount.source: mount for mount in table if mount.type == "zfs" and mount.root == "/" and "@" not in mount.source}


def _is_container(found: zfs.Dataset) -> bool:
    """Whether a dataset cannot be mounted at all, and so has no files that anybody sees."""
    return found.type == "filesystem" and (found.canmount == "off" or found.mountpoint == "none")


def _required(origin: str, found: zfs.Dataset, mounted: Mapping[str, zfs.Mount]) -> zfs.Mount:
    """The mount of a dataset that the backup would lack otherwise."""
    if found.name in mounted:
        return mounted[found.name]
    raise PlanError(f"{origin}.zfs_dataset: {found.name} {_why_absent(found)} Or declare paths without it.")


def _why_absent(found: zfs.Dataset) -> str:
    if found.type == "volume":
        return "is a volume: a backup of files cannot see into it."
    if found.keystatus == "unavailable":
        return "is encrypted and its key is not loaded, so it would be missing from the backup. Run 'zfs load-key' and 'zfs mount' on it."
    return f"is not mounted (canmount={found.canmount}), so it would be missing from the backup. Run 'zfs mount' on it."


def _refuse_absent(origin: str, absent: Sequence[zfs.Dataset], paths: Sequence[str], exclude: Sequence[str]) -> None:
    """A dataset that should be mounted below a path and is not leaves an empty directory there."""
    for found in absent:
        place = found.mountpoint
        wanted = found.type == "filesystem" and found.canmount == "on" and any(_is_below(place, path) for path in paths)
        if wanted and not _excluded(place, exclude):
            raise PlanError(f"{origin}.paths: {found.name} belongs at {place}, but {_why_absent(found)} Or exclude {place}.")


def _below(origin: str, path: str, seen: Mapping[str, zfs.Mount], exclude: Sequence[str]) -> list[zfs.Mount]:
    """The ZFS mount that a path lies on, and those below it."""
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)) if path != "/" else path
    above = [mount for point, mount in seen.items() if _is_below(real, point)]
    lies_on = max(above, key=lambda mount: len(mount.point))
    found = [lies_on]
    if lies_on.type != "zfs":
        raise PlanError(
            f"{origin}.paths: {path} lies on {lies_on.point} ({lies_on.type}), in no ZFS dataset. Take it out, or declare it in "
            "a job without use_snapshots. If a dataset belongs there, is it mounted?"
        )
    if lies_on.point == "/":
        raise PlanError(
            f"{origin}.paths: {path} lies on the root file system, in whose place no ZFS snapshot can be put while the host runs. Move it "
            "to a dataset of its own, or declare it in a job without use_snapshots."
        )
    for point, mount in seen.items():
        if point == lies_on.point or not _is_below(point, real) or _excluded(point, exclude):
            continue
        if mount.type != "zfs":
            raise PlanError(
                f"{origin}.paths: {point} below {path} is a mount of {mount.type}, and in no ZFS snapshot. Exclude it, or move what you "
                "need to a job without use_snapshots."
            )
        if "/.zfs/snapshot" not in point:
            found.append(mount)
    for mount in found:
        if "@" in mount.source or mount.root != "/":
            raise PlanError(
                f"{origin}.paths: {mount.point} shows a part or an old state of {mount.source}. Declare the dataset's own mount point."
            )
    return found


def _is_below(path: str, directory: str) -> bool:
    """Whether a path is a directory or below it."""
    return directory == "/" or path == directory or path.startswith(directory.rstrip("/") + "/")


def _excluded(point: str, exclude: Sequence[str]) -> bool:
    return any(pattern.startswith("/") and _is_below(point, pattern.rstrip("/")) for pattern in exclude)


def _outermost(points: Iterable[str]) -> tuple[str, ...]:
    """The mount points that lie below no other."""
    found: list[str] = []
    for point in sorted(points):
        if not any(_is_below(point, outer) for outer in found):
            found.append(point)
    return tuple(found)


def check_repositories(origin: str, wanted: Plan, places: Iterable[str]) -> None:
    """A local repository must not lie in what is backed up.

    Raises:
        PlanError: one does.
    """
    for place in places:
        for path in wanted.paths:
            if _is_below(place, path):
                raise PlanError(f"{origin}.paths: {path} has the repository {place} in it. Declare paths without it.")


# -- taking and destroying


def take(job: str, run: str, layers: Sequence[Layer], limit: float) -> Record:
    """Take a run's ZFS snapshots, those of one pool at one instant; the record is on the disk before the first exists.

    Raises:
        ZfsError: one could not be taken; what was taken is destroyed again, or by the next cleanup.
    """
    record = Record(job, run, f"holdfast-{run}", tuple(layers))
    record.write()
    try:
        zfs.snapshot(record.names, {JOB_PROPERTY: job, RUN_PROPERTY: run}, limit=limit)
        taken = zfs.snapshots(record.names, limit=limit)
        record = record._replace(guids={found.name: (found.guid, found.createtxg) for found in taken})
        record.write()
    except BaseException:
        with suppress(HoldfastError):
            discard(record, limit)
        raise
    return record


def discard(record: Record, limit: float) -> list[str]:
    """Destroy the ZFS snapshots of a run, and the record when they are gone; give those that are busy.

    Raises:
        ZfsError: zfs failed.
    """
    until = time.monotonic() + _BUSY
    left = _ours(record, limit)
    kept: list[str] = []
    while True:
        left = [name for name in left if not _destroyed(name, limit, kept)]
        if not left or time.monotonic() >= until:
            break
        time.sleep(_AGAIN)
    left = [*kept, *left]
    if left:
        record.without_all_but(left).write()
    else:
        record.path.unlink(missing_ok=True)
    return left


def _destroyed(name: str, limit: float, kept: list[str]) -> bool:
    """Destroy a ZFS snapshot, or put it with those that somebody keeps; False where it is busy for now."""
    try:
        zfs.destroy(name, limit=limit)
    except zfs.DatasetMissing:
        return True
    except zfs.SnapshotKept:
        kept.append(name)
    except zfs.SnapshotBusy:
        return False
    return True


def _ours(record: Record, limit: float) -> list[str]:
    """The ZFS snapshots that the run made and that still exist: by its own property on each, and the GUID that it recorded.

    A run that was killed before it could record GUIDs has the names alone: they bear its id, which nobody could know before.
    """
    listed = zfs.snapshots(record.names, properties=PROPERTIES, missing_ok=True, limit=limit)
    if len(listed) < len(record.guids):
        # Somebody renamed or destroyed some. A user's property can forge lines in a list of all, so none is asked for in it.
        renamed = [found.name for found in zfs.snapshots(limit=limit) if _same(record, found)]
        listed = zfs.snapshots(renamed, properties=PROPERTIES, missing_ok=True, limit=limit) if renamed else []
    return [
        found.name for found in listed if found.properties == {JOB_PROPERTY: record.job, RUN_PROPERTY: record.run} and _same(record, found)
    ]


def _same(record: Record, found: zfs.Snapshot) -> bool:
    if record.guids:
        return (found.guid, found.createtxg) in record.guids.values()
    return found.name in record.names


# -- what other runs left


def cleanup(limit: float) -> list[str]:
    """Destroy the ZFS snapshots of runs that are no longer alive, and nothing else; give those that still stand.

    Args:
        limit: seconds for each call of zfs.
    """
    left = []
    for record in _dead():
        try:
            busy = discard(record, limit)
        except HoldfastError as error:
            log.error(f"{record.job}: ZFS snapshots of run {record.run}: {error}")
            busy = record.names
        if busy:
            log.warning(f"{record.job}: {busy[0]} of run {record.run}, which has ended, still stands. See: zfs holds, zfs get clones")
        else:
            log.info(f"{record.job}: nothing is left of the ZFS snapshots of run {record.run}, which had not destroyed them")
        left += busy
    return left


def orphans(own: str | None = None) -> list[str]:
    """The ZFS snapshots of runs that have ended, as their records tell; `own` is a run that is about to end."""
    return [name for record in [*_dead(), *(found for found in _records() if found.run == own)] for name in record.names]


def is_needed() -> bool:
    """Whether a run left a record of ZFS snapshots; a host without ZFS never has one."""
    return any(layout.ZFS_RUNS.glob("*.json"))


def _dead() -> list[Record]:
    return [record for record in _records() if not _is_alive(record)]


def _records() -> list[Record]:
    return [record for path in sorted(layout.ZFS_RUNS.glob("*.json")) for record in _read(path)]


def _read(path: Path) -> list[Record]:
    """The record in a file; none where it was removed meanwhile or is damaged."""
    try:
        document = read_json(path)
        return [] if document is None else [Record.parse(document)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.error(
            f"{path}: is damaged ({error}). Look for ZFS snapshots with the property {RUN_PROPERTY}={path.stem}, then remove the file."
        )
        return []


def _is_alive(record: Record) -> bool:
    """Whether the run may still use its ZFS snapshots: its process holds the job's lock and says so."""
    holder = locks.holder(names.job_lock(record.job))
    return holder is not None and record.run in str(holder.get("purpose", ""))
