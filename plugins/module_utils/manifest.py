# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The manifest: everything a host protects, parsed and validated into records. It holds no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from . import document, layout, names
from .errors import ConfigurationError
from .reader import Reader, check_mapping, check_name, check_path, choose, wrong
from .records import NamedTuple, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    Command = Union[str, "tuple[str, ...]"]
    Retention = Mapping[str, Union[int, str]]

VERSION = 1
REPOSITORY_TYPES = ("local", "s3", "b2", "rest", "sftp", "rclone", "azure", "gs", "swift")
_KEEP_COUNTS = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
_KEEP_SPANS = (
    "keep_within",
    "keep_within_hourly",
    "keep_within_daily",
    "keep_within_weekly",
    "keep_within_monthly",
    "keep_within_yearly",
)
_URL_CREDENTIALS = {
    "rest": "RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD",
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "sftp": "an SSH key of the user holdfast",
}

NO_RULES: Retention = MappingProxyType({})


def parse_retention(value: object, where: str) -> Retention:
    """restic's keep rules by their option names with ``_`` for ``-``; only the keys given."""
    reader = Reader(value, where)
    found: dict[str, int | str] = {}
    for key in _KEEP_COUNTS:
        count = reader.whole(key, None)
        if count is not None:
            found[key] = count
    for key in _KEEP_SPANS:
        span = reader.text(key, None)
        if span is not None:
            if not re.fullmatch(r"(\d+[ymdh])+", span):
                raise wrong(f"{where}.{key}", span, "is no span of time as restic reads it", "Write it like 1y6m, 30d or 36h.")
            found[key] = span
    reader.end()
    return found


class Repository(NamedTuple):
    """A restic repository and how this host reaches it."""

    name: str
    url: str
    password_file: str
    environment_file: str | None = None
    type: str = "local"
    primary: bool = False
    location: str = ""
    offsite: bool = False
    append_only: bool = False
    require_mount: bool = False
    retention: Retention = NO_RULES
    prune_schedule: str = "weekly"

    @classmethod
    def parse(cls, name: str, value: object, where: str) -> Repository:
        """Read one entry of ``holdfast_repositories``, its secrets already taken out."""
        check_name(where, name)
        reader = Reader(value, where)
        url = reader.text("url")
        kind = repository_type(url, reader.at("url"))
        declared = reader.word("type", REPOSITORY_TYPES, "type of repository", kind)
        if declared != kind:
            raise wrong(
                reader.at("type"),
                declared,
                f"does not fit the url, which is of type {kind}",
                "Leave 'type' out or mend the url.",
            )
        reader.also_known("password", "environment", "verification")
        repository = cls(
            name=name,
            url=local_path(url) if kind == "local" else url,
            password_file=reader.path("password_file", str(layout.SECRETS / f"{name}.password")),
            environment_file=reader.path("environment_file", None),
            type=kind,
            primary=reader.flag("primary", False),
            location=reader.text("location", ""),
            offsite=reader.flag("offsite", False),
            append_only=reader.flag("append_only", False),
            require_mount=reader.flag("require_mount", False),
            retention=parse_retention(reader.value("retention", {}), reader.at("retention")),
            prune_schedule=reader.text("prune_schedule", "weekly"),
        )
        reader.end()
        if repository.require_mount and kind != "local":
            raise wrong(
                f"{where}.require_mount",
                True,
                f"makes no sense for the type {kind}",
                "Only a local repository can lie on a mount.",
            )
        return repository


def repository_type(url: str, where: str) -> str:
    """The backend that restic picks for a repository string (restic manual, "Preparing a new repository").

    Raises:
        ConfigurationError: it is none that restic knows, is a relative path, or has credentials in it.
    """
    scheme, colon, rest = url.partition(":")
    if url.startswith("/") or scheme == "local":
        check_path(where, local_path(url))
        return "local"
    _refuse_credentials(scheme, rest, where)
    if not colon or scheme not in REPOSITORY_TYPES or not rest:
        raise wrong(
            where,
            url,
            "is no restic repository",
            "Give an absolute path or one of " + ", ".join(f"{kind}:…" for kind in REPOSITORY_TYPES[1:]) + ".",
        )
    if scheme in ("rest", "s3"):
        from urllib.parse import urlsplit

        try:
            _usable = urlsplit(rest if "://" in rest else f"//{rest.lstrip('/')}").port
        except ValueError as error:
            raise wrong(where, url, f"has no usable address ({error})", "Mend the host or port.") from None
    return scheme


