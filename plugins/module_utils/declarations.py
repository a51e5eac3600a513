# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what an inventory and a host declare to the manifest; runs on the controller."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from . import layout, names
from .errors import ConfigurationError
from .manifest import KNOWN_JOB_KEYS, Job, Manifest, ProtectionClass, Repository, Settings
from .reader import Reader, check_mapping, check_name, suggestion, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

BACKUP_SUFFIX = "_backup"
RESERVED_JOBS = ("postgres-pgbackrest",)
DEFAULT_TEXTFILE_DIRECTORY = "/var/lib/prometheus/node-exporter"
NOT_YET_ACTED_ON = ("holdfast_postgresql", "holdfast_verification", "holdfast_monitoring")
_CLASS_KEYS = ("rpo", "rto", "copies", "offsite", "restore_test", "retention")
_RENAMED = {"pre_backup_script": "pre_backup", "post_backup_script": "post_backup", "exclude_patterns": "exclude"}
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN_ENVIRONMENT = (
    "RESTIC_PASSWORD",
    "RESTIC_PASSWORD_FILE",
    "RESTIC_PASSWORD_COMMAND",
    "RESTIC_REPOSITORY",
    "RESTIC_REPOSITORY_FILE",
)

BUILT_IN_CLASSES: Mapping[str, Mapping[str, Any]] = {
    "critical": {
        "rpo": "26h", "rto": "2h", "copies": 2, "offsite": True, "restore_test": "35d",
        "retention": {"keep_daily": 30, "keep_weekly": 12, "keep_monthly": 12, "keep_yearly": 5},
    },
    "standard": {
        "rpo": "50h", "rto": "8h", "copies": 1, "offsite": False, "restore_test": "100d",
        "retention": {"keep_daily": 14, "keep_weekly": 8, "keep_monthly": 6, "keep_yearly": 2},
    },
    "ephemeral": {
        "rpo": "8d", "rto": "1d", "copies": 1, "offsite": False, "restore_test": "400d",
        "retention": {"keep_daily": 7, "keep_weekly": 2},
    },
}  # fmt: skip


def _kept_output(command: str, name: str) -> str:
    file = layout.SYSTEM_LISTS / name
    return f"{command} > {file}.new && mv {file}.new {file}"


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "system": {
        "paths": ["/etc", "/root", "/usr/local", str(layout.SYSTEM_LISTS)],
        "optional_paths": ["/var/spool/cron"],
        "pre_backup": [_kept_output("dpkg --get-selections", "packages"), _kept_output("apt-mark showmanual", "manual")],
        "tags": ["system"],
    },
}


@dataclass
class Inventory:
    """What was declared for one host, before anything is made of it.

    Attributes:
        host: the inventory's name of the host.
        variables: the templated ``holdfast_*`` variables of the host.
        backups: the templated ``*_backup`` variables, by their full names.
        discovered: what ``holdfast_discovery_query`` gave.
        declared_on_host: the mappings of the files in ``services.d``, by file name.
        known_variables: every public variable of the collection.
    """

    host: str
    variables: Mapping[str, Any]
    backups: Mapping[str, Any] = field(default_factory=dict)
    discovered: object = field(default_factory=dict)
    declared_on_host: Mapping[str, Any] = field(default_factory=dict)
    known_variables: Iterable[str] = ()


@dataclass
class Plan:
    """What a host shall become, and what a person should know about it."""

    manifest: Manifest
    warnings: list[str]


class DeclarationErrors(ConfigurationError):
    """Every mistake that was found, a paragraph each."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n\n".join(errors))
        self.errors = errors


def plan(inventory: Inventory) -> Plan:
    """The manifest of a host.

    Raises:
        DeclarationErrors: with all mistakes that could be told apart.
    """
    return _Planner(inventory).plan()


def snake_case(key: str) -> str:
    """``useSnapshots`` as ``use_snapshots``, with the seed's few other names."""
    plain = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), key)
    return _RENAMED.get(plain, plain)


