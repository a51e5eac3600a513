# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ZFS snapshots as somebody wants them to be: what is there, what that lacks, and bringing it about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from . import zfs
from .errors import ConfigurationError
from .records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_SHOWN = 5


class Refused(ConfigurationError):
    """What was asked for contradicts itself or what is there; nothing was changed."""


class Wish(NamedTuple):
    """What ZFS snapshots are to be like, or which are to go.

    Attributes:
        snapshot: their name behind the ``@``.
        datasets: what they are of.
        recursive: whether also of all datasets below.
        properties: user properties with the value that each has on the ZFS snapshot itself; none where it is not set there.
        holds: tags that hold them.
        release: tags that do not.
        mounted_at: where the only one is mounted, or is not.
        mounted: which of both.
        force: destroy also what has other properties.
    """

    snapshot: str
    datasets: tuple[str, ...]
    recursive: bool = False
    properties: Mapping[str, str | None] = {}
    holds: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    mounted_at: str | None = None
    mounted: bool = True
    force: bool = False

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Wish:
        """Read a wish from options by their names.

        Raises:
            NameInvalid: something is no name, tag or value.
            Refused: the options contradict each other.
        """
        datasets, holds, release = (tuple(dict.fromkeys(options[key] or ())) for key in ("datasets", "holds", "release"))
        _check_name(options["name"])
        _check("datasets", zfs.check_dataset, datasets)
        _check("datasets", zfs.check_snapshot, [f"{dataset}@{options['name']}" for dataset in datasets])
        _check("holds", zfs.check_tag, holds)
        _check("release", zfs.check_tag, release)
        _check_any(datasets)
        both = [tag for tag in holds if tag in release]
        if both:
            raise Refused(f"release: {both[0]} is in holds too. Take it out of one of them.")
        if holds and options["state"] == "absent":
            raise Refused("holds: what is held cannot be absent. Take holds out, or name the tags in release.")
        wish = cls(options["name"], datasets, options["recursive"], _read_properties(options["properties"]), holds, release)
        return wish._replace(mounted_at=_point(options), mounted=options["mounted"], force=options["force"])

    @property
    def names(self) -> list[str]:
        """The ZFS snapshots of the datasets that are named, not of those below."""
        return [f"{dataset}@{self.snapshot}" for dataset in self.datasets]


class Search(NamedTuple):
    """Which ZFS snapshots to list.

    Attributes:
        datasets: what they are of; all datasets of the host without any.
        recursive: also of all below.
        snapshot: only those with this name behind the ``@``.
        properties: only those with these user properties, as in a wish.
        show: further user properties to tell of.
    """

    datasets: tuple[str, ...] = ()
    recursive: bool = False
    snapshot: str | None = None
    properties: Mapping[str, str | None] = {}
    show: tuple[str, ...] = ()

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Search:
        """Read a search from options by their names.

        Raises:
            NameInvalid: something is no name or value.
            Refused: a value of a property is no text.
        """
        datasets, show = (tuple(dict.fromkeys(options[key] or ())) for key in ("datasets", "show"))
        _check("datasets", zfs.check_dataset, datasets)
        if options["datasets"] is not None:
            _check_any(datasets)
        _check("show", zfs.check_property, show)
        if options["name"] is not None:
            _check_name(options["name"])
        return cls(datasets, options["recursive"], options["name"], _read_properties(options["properties"]), show)


class Standing(NamedTuple):
    """A ZFS snapshot with all that one can wish of it; what ZFS gives it is none while it is only foretold.

    Attributes:
        name: ``DATASET@SNAPSHOT``.
        guid: what it keeps when it is renamed.
        createtxg: the transaction group that made it.
        created: Unix seconds.
        used: bytes that only it holds.
        holds: the tags that hold it, sorted.
        properties: user properties that are set on it itself, of those that were asked for.
        mounted_at: where it is mounted, sorted; what ZFS mounts by itself below ``.zfs`` does not count.
    """

    name: str
    guid: str | None = None
    createtxg: int | None = None
    created: int | None = None
    used: int | None = None
    holds: tuple[str, ...] = ()
    properties: Mapping[str, str] = {}
    mounted_at: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """It as a result tells it."""
        dataset, _at, snapshot = self.name.partition("@")
        return {**self._asdict(), "dataset": dataset, "snapshot": snapshot}

    @property
    def wishes(self) -> dict[str, Any]:
        """What a wish can change."""
        return {"holds": list(self.holds), "properties": dict(sorted(self.properties.items())), "mounted_at": list(self.mounted_at)}

    def has(self, properties: Mapping[str, str | None]) -> bool:
        """Whether it has user properties as they are wished for."""
        return all(self.properties.get(key) == value for key, value in properties.items())