def _refuse_credentials(scheme: str, rest: str, where: str) -> None:
    """A name and password before an ``@``, also with ``/`` in the password; the url is not shown."""
    before, at, _host = rest.rpartition("://")[2].rpartition("@")
    is_port = re.match(r"[^:/@]*:\d+(/|$)", before)
    named_only = scheme == "sftp" and ":" not in before
    if not at or named_only or is_port or ("/" in before and ":" not in before):
        return
    remedy = _URL_CREDENTIALS.get(scheme, "environment variables of the backend")
    raise ConfigurationError(
        f"{where}: has credentials in it, which would show in logs and process lists. Take them out of the url and use {remedy}"
        + ("." if scheme == "sftp" else " in the repository's 'environment'.")
    )


def local_path(url: str) -> str:
    """The directory of a local repository."""
    return url.removeprefix("local:")


class ProtectionClass(NamedTuple):
    """What a class promises: times in seconds."""

    name: str
    rpo: int
    rto: int
    copies: int
    offsite: bool
    restore_test: int
    retention: Retention

    @classmethod
    def parse(cls, name: str, value: object, where: str) -> ProtectionClass:
        """Read one entry of ``holdfast_protection_classes``, already merged over the built-in one."""
        check_name(where, name)
        reader = Reader(value, where)
        found = cls(
            name=name,
            rpo=reader.duration("rpo"),
            rto=reader.duration("rto"),
            copies=reader.whole("copies", 1, least=1, most=100),
            offsite=reader.flag("offsite", False),
            restore_test=reader.duration("restore_test"),
            retention=parse_retention(reader.value("retention", {}), reader.at("retention")),
        )
        reader.end()
        return found


class Resources(NamedTuple):
    """Limits of one job's unit: bytes and processors."""

    memory: int = 512 * 1024**2
    memory_reservation: int = 256 * 1024**2
    cpus: float = 1.0

    @classmethod
    def parse(cls, value: object, where: str) -> Resources:
        """Read ``resources`` of a job."""
        default = cls()
        reader = Reader(value, where)
        reservation = check_mapping(where, value).get("memory_reservation")
        memory = reader.size("memory", default.memory, least=64 * 1024**2)
        found = cls(
            memory=memory,
            memory_reservation=reader.size("memory_reservation", min(default.memory_reservation, memory)),
            cpus=reader.number("cpus", default.cpus, least=0.05),
        )
        reader.end()
        if found.memory_reservation > found.memory:
            raise wrong(reader.at("memory_reservation"), reservation, "is more than memory", "Reserve at most as much as the limit.")
        return found


class Settings(NamedTuple):
    """How runs behave on this host; times in seconds, rates in KiB/s (0: unlimited)."""

    compression: str = "auto"
    read_concurrency: int = 2
    retry_lock: int = 1800
    stall_timeout: int = 600
    hook_timeout: int = 3600
    limit_upload: int = 0
    limit_download: int = 0

    @classmethod
    def parse(cls, value: object, where: str = "holdfast_settings") -> Settings:
        """Read ``holdfast_settings``."""
        default = cls()
        reader = Reader(value, where)
        found = cls(
            compression=reader.word("compression", ("auto", "off", "fastest", "better", "max"), "compression", default.compression),
            read_concurrency=reader.whole("read_concurrency", default.read_concurrency, least=1, most=1024),
            retry_lock=reader.duration("retry_lock", default.retry_lock, least=0),
            stall_timeout=reader.duration("stall_timeout", default.stall_timeout, least=5),
            hook_timeout=reader.duration("hook_timeout", default.hook_timeout),
            limit_upload=reader.whole("limit_upload", default.limit_upload),
            limit_download=reader.whole("limit_download", default.limit_download),
        )
        reader.end()
        return found


