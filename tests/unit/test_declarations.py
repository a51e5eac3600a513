"""From what an inventory and a host declare to the manifest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.declarations import DeclarationErrors, Inventory, Plan, canonical, plan, snake_case
from holdfast.errors import ConfigurationError
from holdfast.manifest import Job, Resources
from tests.unit.samples import SECRET

NAS: Mapping[str, Any] = {"url": "/mnt/nas-backup", "password": SECRET, "primary": True}
R2: Mapping[str, Any] = {
    "url": "s3:https://account.example/bucket/host",
    "password": SECRET,
    "environment": {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": SECRET},
    "offsite": True,
}
REPOSITORIES = {"nas": NAS, "r2": R2}
KNOWN = [
    "holdfast_enable", "holdfast_repositories", "holdfast_services", "holdfast_jobs", "holdfast_discovery_query", "holdfast_settings",
    "holdfast_protection_classes", "holdfast_textfile_directory", "holdfast_target",
]  # fmt: skip
REMEDY = re.compile(
    r"\. .*\b(did you mean|known|add|begin|choose|give|keep|leave|let|list|look|mend|name|names|only|put|reserve|say|set|take|use|write)\b",
    re.IGNORECASE,
)


def inventory(
    backups: Mapping[str, Any] | None = None,
    discovered: object = (),
    on_host: Mapping[str, Any] | None = None,
    **variables: Any,
) -> Inventory:
    """What is declared for the host forge, with two repositories unless it has others."""
    declared = {"holdfast_repositories": REPOSITORIES, **variables}
    return Inventory("forge", declared, backups or {}, discovered, on_host or {}, KNOWN)


def jobs(declared: Inventory) -> dict[str, Job]:
    """The jobs that an inventory comes to."""
    return dict(plan(declared).manifest.jobs)


def the_job(**keys: Any) -> Job:
    """The job of a service that is declared with some keys."""
    return jobs(inventory({"grafana_backup": {"enable": True, **keys}}))["service-grafana"]


def errors_of(declared: Inventory) -> list[str]:
    """Every mistake in an inventory."""
    with pytest.raises(DeclarationErrors) as caught:
        plan(declared)
    assert caught.value.exit_status == 2
    assert str(caught.value) == "\n\n".join(caught.value.errors)
    return caught.value.errors


SOURCES = {
    "services": lambda value: inventory(holdfast_services={"app_1": value}),
    "variable": lambda value: inventory({"app_1_backup": value}),
    "query": lambda value: inventory(discovered={"app_1": value}),
    "host": lambda value: inventory(on_host={"app_1.yml": value}),
}
ORIGINS = {
    "services": "holdfast_services.app_1",
    "variable": "app_1_backup",
    "query": "holdfast_discovery_query:app_1",
    "host": "/etc/holdfast/services.d/app_1.yml",
}


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_declares_a_service(source: str) -> None:
    (job,) = jobs(SOURCES[source]({"enable": True, "frequency": "hourly"})).values()
    assert (job.name, job.service, job.frequency, job.origin) == ("service-app_1", "app_1", "hourly", ORIGINS[source])


@pytest.mark.parametrize("pair", list(itertools.combinations(SOURCES, 2)), ids="-".join)
@pytest.mark.parametrize("enabled", [(True, True), (True, False), (False, True)])
def test_a_service_in_two_sources_is_an_error_that_names_both(pair: tuple[str, str], enabled: tuple[bool, bool]) -> None:
    first, second = (SOURCES[source]({"enable": enable}) for source, enable in zip(pair, enabled))
    both = inventory(
        {**first.backups, **second.backups},
        first.discovered or second.discovered,
        {**first.declared_on_host, **second.declared_on_host},
        **{**first.variables, **second.variables},
    )
    (error,) = errors_of(both)
    assert ORIGINS[pair[0]] in error
    assert ORIGINS[pair[1]] in error
    assert "'app_1' is declared twice" in error


def test_two_files_of_one_name_are_one_service_too_many() -> None:
    (error,) = errors_of(inventory(on_host={"app.yml": {"enable": True}, "app.yaml": {"enable": True}}))
    assert "app.yml" in error
    assert "app.yaml" in error


@pytest.mark.parametrize("name", ["n8n", "my_app", "my-app", "my.app", "2fauth", "A", "x" * 64])
def test_names_are_used_as_they_are(name: str) -> None:
    assert list(jobs(inventory(holdfast_services={name: {}}))) == [f"service-{name}"]
    assert list(jobs(inventory({f"{name}_backup": {"enable": True}}))) == [f"service-{name}"]
    assert list(jobs(inventory(on_host={f"{name}.yml": {}}))) == [f"service-{name}"]


@pytest.mark.parametrize("value", ["nightly", 3, None, ["enable"], {"schedule": "daily"}, True])
def test_a_variable_that_is_no_mapping_with_enable_declares_nothing(value: object) -> None:
    assert jobs(inventory({"last_backup": value})) == {}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("enable", [False, "no", "false"])
def test_a_disabled_service_has_no_job(source: str, enable: object) -> None:
    assert jobs(SOURCES[source]({"enable": enable})) == {}


def test_a_disabled_job_is_none() -> None:
    assert jobs(inventory(holdfast_jobs={"a": {"enable": False, "paths": ["/a"]}})) == {}


def test_what_is_left_out_has_the_defaults_of_the_design() -> None:
    assert the_job() == Job(
        name="service-grafana", origin="grafana_backup", repositories=("nas",), paths=("/var/lib/grafana",), service="grafana",
        frequency="daily", protection="standard", resources=Resources(512 * 1024**2, 256 * 1024**2, 1.0),
    )  # fmt: skip


def test_everything_that_is_declared_arrives() -> None:
    job = the_job(
        repositories=["r2", "nas"], paths=["/srv/a", "/srv/b"], frequency="Sun 04:00", tags=["x"], exclude=["*.tmp"],
        pre_backup=[["pg_dump", "-f", "/x"], "sync"], post_backup=["true"], stop_units=["grafana-server"], groups=["media"],
        protection="ephemeral", retention={"keep_daily": 3}, resources={"memory": "1G", "cpus": 2}, verify_command=["test -s x"],
        runbook_url="https://wiki.example/x", use_snapshots=False,
    )  # fmt: skip
    assert job.repositories == ("r2", "nas")
    assert job.paths == ("/srv/a", "/srv/b")
    assert job.pre_backup == (("pg_dump", "-f", "/x"), "sync")
    assert (job.post_backup, job.verify_command) == (("true",), ("test -s x",))
    assert (job.stop_units, job.groups) == (("grafana-server.service",), ("media",))
    assert (job.frequency, job.protection, dict(job.retention)) == ("Sun 04:00", "ephemeral", {"keep_daily": 3})
    assert (job.tags, job.exclude, job.runbook_url) == (("x",), ("*.tmp",), "https://wiki.example/x")
    assert job.resources == Resources(1024**3, 256 * 1024**2, 2.0)


@pytest.mark.parametrize("keys", [{"repository": "r2"}, {"repositories": ["r2"]}])
def test_one_repository_can_be_named_in_two_ways(keys: dict[str, Any]) -> None:
    assert the_job(**keys).repositories == ("r2",)


def test_the_system_preset_is_the_hosts_own_state() -> None:
    job = jobs(inventory(holdfast_jobs={"system": {"preset": "system"}}))["system"]
    assert set(job.paths) >= {"/etc", "/root", "/usr/local"}
    assert "/var/spool/cron" in job.optional_paths
    assert any("dpkg" in str(command) for command in job.pre_backup)
    assert job.service is None
    assert job.all_tags == ("holdfast-job=system", "system")


def test_what_a_job_says_itself_wins_over_its_preset() -> None:
    job = jobs(inventory(holdfast_jobs={"etc": {"preset": "system", "paths": ["/etc"], "frequency": "weekly"}}))["etc"]
    assert (job.paths, job.frequency, job.tags) == (("/etc",), "weekly", ("system",))


def test_classes_are_merged_over_the_built_in_ones() -> None:
    classes = plan(
        inventory(holdfast_protection_classes={"critical": {"rpo": "13h", "retention": {"keep_daily": 60}}, "mine": {"rpo": "2h"}})
    ).manifest.protection_classes
    assert set(classes) == {"critical", "standard", "ephemeral", "mine"}
    assert (classes["critical"].rpo, classes["critical"].copies, classes["critical"].offsite) == (13 * 3600, 2, True)
    assert dict(classes["critical"].retention) == {"keep_daily": 60, "keep_weekly": 12, "keep_monthly": 12, "keep_yearly": 5}
    assert classes["mine"].rpo == 7200
    assert classes["mine"].retention == classes["standard"].retention


def test_a_staged_host_is_staged() -> None:
    assert plan(inventory()).manifest.enable
    assert not plan(inventory(holdfast_enable=False)).manifest.enable


def test_secrets_never_reach_the_manifest() -> None:
    manifest = plan(inventory({"grafana_backup": {"enable": True}})).manifest
    assert SECRET not in manifest.text()
    assert SECRET not in repr(manifest)
    assert manifest.repositories["r2"].environment_file == "/etc/holdfast/secrets/r2.env"
    assert manifest.repositories["nas"].environment_file is None


def test_a_file_with_the_environment_may_be_provided() -> None:
    given_file = {**R2, "environment": None, "environment_file": "/run/secrets/r2"}
    assert plan(inventory(holdfast_repositories={"r2": given_file})).manifest.repositories["r2"].environment_file == "/run/secrets/r2"


# The seed document, in its own spelling.
SEED_REPOSITORIES = {
    "nas-primary": {"url": "/mnt/nas-backup", "passwordFile": "/run/secrets/restic", "primary": True, "type": "local"},
    "r2-offsite": {
        "url": "s3:https://account.r2.cloudflarestorage.com/bucket/host",
        "passwordFile": "/run/secrets/restic",
        "environmentFile": "/run/secrets/r2-env",
        "primary": False,
        "type": "s3",
    },
}
SEED_SERVICE = {
    "enable": True, "repository": "nas-primary", "useSnapshots": False, "frequency": "daily", "tags": ["database", "myservice"],
    "preBackupScript": "sqlite3 a .backup", "postBackupScript": "true", "excludePatterns": ["*.tmp"],
}  # fmt: skip


def test_a_declaration_can_be_pasted_from_the_seed() -> None:
    found = plan(inventory({"myservice_backup": SEED_SERVICE}, holdfast_repositories=SEED_REPOSITORIES))
    repository = found.manifest.repositories["r2-offsite"]
    assert (repository.password_file, repository.environment_file) == ("/run/secrets/restic", "/run/secrets/r2-env")
    job = found.manifest.jobs["service-myservice"]
    assert (job.pre_backup, job.post_backup, job.exclude) == (("sqlite3 a .backup",), ("true",), ("*.tmp",))
    assert job.tags == ("database", "myservice")
    assert found.warnings == []


@pytest.mark.parametrize(
    ("seed", "ours"),
    [
        ("useSnapshots", "use_snapshots"), ("zfsDataset", "zfs_dataset"), ("passwordFile", "password_file"),
        ("sampleFiles", "sample_files"), ("environmentFile", "environment_file"), ("preBackupScript", "pre_backup"),
        ("postBackupScript", "post_backup"),
        ("excludePatterns", "exclude"), ("checkDataSubset", "check_data_subset"), ("restoreTesting", "restore_testing"), ("url", "url"),
    ],
)  # fmt: skip
def test_spellings_of_the_seed_are_aliases(seed: str, ours: str) -> None:
    assert snake_case(seed) == snake_case(ours) == ours


@given(st.from_regex(r"[a-z][a-z0-9]{0,6}(_[a-z][a-z0-9]{0,6}){0,3}", fullmatch=True))
def test_our_own_spelling_stays_as_it_is(key: str) -> None:
    renamed = {"pre_backup_script", "post_backup_script", "exclude_patterns"}
    assert snake_case(key) == key or key in renamed


def test_one_key_in_two_spellings_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"^x: 'useSnapshots' and 'use_snapshots' say the same thing twice\. Keep one of them\.$"):
        canonical("x", {"use_snapshots": True, "useSnapshots": True})


def warnings_of(**keys: Any) -> list[str]:
    """What a person should know of a declaration."""
    found: Plan = plan(inventory({"grafana_backup": {"enable": True, **keys}}))
    return found.warnings


@pytest.mark.parametrize(
    ("keys", "warnings"),
    [
        ({}, []),
        ({"protection": "critical", "repositories": ["nas", "r2"]}, []),
        ({"protection": "critical"}, ["promises 2 copies, but repositories names 1", "promises an offsite copy, but no repository"]),
        ({"protection": "critical", "repository": "r2"}, ["promises 2 copies, but repositories names 1"]),
    ],
)
def test_a_promise_that_the_declaration_breaks_is_a_warning(keys: dict[str, Any], warnings: list[str]) -> None:
    found = warnings_of(**keys)
    assert len(found) == len(warnings)
    for text, expected in zip(found, warnings):
        assert text.startswith("grafana_backup: the class 'critical' ")
        assert expected in text


def test_all_mistakes_are_told_at_once() -> None:
    declared = inventory(
        {"a_backup": {"enable": True, "frequencey": "daily"}, "b_backup": {"enable": True, "paths": "x"}}, holdfast_enable="maybe"
    )
    assert [error.split(":")[0] for error in errors_of(declared)] == ["a_backup.frequencey", "b_backup.paths", "holdfast_enable"]


def test_without_known_variables_names_are_not_judged() -> None:
    assert plan(Inventory("forge", {"holdfast_repositories": REPOSITORIES, "holdfast_whatever": 1})).manifest.jobs == {}


@dataclass(frozen=True)
class Wrong:
    """A wrong declaration: what its error begins with, and the value that it shows."""

    names: str
    shows: str
    declared: Inventory
    meant: str = ""


def service(names: str, shows: str, meant: str = "", **keys: Any) -> Wrong:
    """A service declared wrongly."""
    return Wrong(f"grafana_backup{names}", shows, inventory({"grafana_backup": {"enable": True, **keys}}), meant)


def repository(names: str, shows: str, meant: str = "", **keys: Any) -> Wrong:
    """The primary repository declared wrongly, with a service that relies on it."""
    wrong = {key: value for key, value in {**NAS, **keys}.items() if value != "left out"}
    declared = inventory({"grafana_backup": {"enable": True}}, holdfast_repositories={"nas": wrong, "r2": R2})
    return Wrong(f"holdfast_repositories.nas{names}", shows, declared, meant)


def variable(names: str, shows: str, meant: str = "", **variables: Any) -> Wrong:
    """A variable of ours with a wrong value."""
    return Wrong(names, shows, inventory({"grafana_backup": {"enable": True}}, **variables), meant)


WRONG = {
    "mistyped key": service(".frequencey", "frequencey", "frequency", frequencey="daily"),
    "key of a later release": service(".colour", "colour", colour="red"),
    "empty frequency": service(".frequency", "''", frequency=""),
    "frequency as a list": service(".frequency", "['daily']", frequency=["daily"]),
    "mistyped repository": service(".repositor", "'nass'", "nas", repository="nass"),
    "repository as a list": service(".repository", "['nas']", repository=["nas"]),
    "no repositories": service(".repositories", "empty", repositories=[]),
    "repositories as a text": service(".repositories", "'nas'", repositories="nas"),
    "repository and repositories": service("", "'repository' and 'repositories'", repository="nas", repositories=["r2"]),
    "repository twice": service(".repositories", "['nas', 'nas']", repositories=["nas", "nas"]),
    "paths as a text": service(".paths", "'/srv'", paths="/srv"),
    "relative path": service(".paths[1]", "'srv/app'", paths=["/srv", "srv/app"]),
    "path with dots": service(".paths[0]", "'/srv/../etc'", paths=["/srv/../etc"]),
    "no paths": service(".paths", "nothing", paths=[]),
    "undecided enable": service(".enable", "'maybe'", enable="maybe"),
    "tag with a comma": service(".tags", "'a,b'", tags=["a,b"]),
    "reserved tag": service(".tags", "'holdfast-job=x'", tags=["holdfast-job=x"]),
    "exclude as a text": service(".exclude", "'*.tmp'", exclude="*.tmp"),
    "undecided use_snapshots": service(".use_snapshots", "'si'", use_snapshots="si"),
    "snapshots without a dataset": service(".", "", use_snapshots=True),
    "dataset without snapshots": service(".zfs_dataset", "'tank/x'", zfs_dataset="tank/x"),
    "empty command": service(".pre_backup[1]", "[]", pre_backup=["true", []]),
    "commands as a mapping": service(".post_backup", "{'run': 'x'}", post_backup={"run": "x"}),
    "unit with a space": service(".stop_units", "'my app'", stop_units=["my app"]),
    "group with a space": service(".groups", "'my group'", groups=["my group"]),
    "mistyped class": service(".protection", "'critcal'", "critical", protection="critcal"),
    "mistyped keep rule": service(".retention.keep_daly", "keep_daly", "keep_daily", retention={"keep_daly": 3}),
    "negative keep rule": service(".retention.keep_daily", "-1", retention={"keep_daily": -1}),
    "wordy keep rule": service(".retention.keep_within", "'2 years'", retention={"keep_within": "2 years"}),
    "retention as a text": service(".retention", "", retention="forever"),
    "nothing is kept": service(
        ".retention", "0", protection="ephemeral", retention={"keep_daily": 0, "keep_weekly": 0}
    ),
    "too little memory": service(".resources.memory", "'10M'", resources={"memory": "10M"}),
    "more reserved than allowed": service(".resources.memory_reservation", "1G", resources={"memory_reservation": "1G"}),
    "no processor": service(".resources.cpus", "0", resources={"cpus": 0}),
    "mistyped resource": service(".resources.memroy", "memroy", "memory", resources={"memroy": "1G"}),
    "one key in two spellings": service("", "'useSnapshots' and 'use_snapshots'", use_snapshots=False, useSnapshots=False),
    "service called otherwise": service(".service", "unknown key", service="other"),
    "runbook of two lines": service(".runbook_url", r"'a\nb'", runbook_url="a\nb"),
    "services as a list": variable("holdfast_services", "list", holdfast_services=[{"name": "a"}]),
    "service as a text": variable("holdfast_services.app", "text", holdfast_services={"app": "daily"}),
    "bad name of a service": variable("holdfast_services.my app", "'my app'", holdfast_services={"my app": {}}),
    "unknown key on the host": Wrong(
        "/etc/holdfast/services.d/app.yml.pahts", "pahts", inventory(on_host={"app.yml": {"pahts": []}}), "paths"
    ),
    "list on the host": Wrong("/etc/holdfast/services.d/app.yml", "list", inventory(on_host={"app.yml": ["/srv"]})),
    "bad file name on the host": Wrong("/etc/holdfast/services.d/my app.yml", "'my app'", inventory(on_host={"my app.yml": {}})),
    "query that gives a list": Wrong("holdfast_discovery_query", "list", inventory(discovered=["a"])),
    "query that gives no service": Wrong("holdfast_discovery_query:app", "number", inventory(discovered={"app": 5})),
    "mistyped preset": variable("holdfast_jobs.system.preset", "'sytem'", "system", holdfast_jobs={"system": {"preset": "sytem"}}),
    "job without paths": variable("holdfast_jobs.a.paths", "nothing", holdfast_jobs={"a": {}}),
    "job of a reserved name": variable(
        "holdfast_jobs.postgres-pgbackrest", "reserved", holdfast_jobs={"postgres-pgbackrest": {"paths": ["/x"]}}
    ),
    "job that belongs to a service": variable("holdfast_jobs.a.service", "service", holdfast_jobs={"a": {"paths": ["/x"], "service": "b"}}),
    "job of a service's name": variable(
        "holdfast_jobs.service-grafana", "'service-grafana' is declared twice", holdfast_jobs={"service-grafana": {"paths": ["/x"]}}
    ),
    "no url": repository(".url", "required", url="left out"),
    "relative url": repository(".url", "'mnt/nas'", url="mnt/nas"),
    "unknown kind of url": repository(".url", "'ftp://host/x'", url="ftp://host/x"),
    "half an address": repository(".url", "'rest:http://[::1/'", url="rest:http://[::1/"),
    "mistyped type": repository(".type", "'locall'", "local", type="locall"),
    "type of another kind": repository(".type", "'s3'", type="s3"),
    "credentials in the url": repository(".url", "RESTIC_REST_USERNAME", url=f"rest:https://u:{SECRET}@host/"),
    "credentials in an unknown url": repository(".url", "", url=f"https://u:{SECRET}@host/"),
    "password as a number": repository(".password", "no text", password=12345),
    "password with a line break": repository(".password", "line break", password=f"{SECRET}\n"),
    "mistyped password": repository(".pasword", "pasword", "password", password="left out", pasword=SECRET),
    "secret where none belongs": repository(".aws_secret_access_key", "aws_secret_access_key", aws_secret_access_key=SECRET),
    "environment as a text": repository(".environment", "", environment=f"AWS_SECRET_ACCESS_KEY={SECRET}"),
    "environment as a list": repository(".environment", "", environment=[f"AWS_SECRET_ACCESS_KEY={SECRET}"]),
    "bad name of a variable": repository(".environment", "'MY-KEY'", environment={"MY-KEY": SECRET}),
    "variable that we set": repository(".environment.RESTIC_PASSWORD", "RESTIC_PASSWORD", environment={"RESTIC_PASSWORD": SECRET}),
    "variable of two lines": repository(".environment.KEY", "KEY", environment={"KEY": f"{SECRET}\nx"}),
    "undecided primary": repository(".append_only", "'perhaps'", append_only="perhaps"),
    "mount for a bucket": repository(".require_mount", "True", url="s3:https://host/b", require_mount=True),
    "relative password file": repository(".password_file", "'secrets/nas'", password="left out", password_file="secrets/nas"),
    "repositories as a list": variable("holdfast_repositories", "list", holdfast_repositories=[{"name": "nas", **NAS}]),
    "repository as a url": variable(
        "holdfast_repositories.x", "text", holdfast_repositories={**REPOSITORIES, "x": f"rest:https://u:{SECRET}@host/"}
    ),
    "bad name of a repository": variable("holdfast_repositories.my nas", "'my nas'", holdfast_repositories={**REPOSITORIES, "my nas": R2}),
    "two primaries": variable(
        "holdfast_repositories", "nas and r2", holdfast_repositories={"nas": NAS, "r2": {**R2, "primary": True}}
    ),
    "no primary": Wrong(
        "grafana_backup", "no repository", inventory({"grafana_backup": {"enable": True}}, holdfast_repositories={"r2": R2})
    ),
    "vague class": variable(
        "holdfast_protection_classes.critical.rpo", "'soon'", holdfast_protection_classes={"critical": {"rpo": "soon"}}
    ),
    "class without copies": variable("holdfast_protection_classes.mine.copies", "0", holdfast_protection_classes={"mine": {"copies": 0}}),
    "mistyped key of a class": variable(
        "holdfast_protection_classes.mine.ofsite", "ofsite", "offsite", holdfast_protection_classes={"mine": {"ofsite": True}}
    ),
    "unknown compression": variable("holdfast_settings.compression", "'zstd'", holdfast_settings={"compression": "zstd"}),
    "impatient stall_timeout": variable("holdfast_settings.stall_timeout", "'1s'", holdfast_settings={"stall_timeout": "1s"}),
    "mistyped setting": variable(
        "holdfast_settings.retry_lok", "retry_lok", "retry_lock", holdfast_settings={"retry_lok": "30m"}
    ),
    "settings as a text": variable("holdfast_settings", "text", holdfast_settings="fast"),
    "undecided holdfast_enable": variable("holdfast_enable", "'perhaps'", holdfast_enable="perhaps"),
    "relative directory": variable("holdfast_textfile_directory", "'prom'", holdfast_textfile_directory="prom"),
    "mistyped variable": variable("holdfast_repositorys", "holdfast_repositorys", "holdfast_repositories", holdfast_repositorys={}),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_declarations(wrong: Wrong) -> None:
    (error,) = errors_of(wrong.declared)
    assert "\n" not in error
    assert error.startswith(wrong.names), "names another variable"
    assert wrong.shows in error, "does not show the value"
    assert REMEDY.search(error), "gives no remedy"
    assert not wrong.meant or f"Did you mean {wrong.meant}?" in error
    assert SECRET not in error
