# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making the units, timers and files of all jobs what the manifest says, and removing those of jobs that are gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from . import instant, layout, metrics, names, state, systemd, units, zfs
from .errors import ConfigurationError
from .files import read_text, remove, write_atomically
from .manifest import Manifest
from .reader import choose, wrong
from .state import Expected, JobState

_OURS = (
    "holdfast-backup@*.timer",
    "holdfast-backup@*.service.d",
    "holdfast-forget@*.timer",
    "holdfast-forget@*.service.d",
)


@dataclass
class Changes:
    """What differs from the manifest: paths written with the texts before and after, paths removed, timers turned on or off."""

    written: dict[str, tuple[str, str]] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)
    enabled: list[str] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether there is something to do."""
        return bool(self.written or self.removed or self.enabled or self.disabled)


def check_host(manifest: Manifest) -> None:
    """What only the host can tell of a manifest; changes nothing.

    Raises:
        ConfigurationError: a schedule is none that systemd takes, or a ZFS dataset does not exist.
    """
    calendars = units.calendars(manifest)
    unknown = systemd.wrong_calendars(list(calendars.values()))
    for origin, value in calendars.items():
        if value in unknown:
            raise ConfigurationError(
                f"{origin}: {value!r} is neither hourly, daily, weekly or monthly nor an OnCalendar expression that systemd takes. "
                f"Try it with: systemd-analyze calendar {value!r}"
            )

    _check_datasets(manifest)


def _check_datasets(manifest: Manifest) -> None:
    jobs = [job for job in manifest.jobs.values() if job.zfs_dataset]
    if not jobs:
        return
    try:
        known = {found.name: found for found in zfs.datasets()}
    except zfs.ZfsError as error:
        raise ConfigurationError(f"{jobs[0].origin}.use_snapshots: {error}") from None
    for job in jobs:
        found = known[choose(f"{job.origin}.zfs_dataset", str(job.zfs_dataset), known, "ZFS dataset of this host")]
        if found.type == "volume":
            raise wrong(
                f"{job.origin}.zfs_dataset", found.name, "is a volume, and a backup of files cannot see into it", "Name a file system."
            )


def _located(manifest: Manifest) -> Manifest:
    """The manifest with the mount points as paths of jobs that name a dataset alone: their units must let hooks write there."""
    roots = {str(job.zfs_dataset): job for job in manifest.jobs.values() if job.zfs_dataset and not job.paths}
    if not roots:
        return manifest
    points: dict[str, list[str]] = {root: [] for root in roots}
    for found in zfs.datasets(list(roots), recursive=True):
        for root in roots:
            if found.mountpoint.startswith("/") and (found.name == root or found.name.startswith(f"{root}/")):
                points[root].append(found.mountpoint)
    located = {job.name: job._replace(paths=tuple(points[root])) for root, job in roots.items()}
    return manifest._replace(jobs={**manifest.jobs, **located})


def converge(manifest: Manifest, check: bool = False) -> Changes:
    """Bring the host to the manifest.

    Running services are neither stopped nor restarted. Restic snapshots of jobs that are gone stay, and what is known of them.

    Args:
        manifest: what should be.
        check: change nothing, and tell what would change.
    """
    return _Converger(manifest, check).converge()


class _Converger:
    def __init__(self, manifest: Manifest, check: bool) -> None:
        self._manifest = manifest
        self._check = check
        self._changes = Changes()

    def converge(self) -> Changes:
        texts = {**units.shared(self._manifest), **units.instances(_located(self._manifest))}
        wanted = {Path(names.UNITS, name): text for name, text in texts.items()}
        wanted[layout.MANIFEST] = self._manifest.text()
        timers = sorted(path.name for path in wanted if path.name.endswith(".timer"))
        gone = self._gone(wanted)
        self._compare(wanted)
        self._turn_off([path.name for path in gone if path.name.endswith(".timer")], timers)
        self._remove(gone)
        self._destroy_orphans()
        self._write(wanted)
        if any(path.startswith(names.UNITS) for path in (*self._changes.written, *self._changes.removed)) and not self._check:
            systemd.daemon_reload()
        self._turn_on(timers)
        self._expectations()
        return self._changes

    def _gone(self, wanted: dict[Path, str]) -> list[Path]:
        """Our unit files and drop-in directories that no job or repository needs any more."""
        needed = {*wanted, *(path.parent for path in wanted)}
        return sorted(path for pattern in _OURS for path in Path(names.UNITS).glob(pattern) if path not in needed)

    def _compare(self, wanted: dict[Path, str]) -> None:
        for path, text in wanted.items():
            before = read_text(path)
            if before != text:
                self._changes.written[str(path)] = (before or "", text)

    def _write(self, wanted: dict[Path, str]) -> None:
        if self._check:
            return
        for path in self._changes.written:
            Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_atomically(Path(path), wanted[Path(path)], 0o644)

    def _turn_off(self, gone: list[str], timers: list[str]) -> None:
        staged = [] if self._manifest.enable else [timer for timer in timers if systemd.is_enabled(timer)]
        self._changes.disabled = sorted({*(timer for timer in gone if systemd.is_enabled(timer)), *staged})
        if not self._check:
            systemd.disable_now(self._changes.disabled)

    def _remove(self, gone: list[Path]) -> None:
        directory = Path(self._manifest.textfile_directory)
        old_jobs = [job for job in state.known_jobs() if job not in self._manifest.jobs and state.read_job(job).expected is not None]
        repositories = list(self._manifest.repositories)
        for path in [*gone, *metrics.stale_files(directory, self._manifest.jobs, repositories)]:
            self._changes.removed[str(path)] = (
                "".join(read_text(child) or "" for child in path.glob("*")) if path.is_dir() else read_text(path) or ""
            )
            if not self._check:
                remove(path)
        if not self._check:
            for job in old_jobs:
                state.write_job(job, state.read_job(job)._replace(expected=None))

    def _destroy_orphans(self) -> None:
        """Destroy the ZFS snapshots that runs left which have ended, also of jobs that are gone."""
        for name in instant.orphans():
            self._changes.removed[name] = ""
        if instant.is_needed() and not self._check:
            instant.cleanup(self._manifest.settings.stall_timeout)

    def _turn_on(self, timers: list[str]) -> None:
        if not self._manifest.enable:
            return
        self._changes.enabled = [timer for timer in timers if not systemd.is_enabled(timer)]
        rewritten = {Path(path).name for path in self._changes.written}
        active = systemd.active("holdfast-*.timer")
        stopped = [timer for timer in timers if timer not in active and timer not in self._changes.enabled]
        self._changes.enabled += stopped
        self._changes.restarted = [timer for timer in timers if timer in rewritten and timer not in self._changes.enabled]
        if not self._check:
            systemd.enable_now(self._changes.enabled)
            systemd.restart(self._changes.restarted)
        if not systemd.is_enabled(names.CLEANUP_UNIT, "multi-user.target"):
            self._changes.enabled.append(names.CLEANUP_UNIT)
            if not self._check:
                systemd.enable([names.CLEANUP_UNIT])

    def _expectations(self) -> None:
        """Tell state and metrics of every job that should exist, also before its first run."""
        for job in self._manifest.jobs.values():
            known = state.read_job(job.name)
            expected = known._replace(expected=Expected.of(self._manifest, job))
            path = layout.job_metrics(Path(self._manifest.textfile_directory), job.name)
            if known == expected and path.exists():
                continue
            self._changes.written.setdefault(str(path), (read_text(path) or "", self._metrics_of(job.name, expected)))
            if not self._check:
                state.write_job(job.name, expected)
                metrics.publish_job(job.name, expected)

    def _metrics_of(self, job: str, expected: JobState) -> str:
        """A job's metric file; on a bare host in check mode the library that writes it is not there yet."""
        try:
            return metrics.job_text(job, expected)
        except metrics.MetricsError:
            if not self._check:
                raise
            return ""
