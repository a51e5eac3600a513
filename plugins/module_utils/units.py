# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of every unit file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from . import layout, names
from .manifest import Job, Manifest, Repository
from .schedule import on_calendar
from .systemd import escape_path

HEADER = "# Written by holdfast.backup; site.yml writes it anew.\n"
_ENGINE_CAPABILITIES = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETPCAP CAP_SETUID"
_UPKEEP_CAPABILITIES = "CAP_CHOWN CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETPCAP CAP_SETUID"

_HOMES = ("/home", "/root", "/run/user")
RUNTIME_DIRECTORY = "RuntimeDirectory=holdfast\nRuntimeDirectoryPreserve=yes\n"
# What is refused is named, not what is allowed: systemd takes 12 ms less to load the shorter list, of the 150 ms that a run may cost.
SANDBOX = f"""\
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=-{layout.DATA} -{layout.CACHE} -{names.RUNTIME}
NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @debug @keyring @module @mount @obsolete @raw-io @reboot @swap bpf userfaultfd
SystemCallErrorNumber=EPERM
UMask=0077
"""


# What taking, mounting and destroying ZFS snapshots needs more; restic itself runs without it.
_ZFS = """\
CapabilityBoundingSet=CAP_SYS_ADMIN
PrivateDevices=no
DevicePolicy=closed
DeviceAllow=/dev/zfs rw
RestrictNamespaces=mnt
SystemCallFilter=@mount
"""


def shared(manifest: Manifest) -> dict[str, str]:
    """The units that are there whatever the jobs are, by file name."""
    return {
        names.SLICE: _slice(),
        "holdfast-backup@.service": _backup_template(manifest),
        "holdfast-backup-failed@.service": _failed_template(),
        "holdfast-forget@.service": _forget_template(manifest),
        names.CLEANUP_UNIT: _cleanup(),
    }


def _slice() -> str:
    return HEADER + (
        "[Unit]\n"
        "Description=Backups by Holdfast\n"
        "Documentation=man:restic(1)\n"
        "\n"
        "[Slice]\n"
        "CPUWeight=20\n"
        "IOWeight=20\n"
        "MemoryMax=75%\n"
        "TasksMax=2048\n"
    )


def _runner(description: str, verb: str, ended: str, capabilities: str, more: str, on_failure: str = "") -> str:
    """A template whose instances do long work in the engine and leave a record however they end."""
    return HEADER + (
        "[Unit]\n"
        f"Description={description}\n"
        "Wants=network-online.target\n"
        "After=network-online.target\n"
        "StartLimitIntervalSec=0\n"
        f"{on_failure}"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        "NotifyAccess=main\n"
        f"ExecStart={layout.COMMAND} {verb} %i\n"
        f"ExecStopPost=+{layout.COMMAND} {ended} %i\n"
        f"Slice={names.SLICE}\n"
        "KillMode=mixed\n"
        "TimeoutStopSec=3min\n"
        "OOMPolicy=continue\n"
        "Nice=10\n"
        "IOSchedulingClass=idle\n"
        f"{RUNTIME_DIRECTORY}"
        f"CapabilityBoundingSet={capabilities}\n"
        f"{more}"
        f"{SANDBOX}"
    )


def _backup_template(manifest: Manifest) -> str:
    return _runner(
        "Backup of %i",
        "run",
        "run-ended",
        _ENGINE_CAPABILITIES,
        f"ReadWritePaths=-/var/lib -/tmp -/var/tmp {quoted(manifest.textfile_directory)}\n",
        "OnFailure=holdfast-backup-failed@%i.service\n",
    )


def _forget_template(manifest: Manifest) -> str:
    more = f"ReadWritePaths={quoted(manifest.textfile_directory)}\nPrivateTmp=yes\n"
    return _runner("Forget and prune in %i", "run-forget", "forget-ended", _UPKEEP_CAPABILITIES, more)


def _failed_template() -> str:
    return HEADER + (
        "[Unit]\n"
        "Description=Note that the backup of %i could not start\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"ExecStart={layout.COMMAND} start-failed %i\n"
        f"Slice={names.SLICE}\n"
    )