class Done(NamedTuple):
    """ZFS snapshots before and after; in check mode, as they would be after."""

    before: tuple[Standing, ...]
    after: tuple[Standing, ...]

    @property
    def changed(self) -> bool:
        """Whether anything is another."""
        return _by_name(self.before) != _by_name(self.after)

    @property
    def diff(self) -> dict[str, Any]:
        """Ansible's diff."""
        return {"before": _by_name(self.before), "after": _by_name(self.after)}


def _by_name(standings: Iterable[Standing]) -> dict[str, dict[str, Any]]:
    return {found.name: found.wishes for found in sorted(standings, key=lambda found: found.name)}


# -- reading what is wished for


def _read_properties(given: Mapping[str, Any] | None) -> dict[str, str | None]:
    """User properties out of an option.

    Raises:
        NameInvalid: something is no name or no value.
        Refused: a value is neither a text nor a whole number, so that its spelling is not certain.
    """
    found: dict[str, str | None] = {}
    for key, value in (given or {}).items():
        _check("properties", zfs.check_property, [key])
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
            raise Refused(f"properties.{key}: {value!r} is no text. Write the value in quotes.")
        found[key] = None if value is None else str(value)
        _check(f"properties.{key}", zfs.check_value, [found[key] or ""])
    return found


def _check(option: str, check: Callable[[str], object], texts: Iterable[str]) -> None:
    try:
        for text in texts:
            check(text)
    except zfs.NameInvalid as error:
        raise zfs.NameInvalid(f"{option}: {error}") from None


def _check_any(datasets: Sequence[str]) -> None:
    # zfs takes no name at all for everything on the host.
    if not datasets:
        raise Refused("datasets: is empty. Name at least one.")


def _check_name(name: str) -> None:
    # A comma or a percent sign would make a list or a range of it.
    _check("name", lambda text: zfs.check_snapshot(f"x@{text}"), [name])


def _point(options: Mapping[str, Any]) -> str | None:
    """Where to mount, as the mount table will name it."""
    path: str | None = options["mounted_at"]
    if path is None:
        return None
    if not path.startswith("/") or "\0" in path:
        raise Refused(f"mounted_at: {path!r} is no absolute path. Write one, such as /mnt/before-upgrade.")
    if options["recursive"] or len(set(options["datasets"])) != 1:
        raise Refused("mounted_at: only one ZFS snapshot can be mounted there. Name one dataset, and leave recursive out.")
    return os.path.realpath(path)


# -- what is there


def listed(search: Search) -> list[Standing]:
    """ZFS snapshots, oldest first.

    Raises:
        DatasetMissing: a dataset does not exist.
        ZfsError: zfs failed or did not end in time.
    """
    keys = list(dict.fromkeys([*search.properties, *search.show]))
    if search.datasets and search.snapshot is not None:
        found = _existing(_targets(search.datasets, search.recursive, search.snapshot), keys)
    else:
        found = _known(_of_datasets(search, keys))
    return [one for one in found if one.has(search.properties)]


def _of_datasets(search: Search, keys: Sequence[str]) -> list[zfs.Snapshot]:
    try:
        found = zfs.snapshots(search.datasets, recursive=search.recursive and bool(search.datasets), properties=keys)
    except zfs.DatasetMissing as error:
        raise _missing(error) from None
    return [one for one in found if search.snapshot in (None, one.name.partition("@")[2])]


def _missing(error: zfs.DatasetMissing) -> zfs.DatasetMissing:
    return zfs.DatasetMissing(f"datasets: {error}. Write them as 'zfs list' shows them. Is their pool imported?")


def _targets(datasets: Sequence[str], recursive: bool, snapshot: str) -> list[str]:
    """The names of the ZFS snapshots of datasets that exist, and of those below."""
    try:
        found = zfs.datasets(datasets, recursive=recursive)
    except zfs.DatasetMissing as error:
        raise _missing(error) from None
    return list(dict.fromkeys(f"{dataset.name}@{snapshot}" for dataset in found))