class Job(NamedTuple):
    """What one unit backs up, and where to."""

    name: str
    origin: str
    repositories: tuple[str, ...]
    paths: tuple[str, ...]
    service: str | None = None
    optional_paths: tuple[str, ...] = ()
    frequency: str = "daily"
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    pre_backup: tuple[Command, ...] = ()
    post_snapshot: tuple[Command, ...] = ()
    post_backup: tuple[Command, ...] = ()
    zfs_dataset: str | None = None
    stop_units: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    protection: str = "standard"
    retention: Retention = NO_RULES
    resources: Resources = Resources()
    verify_command: tuple[Command, ...] = ()
    runbook_url: str = ""

    @classmethod
    def parse(cls, name: str, value: object, where: str | None = None) -> Job:
        """Read one job of the manifest; ``origin`` is the variable or file that declared it."""
        reader = Reader(value, where or f"jobs.{name}")
        origin = reader.text("origin", reader.where)
        reader.where = origin
        service = reader.text("service", None)
        check_name(origin, name[len(names.SERVICE_PREFIX) :] if service else name)
        paths = tuple(check_path(f"{reader.at('paths')}[{index}]", path) for index, path in enumerate(reader.texts("paths")))
        dataset = reader.text("zfs_dataset", None)
        if dataset is not None:
            from .zfs import NameInvalid, check_dataset

            try:
                check_dataset(dataset)
            except NameInvalid as error:
                raise ConfigurationError(f"{reader.at('zfs_dataset')}: {error}") from None
        elif not paths:
            raise ConfigurationError(f"{reader.at('paths')}: is empty. Name at least one directory or file to back up.")
        job = cls(
            name=name,
            origin=origin,
            service=service,
            repositories=tuple(reader.texts("repositories")),
            paths=tuple(dict.fromkeys(paths)),
            optional_paths=tuple(reader.texts("optional_paths", [])),
            frequency=reader.text("frequency", "daily"),
            tags=parse_tags(reader.texts("tags", []), reader.at("tags")),
            exclude=tuple(reader.texts("exclude", [])),
            pre_backup=parse_commands(reader.value("pre_backup", []), reader.at("pre_backup")),
            post_snapshot=parse_commands(reader.value("post_snapshot", []), reader.at("post_snapshot")),
            post_backup=parse_commands(reader.value("post_backup", []), reader.at("post_backup")),
            zfs_dataset=dataset,
            stop_units=parse_units(reader.texts("stop_units", []), reader.at("stop_units")),
            groups=tuple(check_name(reader.at("groups"), group) for group in reader.texts("groups", [])),
            protection=reader.text("protection", "standard"),
            retention=parse_retention(reader.value("retention", {}), reader.at("retention")),
            resources=Resources.parse(reader.value("resources", {}), reader.at("resources")),
            verify_command=parse_commands(reader.value("verify_command", []), reader.at("verify_command")),
            runbook_url=reader.text("runbook_url", ""),
        )
        reader.end()
        if job.post_snapshot and dataset is None:
            raise ConfigurationError(f"{reader.at('post_snapshot')}: has no effect without use_snapshots. Use post_backup, or take it out.")
        if not job.frequency:
            raise wrong(reader.at("frequency"), "", "is empty", "Write hourly, daily, weekly, monthly or an OnCalendar expression.")
        return job

    @property
    def tag(self) -> str:
        """The reserved tag that makes a restic snapshot this job's own."""
        return f"{names.JOB_TAG}{self.name}"

    @property
    def all_tags(self) -> tuple[str, ...]:
        """The reserved tag, the service's name, the declared tags; each once."""
        return tuple(dict.fromkeys(tag for tag in (self.tag, self.service, *self.tags) if tag))


