"""The manifest: parsed, validated, written and read again."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import ConfigurationError
from holdfast.manifest import (
    Job,
    Manifest,
    ProtectionClass,
    Repository,
    Resources,
    Settings,
    parse_commands,
    parse_retention,
)
from tests.unit.samples import CLASSES, NAS, R2, SECRET, make_job, make_manifest

if TYPE_CHECKING:
    from holdfast.manifest import Command


def paths(letters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Absolute paths of such letters, as ``check_path`` leaves them."""
    part = st.text(letters, min_size=1, max_size=8).map(lambda text: text if text.strip(".") else f"{text}x")
    return st.lists(part, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12)
ORIGINS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=12)
TAGS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=","), min_size=1, max_size=8)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
PATHS = paths(st.characters(codec="utf-8", exclude_characters="\0/"))
PLAIN_PATHS = paths(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/"))
COMMANDS: st.SearchStrategy[tuple[Command, ...]] = st.lists(
    WORDS.map("echo ".__add__) | st.lists(st.text(max_size=5), min_size=1, max_size=3).map(tuple), max_size=2
).map(tuple)
RETENTIONS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"keep_last": st.integers(1, 99)},
    optional={"keep_daily": st.integers(0, 99), "keep_within": st.sampled_from(["30d", "1y6m", "36h"])},
)
KINDS = {
    "local": PLAIN_PATHS,
    "s3": st.just("s3:https://host/bucket"),
    "rest": st.just("rest:http://host:8000/a"),
    "b2": st.just("b2:bucket:x"),
}