def _existing(names: Sequence[str], properties: Sequence[str]) -> list[Standing]:
    return _known(zfs.snapshots(names, properties=properties, missing_ok=True)) if names else []


def _known(found: Sequence[zfs.Snapshot]) -> list[Standing]:
    """What zfs listed, with holds and mounts."""
    tags = zfs.holds([one.name for one in found if one.holds])
    places: dict[str, set[str]] = {}
    for mount in zfs.mounts():
        if mount.type == "zfs" and "@" in mount.source and "/.zfs/snapshot/" not in mount.point:
            places.setdefault(mount.source, set()).add(mount.point)
    return [
        Standing(
            one.name, one.guid, one.createtxg, one.created, one.used,
            tuple(sorted(tags.get(one.name, ()))), one.properties, tuple(sorted(places.get(one.name, ()))),
        )
        for one in found
    ]  # fmt: skip


# -- present


def ensure_present(wish: Wish, check: bool) -> Done:
    """Take what is missing, all of one pool at one instant, and make every one as it is wished for.

    Args:
        wish: what they are to be like.
        check: change nothing, tell what would be.

    Raises:
        DatasetMissing: a dataset does not exist.
        NameInvalid: a name would be too long.
        Refused: it cannot be mounted there.
        ZfsError: zfs or mount failed or did not end in time.
    """
    _check_any(wish.datasets)
    names = _targets(wish.datasets, wish.recursive, wish.snapshot)
    _check("name", zfs.check_snapshot, names)
    before = _existing(names, list(wish.properties))
    known = {found.name: found for found in before}
    whole = [known.get(name, Standing(name)) for name in names]
    foretold = Done(tuple(before), tuple(wished(wish, found) for found in whole))
    if not foretold.changed:
        return Done(tuple(before), tuple(before))
    if wish.mounted_at and wish.mounted and wish.mounted_at not in whole[0].mounted_at:
        _check_mountable(wish.datasets[0], wish.mounted_at)
    if check:
        return foretold
    _bring_about(wish, whole)
    return Done(tuple(before), tuple(_existing(names, list(wish.properties))))


def wished(wish: Wish, found: Standing) -> Standing:
    """A ZFS snapshot as it is to be."""
    properties = {key: value for key, value in {**found.properties, **wish.properties}.items() if value is not None}
    places = set(found.mounted_at)
    if wish.mounted_at:
        places = places | {wish.mounted_at} if wish.mounted else places - {wish.mounted_at}
    holds = (set(found.holds) | set(wish.holds)) - set(wish.release)
    return found._replace(properties=properties, holds=tuple(sorted(holds)), mounted_at=tuple(sorted(places)))


def _check_mountable(dataset: str, point: str) -> None:
    (found,) = zfs.datasets([dataset])
    if found.type == "volume":
        raise Refused(f"mounted_at: {dataset} is a volume and has no files to mount. Leave mounted_at out, or clone its ZFS snapshot.")
    if found.keystatus == "unavailable":
        raise Refused(f"mounted_at: {dataset} is encrypted and its key is not loaded. Run 'zfs load-key' on it.")
    there = zfs.visible(zfs.mounts()).get(point)
    if there:
        raise Refused(f"mounted_at: {there.source} is mounted at {point}. Unmount it, or name another directory.")
    if os.path.lexists(point) and not os.path.isdir(point):
        raise Refused(f"mounted_at: {point} is no directory. Name another path.")


def _bring_about(wish: Wish, whole: Sequence[Standing]) -> None:
    """Make ZFS snapshots as they are wished for; one without GUID is missing."""
    values = {key: value for key, value in wish.properties.items() if value is not None}
    missing = [found.name for found in whole if found.guid is None]
    if missing:
        zfs.snapshot(missing, values)
    others = [found.name for found in whole if found.guid is not None and not found.has(values)]
    if others:
        zfs.set_properties(others, values)
    for key in wish.properties.keys() - values.keys():
        having = [found.name for found in whole if key in found.properties]
        if having:
            zfs.inherit_property(key, having)
    for tag in wish.holds:
        loose = [found.name for found in whole if tag not in found.holds]
        if loose:
            zfs.hold(tag, loose)
    _release(wish, whole)
    if wish.mounted_at and not wish.mounted:
        _unmount(wish, whole)
    elif wish.mounted_at and wish.mounted_at not in whole[0].mounted_at:
        os.makedirs(wish.mounted_at, exist_ok=True)
        zfs.mount(whole[0].name, wish.mounted_at)