def _cleanup() -> str:
    return HEADER + (
        "[Unit]\n"
        "Description=Settle backups that a reset cut off\n"
        "After=local-fs.target zfs.target\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"ExecStart={layout.COMMAND} cleanup\n"
        f"Slice={names.SLICE}\n"
        f"{RUNTIME_DIRECTORY}"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )


def quoted(path: str) -> str:
    """A path as a unit file takes it in a list (systemd.syntax(7)), with ``%`` doubled."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = "".join(f"\\x{ord(letter):02x}" if ord(letter) < 32 or ord(letter) == 127 else letter for letter in escaped)
    return f'"-{escaped}"'


def mounts_above(paths: Iterable[str]) -> list[str]:
    """The mount units that a path may lie on; those that do not exist are passed over by systemd."""
    places = {str(parent) for path in paths for parent in (PurePosixPath(path), *PurePosixPath(path).parents)}
    return [f"{escape_path(place)}.mount" for place in sorted(places) if place != "/"]


def job_drop_in(manifest: Manifest, job: Job) -> str:
    """What is a job's own in its service."""
    local = [manifest.repositories[name].url for name in job.repositories if manifest.repositories[name].type == "local"]
    mounts = " ".join(mounts_above([*job.paths, *local]))
    resources = job.resources
    # ReadWritePaths= does not win over ProtectHome=read-only for the very same directory.
    home = "ProtectHome=no\n" if any(path == "/" or path.startswith(_HOMES) for path in job.paths) else ""
    return HEADER + (
        "[Unit]\n"
        f"Wants={mounts}\n"
        f"After={mounts}\n"
        "\n"
        "[Service]\n"
        f"MemoryMax={resources.memory}\n"
        f"MemoryLow={resources.memory_reservation}\n"
        f"{home}"
        f"{_ZFS if job.zfs_dataset else ''}"
        f"CPUQuota={resources.cpus:.0%}\n"
        f"ReadWritePaths={' '.join(quoted(path) for path in dict.fromkeys([*job.paths, *local]))}\n"
    )


def repository_drop_in(repository: Repository) -> str:
    """What is a repository's own in its forget service."""
    if repository.type != "local":
        return ""
    mounts = " ".join(mounts_above([repository.url]))
    return f"{HEADER}[Unit]\nWants={mounts}\nAfter={mounts}\n\n[Service]\nReadWritePaths={quoted(repository.url)}\n"


def timer(description: str, calendar: str) -> str:
    """A timer for one instance of a template."""
    return HEADER + (
        "[Unit]\n"
        f"Description={description}\n"
        "\n"
        "[Timer]\n"
        f"OnCalendar={calendar}\n"
        "AccuracySec=1s\n"
        "Persistent=true\n"
        "\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )


def instances(manifest: Manifest) -> dict[str, str]:
    """The files of every job and repository, by their paths below the unit directory."""
    files: dict[str, str] = {}
    for job in manifest.jobs.values():
        files[names.job_drop_in(job.name)] = job_drop_in(manifest, job)
        calendar = on_calendar(job.frequency, manifest.host, job.name)
        files[names.backup_unit(job.name, "timer")] = timer(f"Backup of {job.name}, {job.frequency}", calendar)
    for repository in manifest.repositories.values():
        if repository.append_only or not repository.prune_schedule:
            continue
        drop_in = repository_drop_in(repository)
        if drop_in:
            files[f"{names.forget_unit(repository.name)}.d/repository.conf"] = drop_in
        calendar = on_calendar(repository.prune_schedule, manifest.host, repository.name)
        files[names.forget_unit(repository.name, "timer")] = timer(f"Forget and prune in {repository.name}", calendar)
    return files


def calendars(manifest: Manifest) -> Mapping[str, str]:
    """Every schedule that is an expression of systemd's, by the variable that declared it."""
    found = {f"{job.origin}.frequency": job.frequency for job in manifest.jobs.values()}
    found.update({f"holdfast_repositories.{entry.name}.prune_schedule": entry.prune_schedule for entry in manifest.repositories.values()})
    return {origin: value for origin, value in found.items() if value and on_calendar(value, "", "") == value}