def tuples(entries: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    """Short tuples without doubles."""
    return st.lists(entries, min_size=least, max_size=3, unique=True).map(tuple)


@st.composite
def repositories(draw: st.DrawFn, name: str) -> Repository:
    """A repository of any type."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    return Repository(
        name=name,
        url=draw(KINDS[kind]),
        password_file=draw(PLAIN_PATHS),
        environment_file=draw(st.none() | PLAIN_PATHS),
        type=kind,
        location=draw(LINES),
        offsite=draw(st.booleans()),
        append_only=draw(st.booleans()),
        require_mount=kind == "local" and draw(st.booleans()),
        retention=draw(RETENTIONS),
        prune_schedule=draw(LINES),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """A manifest that holds together."""
    stores = {name: draw(repositories(name)) for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))}
    classes = {
        name: ProtectionClass(
            name,
            draw(st.integers(1, 10**8)),
            draw(st.integers(1, 10**8)),
            draw(st.integers(1, 9)),
            draw(st.booleans()),
            draw(st.integers(1, 10**8)),
            draw(RETENTIONS),
        )
        for name in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))
    }
    services, others = (draw(st.lists(NAMES, max_size=2, unique=True)) for _ in range(2))
    jobs = {
        name: Job(
            name=name,
            origin=draw(ORIGINS),
            repositories=draw(tuples(st.sampled_from(sorted(stores)), least=1)),
            paths=draw(tuples(PATHS, least=1)),
            service=service,
            optional_paths=draw(tuples(PATHS)),
            frequency=draw(st.sampled_from(["hourly", "daily", "Sun 03:00"])),
            tags=draw(tuples(TAGS)),
            exclude=draw(tuples(WORDS)),
            pre_backup=draw(COMMANDS),
            post_backup=draw(COMMANDS),
            stop_units=draw(tuples(st.sampled_from(["a.service", "b@c.socket", "d\\x2de.mount"]))),
            groups=draw(tuples(NAMES)),
            protection=draw(st.sampled_from(sorted(classes))),
            retention=draw(RETENTIONS),
            resources=Resources(512 * 1024**2, draw(st.integers(1, 512 * 1024**2)), draw(st.floats(0.1, 64))),
            verify_command=draw(COMMANDS),
            runbook_url=draw(LINES),
        )
        for name, service in [(f"service-{entry}", entry) for entry in services] + [(entry, None) for entry in others]
    }
    limits = Settings(
        compression=draw(st.sampled_from(["auto", "max"])),
        read_concurrency=draw(st.integers(1, 1024)),
        retry_lock=draw(st.integers(0, 10**6)),
        stall_timeout=draw(st.integers(5, 10**6)),
        limit_upload=draw(st.integers(0, 10**6)),
    )
    return Manifest(draw(ORIGINS), draw(st.booleans()), "/var/lib/node-exporter", limits, stores, classes, jobs)


def repository(**changes: Any) -> Repository:
    """A repository out of a declaration."""
    return Repository.parse("nas", {"url": "/mnt/nas", **changes}, "holdfast_repositories.nas")


@given(manifests())
@settings(max_examples=40)
def test_a_document_is_parsed_to_the_manifest_that_wrote_it(manifest: Manifest) -> None:
    assert Manifest.parse(manifest.document()) == manifest
    assert Manifest.parse(json.loads(manifest.text())) == manifest
    assert Manifest.parse(json.loads(manifest.text())).text() == manifest.text()


def test_a_manifest_of_another_release_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"manifest\.version: 99 is not 1\. Run site\.yml again"):
        Manifest.parse({**make_manifest().document(), "version": 99})


def test_unknown_keys_of_a_manifest_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^manifest\.jbos: is an unknown key.* Did you mean jobs\?$"):
        Manifest.parse({**make_manifest().document(), "jbos": {}})


def test_retention_is_merged_from_class_over_repository_to_job() -> None:
    classes = {"standard": CLASSES["standard"]._replace(retention={"keep_daily": 1, "keep_weekly": 1, "keep_monthly": 1})}
    store = NAS._replace(retention={"keep_weekly": 2, "keep_monthly": 2})
    job = make_job(retention={"keep_monthly": 3})
    manifest = make_manifest(job, repositories=(store,), protection_classes=classes)
    assert manifest.retention(job, "nas") == {"keep_daily": 1, "keep_weekly": 2, "keep_monthly": 3}


def test_retention_may_differ_between_the_repositories_of_a_job() -> None:
    job = make_job(repositories=("nas", "r2"))
    manifest = make_manifest(job, repositories=(NAS, R2._replace(retention={"keep_daily": 3})))
    assert manifest.retention(job, "nas")["keep_daily"] == 14
    assert manifest.retention(job, "r2")["keep_daily"] == 3


def test_retention_that_keeps_nothing_is_refused() -> None:
    rules = dict.fromkeys(CLASSES["standard"].retention, 0)
    with pytest.raises(ConfigurationError, match=r"^grafana_backup\.retention: .* would keep nothing in nas\. Let at least one"):
        make_manifest(make_job(retention=rules)).check_references()


@pytest.mark.parametrize("rules", [{"keep_last": 3}, {"keep_within": "1y6m"}, {"keep_within_daily": "30d", "keep_yearly": 2}, {}])
def test_keep_rules_are_read(rules: dict[str, Any]) -> None:
    assert parse_retention(rules, "x") == rules


@pytest.mark.parametrize(
    "rules", [{"keep_last": -1}, {"keep_last": "all"}, {"keep_within": "2 years"}, {"keep_within": 30}, {"keep": 1}, []]
)
def test_wrong_keep_rules_are_refused(rules: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^x"):
        parse_retention(rules, "x")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/mnt/nas", "local"), ("local:/mnt/nas", "local"), ("s3:https://host/bucket", "s3"), ("s3:s3.amazonaws.com/bucket/a", "s3"),
        ("b2:bucket:path", "b2"), ("rest:https://host:8000/repo/", "rest"), ("rest:http+unix:///run/rest.socket:/repo/", "rest"),
        ("rest:http://[::1]:8000/", "rest"), ("sftp:user@host:/srv/repo", "sftp"), ("sftp://user@host:2222//srv/repo", "sftp"),
        ("rclone:remote:path", "rclone"), ("azure:container:/", "azure"), ("gs:bucket:/", "gs"), ("swift:container:/path", "swift"),
    ],
)  # fmt: skip
def test_the_type_is_taken_from_the_url(url: str, kind: str) -> None:
    assert repository(url=url).type == kind
    assert repository(url=url, type=kind).type == kind


def test_a_local_url_is_a_plain_path() -> None:
    assert repository(url="local:/mnt/nas").url == "/mnt/nas"


@pytest.mark.parametrize(
    "url", ["mnt/nas", "local:mnt/nas", "ftp://host/x", "s3:", "/mnt/../etc", "", "rest:http://[::1/", "rest:http://host:port/"]
)
def test_what_restic_cannot_reach_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^holdfast_repositories\.nas\.url: "):
        repository(url=url)


def test_a_type_that_does_not_fit_the_url_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^holdfast_repositories\.nas\.type: 's3' does not fit the url, which is of type local"):
        repository(type="s3")


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        (f"rest:https://user:{SECRET}@host/", "RESTIC_REST_USERNAME"),
        (f"rest:https://{SECRET}@host/", "RESTIC_REST_PASSWORD"),
        (f"rest:http://user:a/{SECRET}@host:8000/x", "RESTIC_REST_PASSWORD"),
        (f"rest:https://user:{SECRET}#1@host/", "RESTIC_REST_PASSWORD"),
        (f"s3:https://AKID:{SECRET}@host/bucket", "AWS_SECRET_ACCESS_KEY"),
        (f"s3:AKID:{SECRET}@host/bucket", "AWS_ACCESS_KEY_ID"),
        (f"sftp:user:{SECRET}@host:/srv", "SSH key"),
        (f"sftp://user:{SECRET}@host:22//srv", "SSH key"),
        (f"https://user:{SECRET}@host/", ""),
        (f"REST:https://user:{SECRET}@host/", ""),
    ],
)
def test_credentials_in_a_url_are_refused_and_never_shown(url: str, instead: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        repository(url=url)
    assert str(caught.value).startswith("holdfast_repositories.nas.url: ")
    assert SECRET not in str(caught.value)
    assert instead in str(caught.value)


def test_a_mount_can_be_required_of_local_repositories_alone() -> None:
    assert repository(require_mount=True).require_mount
    with pytest.raises(ConfigurationError, match=r"^holdfast_repositories\.nas\.require_mount: True makes no sense for the type s3"):
        repository(url="s3:https://host/bucket", require_mount=True)


def test_defaults_of_a_repository() -> None:
    found = repository()
    assert found.password_file == "/etc/holdfast/secrets/nas.password"
    assert found.environment_file is None
    assert found.prune_schedule == "weekly"
    assert {found.primary, found.offsite, found.append_only, found.require_mount} == {False}


def test_resources_are_read_in_bytes_and_processors() -> None:
    assert Resources.parse({"memory": "1G", "memory_reservation": "128M", "cpus": "0.5"}, "x") == Resources(1024**3, 128 * 1024**2, 0.5)


def test_a_small_memory_limit_lowers_the_default_reservation() -> None:
    assert Resources.parse({"memory": "128M"}, "x").memory_reservation == 128 * 1024**2


@pytest.mark.parametrize(
    "wrong",
    [{"memory": "1M"}, {"memory": "lots"}, {"cpus": 0}, {"cpus": 0.004}, {"memory": "512M", "memory_reservation": "1G"}, {"cpu": 1}],
)
def test_wrong_resources_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=rf"^x\.{next(reversed(wrong))}: "):
        Resources.parse(wrong, "x")


def test_tags_begin_with_the_reserved_one_and_the_service() -> None:
    assert make_job(tags=("grafana", "monitoring", "monitoring")).all_tags == ("holdfast-job=service-grafana", "grafana", "monitoring")
    assert make_job("system", service=None, tags=()).all_tags == ("holdfast-job=system",)


def test_paths_of_a_job_are_normal_and_named_once() -> None:
    found = Job.parse("a", {"repositories": ["nas"], "paths": ["/srv/a/", "/srv//a", "/srv/b"]})
    assert found.paths == ("/srv/a", "/srv/b")


def test_commands_are_lists_of_arguments_or_texts_for_a_shell() -> None:
    assert parse_commands([["echo", 1], "a | b"], "x") == (("echo", "1"), "a | b")
    assert parse_commands("a; b", "x") == ("a; b",)


@pytest.mark.parametrize("wrong", [[[]], [None], [""], ["  "], [{"argv": []}], 5, {"a": "b"}, [["a", None]]])
def test_what_is_no_command_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^x"):
        parse_commands(wrong, "x")


def test_units_without_a_suffix_are_services() -> None:
    found = Job.parse("a", {"repositories": ["nas"], "paths": ["/a"], "stop_units": ["app", "db@1.socket"]})
    assert found.stop_units == ("app.service", "db@1.socket")


def test_a_job_is_found_by_its_name_or_its_service() -> None:
    manifest = make_manifest(make_job(), make_job("system"))
    assert manifest.job("grafana").name == manifest.job("service-grafana").name == "service-grafana"
    assert manifest.job("system").name == "system"
    with pytest.raises(ConfigurationError, match=r"^job: 'grafanna' is no known job on forge\. "):
        manifest.job("grafanna")


def test_the_jobs_of_a_repository_are_those_that_write_to_it() -> None:
    manifest = make_manifest(make_job("a"), make_job("b", repositories=("nas", "r2")))
    assert [job.name for job in manifest.jobs_of("r2")] == ["b"]
    assert [job.name for job in manifest.jobs_of("nas")] == ["a", "b"]


def test_two_primary_repositories_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^holdfast_repositories: nas and r2 are both primary\. Set 'primary: true' on one"):
        make_manifest(repositories=(NAS, R2._replace(primary=True))).check_references()


def test_every_character_of_a_name_stays_as_it_is() -> None:
    name = "A" + string.ascii_lowercase + string.digits + "_.-"
    assert Manifest.parse(make_manifest(make_job(name)).document()).job(name).name == name
