# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""OpenZFS: the only place that knows the arguments, output and messages of zfs and of the mount table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import process
from .errors import HoldfastError, LimitExceeded
from .records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

LIMIT = 300.0
_LONGEST = 255
_LONGEST_VALUE = 8191
# zfsconcepts(7): letters, digits and _ - : . in each part, which is not . or ..; libzfs takes spaces too.
_DATASET = re.compile(r"[A-Za-z][A-Za-z0-9_.:\- ]*(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9_.:\-][A-Za-z0-9_.:\- ]*)*")
_SNAPSHOT = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9_.:\-][A-Za-z0-9_.:\- ]*")
# zfs would read a leading dash as an option.
_PROPERTY = re.compile(r"(?!-)[a-z0-9_.\-]*:[a-z0-9_.:\-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED = re.compile(r"\\([0-7]{3})")


class ZfsError(HoldfastError):
    """zfs failed, or is not there."""


class NameInvalid(ZfsError):
    """Something is no name of a dataset or ZFS snapshot; nothing was asked of zfs."""


class DatasetMissing(ZfsError):
    """A dataset or ZFS snapshot does not exist."""


class SnapshotBusy(ZfsError):
    """A ZFS snapshot cannot be destroyed: it is mounted, held or has clones."""


class SnapshotKept(SnapshotBusy):
    """It is held or has clones, so that waiting does not help."""


class Dataset(NamedTuple):
    """A file system or volume, as ``zfs list`` tells it."""

    name: str
    type: str
    mountpoint: str
    canmount: str
    keystatus: str


class Snapshot(NamedTuple):
    """A ZFS snapshot.

    Attributes:
        name: ``DATASET@SNAPSHOT``.
        guid: what it keeps when it is renamed.
        createtxg: the transaction group that made it: equal for all that were taken at one instant in one pool.
        created: Unix seconds.
        used: bytes that only it holds.
        holds: how many holds keep it from being destroyed.
        properties: user properties that are set on this very snapshot, neither inherited nor received.
    """

    name: str
    guid: str
    createtxg: int
    created: int
    used: int
    holds: int
    properties: Mapping[str, str]

    @property
    def dataset(self) -> str:
        """The dataset that it is of."""
        return self.name.partition("@")[0]


class Mount(NamedTuple):
    """A line of the mount table (proc(5), mountinfo).

    Attributes:
        device: major and minor number, as ``os.stat`` gives them for files below.
        root: what of the file system is mounted; ``/`` for all of it.
        point: where.
        type: ``zfs`` and so on.
        source: the dataset or ZFS snapshot.
        options: of the mount point itself, such as ``ro``.
    """

    device: tuple[int, int]
    root: str
    point: str
    type: str
    source: str
    options: tuple[str, ...]


def check_dataset(name: str) -> str:
    """A name of a dataset, unchanged.

    Raises:
        NameInvalid: it is none.
    """
    if not _DATASET.fullmatch(name) or len(name) > _LONGEST or name != name.strip():
        raise NameInvalid(f"{name!r} is no name of a ZFS dataset. Write it as 'zfs list' shows it, such as tank/services/app.")
    return name


def check_snapshot(name: str) -> str:
    """A name ``DATASET@SNAPSHOT``, unchanged.

    Raises:
        NameInvalid: it is none.
    """
    dataset, at, snapshot = name.partition("@")
    if not at or not _SNAPSHOT.fullmatch(snapshot) or len(name) > _LONGEST or snapshot != snapshot.strip():
        raise NameInvalid(f"{name!r} is no name of a ZFS snapshot. Write DATASET@NAME, the name in letters, digits, '_', '-', '.' and ':'.")
    check_dataset(dataset)
    return name


def check_property(name: str) -> str:
    """A name of a user property, unchanged (zfsprops(7), "User Properties").

    Raises:
        NameInvalid: it is none.
    """
    if not _PROPERTY.fullmatch(name) or len(name) > _LONGEST:
        raise NameInvalid(f"{name!r} is no name of a user property. It has a colon in it and no capitals, such as com.example:purpose.")
    return name


def check_value(value: str) -> str:
    """A value for a user property, unchanged.

    Raises:
        NameInvalid: it is too long, or has a control character, which would break the lines that zfs prints.
    """
    if _CONTROL.search(value) or len(value.encode("utf-8", "surrogatepass")) > _LONGEST_VALUE:
        raise NameInvalid(f"{value[:60]!r} is no value for a user property. Write one line of at most {_LONGEST_VALUE} bytes.")
    return value


def check_tag(tag: str) -> str:
    """A tag of a hold, unchanged.

    Raises:
        NameInvalid: it is none.
    """
    if not _SNAPSHOT.fullmatch(tag) or tag.startswith(("-", ".")) or len(tag) > _LONGEST:
        raise NameInvalid(
            f"{tag!r} is no tag for a hold. Write it in letters, digits, '_', '-', '.' and ':', not beginning with '-' or '.'."
        )
    return tag


def _zfs(*arguments: str, doing: str, limit: float = LIMIT, on_line: Callable[[str], None] | None = None, shielded: bool = False) -> str:
    try:
        done = process.run(["zfs", *arguments], doing=doing, limit=limit, on_stdout=on_line, keep_output=on_line is None, shielded=shielded)
    except FileNotFoundError:
        raise ZfsError(f"{doing}: there is no program zfs. Install zfsutils-linux, or set use_snapshots to false.") from None
    except LimitExceeded as error:
        raise ZfsError(f"{error}; the pool may hang: see 'zpool status'") from None
    if done.status != 0:
        text = " ".join(line.strip() for line in done.stderr.splitlines() if line.strip()) or done.complaint
        raise _kind(text)(f"{doing}: {text}")
    return done.stdout


def _kind(text: str) -> type[ZfsError]:
    """What zfs means by its words; its exit status is 1 for everything but usage."""
    if "does not exist" in text or "no such pool" in text or "could not find any snapshots" in text:
        return DatasetMissing
    if "being held" in text or "has dependent clones" in text:
        return SnapshotKept
    if "busy" in text or "has children" in text:
        return SnapshotBusy
    return ZfsError


def datasets(names: Sequence[str] = (), *, recursive: bool = False, limit: float = LIMIT) -> list[Dataset]:
    """File systems and volumes: those named, with all below them where ``recursive``; all of the host without names.

    Raises:
        DatasetMissing: one named does not exist.
        NameInvalid: one named is no dataset's name.
        ZfsError: zfs failed or did not end in time.
    """
    words = ["-r"] if recursive and names else []
    named = [check_dataset(name) for name in names]
    columns = ",".join(Dataset._fields)
    text = _zfs("list", "-Hp", "-t", "filesystem,volume", "-o", columns, *words, *named, doing="listing ZFS datasets", limit=limit)
    return [Dataset(*line.split("\t")) for line in text.splitlines()]


def snapshots(
    names: Sequence[str] = (),
    *,
    recursive: bool = False,
    properties: Sequence[str] = (),
    missing_ok: bool = False,
    limit: float = LIMIT,
) -> list[Snapshot]:
    """ZFS snapshots, oldest first: those named, those of the datasets named (and below, where ``recursive``), or all of the host.

    Args:
        names: datasets, or each a ``DATASET@SNAPSHOT``.
        recursive: also of all datasets below.
        properties: the user properties to read; others are not told.
        missing_ok: what does not exist is no error and just not in the list.

    Raises:
        DatasetMissing: one named does not exist.
        NameInvalid: one named is neither a dataset nor a ZFS snapshot.
        ZfsError: zfs failed or did not end in time.
    """
    named = [check_snapshot(name) if "@" in name else check_dataset(name) for name in names]
    if any("@" in name for name in named) and recursive:
        raise NameInvalid("Ask for all ZFS snapshots below datasets, or for single ones: not both.")
    depth = ["-r"] if recursive else ["-d", "1"] if named and "@" not in named[0] else []
    wanted = ["guid", "createtxg", "creation", "used", "userrefs", *(check_property(name) for name in properties)]
    found: dict[str, dict[str, tuple[str, str]]] = {}

    def take(line: str) -> None:
        # A value may have tabs and newlines in it: what is no line of its own is passed over, and the first word on a property stands.
        if line.count("\t") >= 3:
            name, key, rest = line.split("\t", 2)
            value, _tab, source = rest.rpartition("\t")
            found.setdefault(name, {}).setdefault(key, (value, source))

    try:
        _zfs(
            "get", "-Hp", "-t", "snapshot", *depth, "-o", "name,property,value,source", ",".join(wanted), *named,
            doing="listing ZFS snapshots", limit=limit, on_line=take,
        )  # fmt: skip
    except DatasetMissing:
        # zfs tells of those that exist all the same.
        if not missing_ok:
            raise
    listed = [_snapshot(name, values, properties) for name, values in found.items() if {"guid", "createtxg"} <= values.keys()]
    return sorted(listed, key=lambda snapshot: (snapshot.createtxg, snapshot.name))


def _snapshot(name: str, values: Mapping[str, tuple[str, str]], properties: Sequence[str]) -> Snapshot:
    def number(key: str) -> int:
        text = values[key][0]
        return int(text) if text.isdecimal() else 0

    own = {key: values[key][0] for key in properties if key in values and values[key][1] == "local"}
    return Snapshot(name, values["guid"][0], number("createtxg"), number("creation"), number("used"), number("userrefs"), own)


def snapshot(names: Sequence[str], properties: Mapping[str, str], *, recursive: bool = False, limit: float = LIMIT) -> None:
    """Take ZFS snapshots; those of one pool in one transaction, at one instant (zfs-snapshot(8)).

    Raises:
        DatasetMissing: a dataset does not exist.
        NameInvalid: a name is none.
        ZfsError: zfs failed, such as for want of room, or did not end in time.
    """
    options = [word for key, value in properties.items() for word in ("-o", f"{check_property(key)}={value}")]
    flag = ["-r"] if recursive else []
    for pool in sorted({name.partition("@")[0].partition("/")[0] for name in names}):
        mine = [check_snapshot(name) for name in names if name.partition("@")[0].partition("/")[0] == pool]
        _zfs("snapshot", *flag, *options, *mine, doing=f"taking ZFS snapshots in {pool}", limit=limit)


def destroy(name: str, *, recursive: bool = False, limit: float = LIMIT) -> None:
    """Destroy a ZFS snapshot, with those of the same name in all datasets below where ``recursive``; never their clones.

    Raises:
        DatasetMissing: it does not exist.
        NameInvalid: it is no name of a ZFS snapshot, so that nothing else is ever destroyed.
        SnapshotBusy: it is mounted, held or has clones.
        ZfsError: zfs failed or did not end in time.
    """
    _zfs("destroy", *(["-r"] if recursive else []), check_snapshot(name), doing=f"destroying {name}", limit=limit, shielded=True)


def hold(tag: str, names: Sequence[str], *, limit: float = LIMIT) -> None:
    """Keep ZFS snapshots from being destroyed until they are released; errors as of ``snapshot``."""
    _zfs("hold", check_tag(tag), *(check_snapshot(name) for name in names), doing="holding ZFS snapshots", limit=limit)


def release(tag: str, names: Sequence[str], *, limit: float = LIMIT) -> None:
    """Take a hold away; errors as of ``snapshot``."""
    _zfs("release", check_tag(tag), *(check_snapshot(name) for name in names), doing="releasing ZFS snapshots", limit=limit)


def holds(names: Sequence[str], *, limit: float = LIMIT) -> dict[str, list[str]]:
    """The tags that hold each of some ZFS snapshots; errors as of ``snapshot``."""
    found: dict[str, list[str]] = {name: [] for name in names}
    # OpenZFS 2.1 has no -p for it; the time is not needed.
    text = _zfs("holds", "-H", *(check_snapshot(name) for name in names), doing="listing holds", limit=limit) if names else ""
    for line in text.splitlines():
        name, _tab, rest = line.partition("\t")
        found[name].append(rest.rpartition("\t")[0])
    return found


def set_properties(names: Sequence[str], properties: Mapping[str, str], *, limit: float = LIMIT) -> None:
    """Set user properties on ZFS snapshots that exist; errors as of ``snapshot``."""
    words = [f"{check_property(key)}={check_value(value)}" for key, value in properties.items()]
    _zfs("set", *words, *(check_snapshot(name) for name in names), doing="setting properties of ZFS snapshots", limit=limit)


def inherit_property(key: str, names: Sequence[str], *, limit: float = LIMIT) -> None:
    """Take a user property away that is set on ZFS snapshots themselves; errors as of ``snapshot``."""
    words = [check_property(key), *(check_snapshot(name) for name in names)]
    _zfs("inherit", *words, doing=f"unsetting {key} of ZFS snapshots", limit=limit)


def clones(names: Sequence[str], *, limit: float = LIMIT) -> dict[str, list[str]]:
    """The datasets that are clones of each of some ZFS snapshots; errors as of ``snapshot``."""
    checked = [check_snapshot(name) for name in names]
    text = _zfs("get", "-Hp", "-o", "name,value", "clones", *checked, doing="listing clones", limit=limit) if names else ""
    pairs = (line.split("\t") for line in text.splitlines())
    return {name: [] if value in ("", "-") else value.split(",") for name, value in pairs}


def mount(name: str, point: str, *, limit: float = LIMIT) -> None:
    """Mount a ZFS snapshot read-only at an absolute path; what the directory there holds is hidden.

    Raises:
        NameInvalid: it is no name of a ZFS snapshot.
        ZfsError: mount failed or did not end in time.
    """
    # Its helper for zfs refuses a directory that is not empty.
    _mounting("mount", "-i", "-t", "zfs", "-o", "ro", check_snapshot(name), point, doing=f"mounting {name} at {point}", limit=limit)


def unmount(point: str, *, limit: float = LIMIT) -> None:
    """Unmount what is mounted at an absolute path.

    Raises:
        SnapshotBusy: a process uses it.
        ZfsError: umount failed or did not end in time.
    """
    _mounting("umount", point, doing=f"unmounting {point}", limit=limit)


def _mounting(*argv: str, doing: str, limit: float) -> None:
    try:
        done = process.run(argv, doing=doing, limit=limit)
    except LimitExceeded as error:
        raise ZfsError(f"{error}; the pool may hang: see 'zpool status'") from None
    if done.status != 0:
        raise _kind(done.stderr)(f"{doing}: {done.complaint}")


def mounts(table: Path = Path("/proc/self/mountinfo")) -> list[Mount]:
    """What is mounted in this process's mount namespace, in the order in which it was mounted."""
    return [_mount(line) for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()]


def _mount(line: str) -> Mount:
    before, _dash, after = line.partition(" - ")
    _id, _parent, device, root, point, options, *_rest = before.split(" ")
    kind, source, *_more = after.split(" ")
    major, minor = device.split(":")
    return Mount((int(major), int(minor)), _unescape(root), _unescape(point), kind, _unescape(source), tuple(options.split(",")))


def _unescape(text: str) -> str:
    """Spaces, tabs, newlines and backslashes stand as octal numbers in the mount table."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def visible(table: Iterable[Mount]) -> dict[str, Mount]:
    """The mount that one sees at each place: the last one there, unless a later one covers a directory above."""
    seen: dict[str, Mount] = {}
    for mount in table:
        above = mount.point.rstrip("/") + "/"
        seen = {point: found for point, found in seen.items() if not point.startswith(above)}
        seen[mount.point] = mount
    return seen