def _release(wish: Wish, whole: Sequence[Standing]) -> None:
    for tag in wish.release:
        held = [found.name for found in whole if tag in found.holds]
        if held:
            zfs.release(tag, held)


def _unmount(wish: Wish, whole: Sequence[Standing]) -> None:
    if wish.mounted_at and any(wish.mounted_at in found.mounted_at for found in whole):
        zfs.unmount(wish.mounted_at)


# -- absent


def ensure_absent(wish: Wish, check: bool) -> Done:
    """Destroy ZFS snapshots, and never anything else; a dataset that does not exist has none.

    Args:
        wish: which are to go.
        check: change nothing, tell what would be.

    Raises:
        Refused: one has not the properties that it was to have; nothing was changed.
        SnapshotBusy: one is held, mounted or has clones; nothing was changed, unless that came about meanwhile.
        ZfsError: zfs or umount failed or did not end in time.
    """
    _check_any(wish.datasets)
    before = _standing(wish)
    if not wish.force:
        _refuse_others(before, wish.properties)
    _refuse_busy(wish, before)
    if check or not before:
        return Done(tuple(before), ())
    _release(wish, before)
    _unmount(wish, before)
    gone: list[str] = []
    for name in _roots(wish) if wish.recursive else [found.name for found in before]:
        if any(_covers(name, found.name) for found in before):
            _destroy(name, wish.recursive, gone)
    return Done(tuple(before), tuple(_standing(wish)))


def _standing(wish: Wish) -> list[Standing]:
    """What there is of the ZFS snapshots that are to go."""
    if not wish.recursive:
        return _existing(wish.names, list(wish.properties))
    found = zfs.snapshots(wish.datasets, recursive=True, properties=list(wish.properties), missing_ok=True)
    return _known([one for one in found if one.name.partition("@")[2] == wish.snapshot])


def _roots(wish: Wish) -> list[str]:
    """The ZFS snapshots of the datasets that are named and lie below no other that is."""
    return [name for name in wish.names if not any(_covers(other, name) for other in wish.names if other != name)]


def _covers(root: str, name: str) -> bool:
    """Whether a ZFS snapshot is that of a dataset or of one below it."""
    return name == root or name.startswith(root.partition("@")[0] + "/")


def _refuse_others(found: Sequence[Standing], properties: Mapping[str, str | None]) -> None:
    others = [one.name for one in found if not one.has(properties)]
    if others:
        wanted = ", ".join(f"no {key}" if value is None else f"{key}={value}" for key, value in properties.items())
        raise Refused(
            f"properties: {_few(others)}: not {wanted}, set on the ZFS snapshot itself; what is inherited or received does not count. "
            "Nothing was destroyed. Mend properties, or set force to true."
        )


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _refuse_busy(wish: Wish, found: Sequence[Standing]) -> None:
    """Say what zfs would, before anything is changed."""
    for one in found:
        tags = [tag for tag in one.holds if tag not in wish.release]
        places = [place for place in one.mounted_at if place != wish.mounted_at]
        if tags:
            raise _busy(f"release: {one.name} is held by {', '.join(tags)}. Name there what may be released.")
        if places:
            raise _busy(f"mounted_at: {one.name} is mounted at {places[0]}. Unmount it, or name that path for this dataset alone.")
    for name, clones in zfs.clones([one.name for one in found]).items():
        if clones:
            raise _busy(f"{name} has the clone {clones[0]}. Destroy the clone first, or run 'zfs promote' on it.")


def _busy(text: str) -> zfs.SnapshotBusy:
    return zfs.SnapshotBusy(f"{text} Nothing was destroyed.")


def _destroy(name: str, recursive: bool, gone: list[str]) -> None:
    try:
        zfs.destroy(name, recursive=recursive)
    except zfs.DatasetMissing:
        # Somebody else was quicker.
        return
    except zfs.ZfsError as error:
        raise type(error)(f"{error}. Destroyed before it: {_few(gone) or 'nothing'}.") from None
    gone.append(name)