def parse_commands(value: object, where: str) -> tuple[Command, ...]:
    """Commands as in cloud-init's runcmd: each an argv list, or a text for ``/bin/sh -c``."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise wrong(
            where,
            value,
            "is not a list of commands",
            "Write a list; each entry is a list of arguments, or a text for /bin/sh.",
        )
    commands: list[Command] = []
    for index, command in enumerate(value):
        at = f"{where}[{index}]"
        if isinstance(command, str) and command.strip():
            commands.append(command)
        elif isinstance(command, (list, tuple)) and command and all(isinstance(word, (str, int, float)) for word in command):
            commands.append(tuple(str(word) for word in command))
        else:
            raise wrong(at, command, "is no command", "Write a list of arguments, or a text for /bin/sh.")
    return tuple(commands)


def parse_tags(tags: list[str], where: str) -> tuple[str, ...]:
    """Tags that restic takes as they are, none of them a reserved one."""
    for tag in tags:
        if "," in tag or any(ord(letter) < 32 for letter in tag):
            raise wrong(where, tag, "is no usable tag", "restic separates tags by commas: write two entries.")
        if tag.startswith(names.JOB_TAG):
            raise wrong(where, tag, "is reserved", f"Holdfast sets the tag '{names.JOB_TAG}…' itself: take it out.")
    return tuple(tags)


def parse_units(names: list[str], where: str) -> tuple[str, ...]:
    """Names of systemd units; without a suffix a service is meant."""
    units = []
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]+", name):
            raise wrong(
                where,
                name,
                "is no name of a systemd unit",
                "Write it as systemctl shows it, such as grafana-server.service.",
            )
        suffixes = (".service", ".socket", ".timer", ".target", ".path", ".mount")
        units.append(name if name.endswith(suffixes) else f"{name}.service")
    return tuple(units)


class Manifest(NamedTuple):
    """Everything a host protects."""

    host: str
    enable: bool
    textfile_directory: str
    settings: Settings
    repositories: Mapping[str, Repository]
    protection_classes: Mapping[str, ProtectionClass]
    jobs: Mapping[str, Job]

    @classmethod
    def parse(cls, value: object) -> Manifest:
        """Validate a whole document.

        Raises:
            ConfigurationError: at the first mistake, naming the key.
        """
        reader = Reader(value, "manifest")
        version = reader.whole("version")
        if version != VERSION:
            raise wrong(
                "manifest.version",
                version,
                f"is not {VERSION}",
                "Run site.yml again: the manifest is of another release.",
            )
        manifest = cls(
            host=reader.text("host"),
            enable=reader.flag("enable", True),
            textfile_directory=reader.path("textfile_directory"),
            settings=Settings.parse(reader.value("settings", {})),
            repositories={
                name: Repository.parse(name, value, f"holdfast_repositories.{name}")
                for name, value in check_mapping("holdfast_repositories", reader.value("repositories")).items()
            },
            protection_classes={
                name: ProtectionClass.parse(name, value, f"holdfast_protection_classes.{name}")
                for name, value in check_mapping("holdfast_protection_classes", reader.value("protection_classes")).items()
            },
            jobs={name: Job.parse(name, value) for name, value in check_mapping("jobs", reader.value("jobs")).items()},
        )
        reader.end()
        manifest.check_references()
        return manifest

    def check_references(self) -> None:
        """Every repository and class that a job names must exist, and its retention must keep something.

        Raises:
            ConfigurationError: at the first that does not.
        """
        primaries = [name for name, repository in self.repositories.items() if repository.primary]
        if len(primaries) > 1:
            raise ConfigurationError(
                f"holdfast_repositories: {' and '.join(primaries)} are both primary. Set 'primary: true' on one of them only."
            )
        for job in self.jobs.values():
            if not job.repositories:
                raise ConfigurationError(f"{job.origin}.repositories: is empty. Name at least one of holdfast_repositories.")
            for name in job.repositories:
                choose(f"{job.origin}.repositories", name, self.repositories, "repository of holdfast_repositories")
            if len(set(job.repositories)) != len(job.repositories):
                raise wrong(
                    f"{job.origin}.repositories",
                    list(job.repositories),
                    "names a repository twice",
                    "Name each one once.",
                )
            choose(f"{job.origin}.protection", job.protection, self.protection_classes, "protection class")
            for name in job.repositories:
                if not any(value for value in self.retention(job, name).values()):
                    raise wrong(
                        f"{job.origin}.retention",
                        dict(self.retention(job, name)),
                        f"would keep nothing in {name}",
                        "Let at least one keep rule be above zero.",
                    )

    def retention(self, job: Job, repository: str) -> Retention:
        """The keep rules of a job in a repository: the class's, then the repository's, then the job's; the last one wins."""
        return {
            **self.protection_classes[job.protection].retention,
            **self.repositories[repository].retention,
            **job.retention,
        }

    def rpo(self, job: Job) -> int:
        """The age in seconds that a job's last success may reach."""
        return self.protection_classes[job.protection].rpo

    def job(self, name: str) -> Job:
        """A job by its name, or by its service's.

        Raises:
            ConfigurationError: there is none; the error lists what there is.
        """
        return self.jobs[document.job_name(self._names(), name)]

    def repository(self, name: str) -> Repository:
        """A repository by its name.

        Raises:
            ConfigurationError: there is none; the error lists what there is.
        """
        return self.repositories[document.repository_name(self._names(), name)]

    def _names(self) -> dict[str, Any]:
        return {"host": self.host, "jobs": self.jobs, "repositories": self.repositories}

    def jobs_of(self, repository: str) -> list[Job]:
        """The jobs that write to a repository."""
        return [job for job in self.jobs.values() if repository in job.repositories]

    def document(self) -> dict[str, Any]:
        """The manifest as JSON can hold it; ``parse`` of it gives an equal manifest."""
        found = plain(self)
        for group in ("repositories", "protection_classes", "jobs"):
            for entry in found[group].values():
                del entry["name"]
        return {"version": VERSION, **found}

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.document(), indent=2, sort_keys=True) + "\n"


def load(path: Path | None = None) -> Manifest:
    """The manifest of this host.

    Raises:
        ConfigurationError: it is missing, unreadable or wrong.
    """
    return Manifest.parse(document.read(path))


KNOWN_JOB_KEYS = tuple(key for key in Job._fields if key not in ("name", "origin", "service", "optional_paths"))