def canonical(where: str, value: object) -> dict[str, Any]:
    """A mapping with the seed's spellings replaced by ours.

    Raises:
        ConfigurationError: it is no mapping, or has one key in two spellings.
    """
    found: dict[str, Any] = {}
    for key, entry in check_mapping(where, value).items():
        plain = snake_case(key)
        if plain in found:
            raise ConfigurationError(f"{where}: {key!r} and {plain!r} say the same thing twice. Keep one of them.")
        found[plain] = entry
    return found


class _Planner:
    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._errors: list[str] = []
        self._warnings: list[str] = []

    def plan(self) -> Plan:
        self._check_variable_names()
        variables = self._inventory.variables
        settings = self._try(lambda: Settings.parse(canonical("holdfast_settings", variables.get("holdfast_settings") or {})))
        repositories = self._entries("holdfast_repositories", self._repository)
        classes = self._classes()
        jobs = self._jobs(self._primaries())
        top = Reader({key: variables.get(key) for key in ("holdfast_enable", "holdfast_textfile_directory")}, "")
        enable = self._try(lambda: top.flag("holdfast_enable", True))
        textfile_directory = self._try(lambda: top.path("holdfast_textfile_directory", DEFAULT_TEXTFILE_DIRECTORY))
        self._stop_on_errors()
        manifest = Manifest(
            host=self._inventory.host,
            enable=enable,
            textfile_directory=textfile_directory,
            settings=settings or Settings(),
            repositories=repositories,
            protection_classes=classes,
            jobs=jobs,
        )
        self._try(manifest.check_references)
        self._stop_on_errors()
        self._warn_of_broken_promises(manifest)
        return Plan(Manifest.parse(manifest.document()), self._warnings)

    def _try(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except ConfigurationError as error:
            self._errors.append(str(error))
            return None

    def _stop_on_errors(self) -> None:
        if self._errors:
            raise DeclarationErrors(self._errors)

    def _check_variable_names(self) -> None:
        known = list(self._inventory.known_variables)
        for name in sorted(self._inventory.variables):
            if name in NOT_YET_ACTED_ON:
                self._warn_of_idle(name)
            elif known and name not in known:
                hint = suggestion(name, known, f"Known: {', '.join(sorted(known))}.")
                self._errors.append(f"{name}: is no variable of holdfast.backup. {hint}")

    def _entries(self, variable: str, parse: Callable[[str, object, str], Any]) -> dict[str, Any]:
        entries = self._try(lambda: check_mapping(variable, self._inventory.variables.get(variable) or {})) or {}
        parsed = {name: self._try(partial(parse, name, value, f"{variable}.{name}")) for name, value in entries.items()}
        return {name: entry for name, entry in parsed.items() if entry is not None}

    def _warn_of_idle(self, name: str) -> None:
        self._warnings.append(f"{name} is declared, but this release does not act on it yet.")

    def _primaries(self) -> list[str]:
        """The primary repositories as declared, also where the rest of one is wrong: one mistake is to give one error."""
        declared = self._inventory.variables.get("holdfast_repositories") or {}
        if not isinstance(declared, Mapping):
            return ["unknown"]
        entries = declared.items()
        return [
            name for name, entry in entries if isinstance(entry, Mapping) and str(entry.get("primary")).lower() in ("true", "yes", "on")
        ]

    def _repository(self, name: str, value: object, where: str) -> Repository:
        declared = canonical(where, value)
        if declared.pop("verification", None):
            self._warn_of_idle(f"{where}.verification")
        check_secrets(declared, where)
        if declared.pop("environment", None) and not declared.get("environment_file"):
            declared["environment_file"] = str(layout.SECRETS / f"{name}.env")
        declared.pop("password", None)
        return Repository.parse(name, declared, where)

    def _classes(self) -> dict[str, ProtectionClass]:
        variable = "holdfast_protection_classes"
        declared = self._try(lambda: check_mapping(variable, self._inventory.variables.get(variable) or {})) or {}
        found = {}
        for name in dict.fromkeys((*BUILT_IN_CLASSES, *declared)):
            entry = self._try(partial(self._class, name, declared.get(name) or {}, f"{variable}.{name}"))
            if entry:
                found[name] = entry
        return found

    @staticmethod
    def _class(name: str, declared: object, where: str) -> ProtectionClass:
        base = BUILT_IN_CLASSES.get(name, BUILT_IN_CLASSES["standard"])
        own = canonical(where, declared)
        retention = {**base["retention"], **check_mapping(f"{where}.retention", own.get("retention") or {})}
        return ProtectionClass.parse(name, {**base, **own, "retention": retention}, where)

    def _jobs(self, primaries: list[str]) -> dict[str, Job]:
        jobs: dict[str, Job] = {}
        for name, origin, declared in self._declared():
            job = self._try(partial(self._job, name, origin, declared, primaries))
            if job is None:
                continue
            if job.name in jobs:
                self._errors.append(
                    f"{origin}: the job {job.name!r} is declared twice, here and by {jobs[job.name].origin}. Keep one declaration."
                )
            else:
                jobs[job.name] = job
        return jobs

    def _declared(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Every enabled declaration as (job, origin, mapping); a service twice is noted as an error."""
        found: dict[str, tuple[str, str, dict[str, Any]]] = {}
        origins: dict[str, str] = {}
        for service, origin, value in self._services():
            declared = self._try(partial(self._service, service, origin, value))
            if declared is None:
                continue
            if service in origins:
                self._errors.append(
                    f"{origin}: the service {service!r} is declared twice, here and by {origins[service]}. Keep one declaration."
                )
                continue
            origins[service] = origin
            if declared.pop("enable"):
                found[service] = (f"{names.SERVICE_PREFIX}{service}", origin, declared)
        return [*found.values(), *self._declared_jobs()]

    def _services(self) -> Iterable[tuple[str, str, object]]:
        variables = self._inventory.variables
        for name, value in (self._try(lambda: check_mapping("holdfast_services", variables.get("holdfast_services") or {})) or {}).items():
            yield name, f"holdfast_services.{name}", value
        for variable, value in self._inventory.backups.items():
            if isinstance(value, Mapping) and "enable" in value:
                yield variable[: -len(BACKUP_SUFFIX)], variable, value
        discovered = self._try(lambda: check_mapping("holdfast_discovery_query", self._inventory.discovered or {})) or {}
        for name, value in discovered.items():
            yield name, f"holdfast_discovery_query:{name}", value
        for file, value in self._inventory.declared_on_host.items():
            yield re.sub(r"\.ya?ml$", "", file), f"{layout.DECLARATIONS}/{file}", value

    @staticmethod
    def _service(service: str, origin: str, value: object) -> dict[str, Any]:
        check_name(origin, service)
        declared = canonical(origin, value)
        enable = Reader({"enable": declared.pop("enable", None)}, origin).flag("enable", True)
        if "service" in declared:
            raise ConfigurationError(f"{origin}.service: is an unknown key. Take it out: the name comes from the declaration.")
        return {**declared, "enable": enable, "service": service}

    def _declared_jobs(self) -> Iterable[tuple[str, str, dict[str, Any]]]:
        variable = "holdfast_jobs"
        for name, value in (self._try(lambda: check_mapping(variable, self._inventory.variables.get(variable) or {})) or {}).items():
            origin = f"{variable}.{name}"
            declared = self._try(partial(declared_job, name, origin, value))
            if declared and declared.pop("enable"):
                yield name, origin, declared

    @staticmethod
    def _job(name: str, origin: str, declared: dict[str, Any], primaries: list[str]) -> Job:
        snapshots = Reader({"use_snapshots": declared.pop("use_snapshots", None)}, origin).flag("use_snapshots", False)
        dataset = declared.get("zfs_dataset")
        if snapshots and dataset is None:
            raise ConfigurationError(
                f"{origin}.zfs_dataset: is missing, and use_snapshots needs it. Name the dataset that holds the service's files, as "
                "'zfs list' shows it."
            )
        if dataset is not None and not snapshots:
            raise wrong(
                f"{origin}.zfs_dataset", dataset, "has no effect without use_snapshots", "Set use_snapshots to true, or take it out."
            )
        declared["repositories"] = repositories_of(origin, declared, primaries)
        if snapshots:
            declared.setdefault("paths", [])
        elif not declared.get("paths"):
            if declared.get("paths") is not None or not declared.get("service"):
                raise ConfigurationError(f"{origin}.paths: names nothing to back up. List at least one directory or file.")
            declared["paths"] = [f"/var/lib/{declared['service']}"]
        for key in declared:
            if key not in KNOWN_JOB_KEYS and key not in ("service", "optional_paths"):
                hint = suggestion(key, KNOWN_JOB_KEYS, f"Known keys: {', '.join(sorted(KNOWN_JOB_KEYS))}.")
                raise ConfigurationError(f"{origin}.{key}: is an unknown key. {hint}")
        return Job.parse(name, {**declared, "origin": origin})

    def _warn_of_broken_promises(self, manifest: Manifest) -> None:
        for job in manifest.jobs.values():
            promised = manifest.protection_classes[job.protection]
            stores = [manifest.repositories[name] for name in job.repositories]
            if len(stores) < promised.copies:
                self._warnings.append(
                    f"{job.origin}: the class {job.protection!r} promises {promised.copies} copies, but repositories names {len(stores)}."
                )
            if promised.offsite and not any(store.offsite for store in stores):
                self._warnings.append(
                    f"{job.origin}: the class {job.protection!r} promises an offsite copy, but no repository of it is offsite."
                )


def check_secrets(declared: Mapping[str, Any], where: str) -> None:
    """Look at a repository's password and environment without ever showing them.

    Raises:
        ConfigurationError: one of them cannot be used.
    """
    password = declared.get("password")
    if password is not None:
        if not isinstance(password, str) or not password.strip():
            raise ConfigurationError(
                f"{where}.password: is empty or no text. Give a text in quotes, or leave it out and provide password_file."
            )
        if password != password.strip() or re.search(r"[\x00-\x1f]", password):
            raise ConfigurationError(
                f"{where}.password: begins or ends with white space, or has a line break in it, which restic drops. Choose another one."
            )
    environment = declared.get("environment")
    for key, value in check_mapping(f"{where}.environment", environment or {}).items():
        if not _ENVIRONMENT_NAME.fullmatch(key):
            raise ConfigurationError(f"{where}.environment: {key!r} is no name of an environment variable. Use letters, digits and '_'.")
        if key in _OWN_ENVIRONMENT:
            raise ConfigurationError(f"{where}.environment.{key}: is set by Holdfast itself. Use 'url' and 'password' or 'password_file'.")
        if not isinstance(value, (str, int, float)) or re.search(r"[\x00\r\n]", str(value)):
            raise ConfigurationError(f"{where}.environment.{key}: is no single line of text. Put the value in quotes.")


def declared_job(name: str, origin: str, value: object) -> dict[str, Any]:
    """One entry of ``holdfast_jobs`` with its preset filled in; what the entry says itself wins."""
    check_name(origin, name)
    declared = canonical(origin, value)
    if name in RESERVED_JOBS:
        raise ConfigurationError(f"{origin}: the name is reserved for a job of Holdfast's own. Choose another one.")
    for key in ("service", "optional_paths"):
        if key in declared:
            raise ConfigurationError(f"{origin}.{key}: is an unknown key. Known keys: enable, preset, {', '.join(KNOWN_JOB_KEYS)}.")
    reader = Reader({"enable": declared.pop("enable", None), "preset": declared.pop("preset", None)}, origin)
    enable = reader.flag("enable", True)
    preset = reader.word("preset", PRESETS, "preset", None)
    return {**(PRESETS[preset] if preset else {}), **declared, "enable": enable}


def repositories_of(origin: str, declared: dict[str, Any], primaries: list[str]) -> list[str]:
    """The repositories that a declaration names, or the primary one.

    Raises:
        ConfigurationError: it names them twice over, or none and there is no primary one.
    """
    single = declared.pop("repository", None)
    several = declared.get("repositories")
    if single is not None and several is not None:
        raise ConfigurationError(f"{origin}: has both 'repository' and 'repositories'. Keep one of them.")
    if single is not None:
        if not isinstance(single, str):
            raise wrong(f"{origin}.repository", single, "is no name", "Name one repository, or use 'repositories' with a list.")
        return [single]
    if several is not None:
        return list(Reader({"repositories": several}, origin).texts("repositories"))
    if not primaries:
        raise ConfigurationError(
            f"{origin}: names no repository, and no repository is primary. Say 'repository: NAME' here or 'primary: true' there."
        )
    return primaries[:1]
