"""The text of unit files."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import units
from holdfast.manifest import Repository, Resources
from tests.unit.samples import NAS, ODD_PATHS, R2, make_job, make_manifest

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "s": " ", "\\": "\\", '"': '"', "'": "'", "b": "\b", "f": "\f", "v": "\v"}


def settings_of(text: str, key: str) -> list[str]:
    """The values of a key in a unit file."""
    return [line.partition("=")[2] for line in text.split("\n") if line.startswith(f"{key}=")]


def words(value: str) -> list[str]:
    """The words of a list in a unit file, as systemd.syntax(7) takes quotes, escapes and specifiers apart."""
    found = []
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', value):
        raw = match[1] if match[1] is not None else match[2]
        data = re.sub(
            rb"\\(?:x([0-9a-f]{2})|(.))",
            lambda escape: bytes([int(escape[1], 16)]) if escape[1] else ESCAPES[escape[2].decode()].encode(),
            raw.encode(),
        )
        assert b"%" not in data.replace(b"%%", b""), "a specifier"
        found.append(data.replace(b"%%", b"%").decode())
    return found


def writable(text: str) -> list[str]:
    """The paths that a unit file makes writable."""
    return [word.removeprefix("-") for value in settings_of(text, "ReadWritePaths") for word in words(value)]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_every_path_of_a_job_is_writable_for_it(path: str) -> None:
    text = units.job_drop_in(make_manifest(), make_job(paths=("/srv/first", path)))
    assert "/srv/first" in writable(text)
    assert path in writable(text)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_path_is_one_word_on_one_line(name: str) -> None:
    quoted = units.quoted(f"/srv/{name}")
    assert words(quoted) == [f"-/srv/{name}"]
    assert not re.search(r"[\x00-\x1f\x7f]", quoted)


def test_local_repositories_of_a_job_are_writable_for_it_and_others_are_not_named() -> None:
    text = units.job_drop_in(make_manifest(), make_job(repositories=("nas", "r2")))
    assert writable(text) == ["/var/lib/grafana", "/mnt/nas-backup"]


@pytest.mark.parametrize("directory", ["/srv/text files", "/srv/100%", "/var/lib/node-exporter"])
def test_the_textfile_directory_is_writable_for_backup_and_forget(directory: str) -> None:
    shared = units.shared(make_manifest(textfile_directory=directory))
    for name in ("holdfast-backup@.service", "holdfast-forget@.service"):
        assert directory in writable(shared[name])


def test_limits_of_a_job_are_in_its_drop_in() -> None:
    text = units.job_drop_in(make_manifest(), make_job(resources=Resources(1024**3, 256 * 1024**2, 1.5)))
    assert settings_of(text, "MemoryMax") == ["1073741824"]
    assert settings_of(text, "MemoryLow") == ["268435456"]
    assert settings_of(text, "CPUQuota") == ["150%"]


def test_the_smallest_share_of_a_processor_is_still_a_limit() -> None:
    resources = Resources.parse({"cpus": 0.05}, "x")
    assert settings_of(units.job_drop_in(make_manifest(), make_job(resources=resources)), "CPUQuota") == ["5%"]


def test_a_job_waits_for_the_mounts_that_its_paths_may_lie_on() -> None:
    text = units.job_drop_in(make_manifest(), make_job(paths=("/srv/my-app",)))
    mounts = ["mnt.mount", "mnt-nas\\x2dbackup.mount", "srv.mount", "srv-my\\x2dapp.mount"]
    for key in ("Wants", "After"):
        assert sorted(settings_of(text, key)[0].split()) == sorted(mounts)
    assert "RequiresMountsFor" not in text


def test_every_job_has_a_drop_in_and_a_timer() -> None:
    files = units.instances(make_manifest(make_job("a"), make_job("b")))
    for job in ("a", "b"):
        assert f"holdfast-backup@{job}.service.d/job.conf" in files
        assert settings_of(files[f"holdfast-backup@{job}.timer"], "Persistent") == ["true"]


def test_timers_hold_the_schedule_and_draw_no_lots() -> None:
    files = units.instances(make_manifest(make_job("a", frequency="Sun 04:00"), make_job("b", frequency="hourly")))
    assert settings_of(files["holdfast-backup@a.timer"], "OnCalendar") == ["Sun 04:00"]
    assert re.fullmatch(r"\*-\*-\* \*:\d\d:\d\d", settings_of(files["holdfast-backup@b.timer"], "OnCalendar")[0])
    assert not any("RandomizedDelaySec" in text for text in files.values())


@pytest.mark.parametrize(
    ("repository", "has_timer"),
    [(NAS, True), (R2, True), (NAS._replace(append_only=True), False), (NAS._replace(prune_schedule=""), False)],
)
def test_a_repository_is_pruned_unless_that_is_off_or_it_is_append_only(repository: Repository, has_timer: bool) -> None:
    files = units.instances(make_manifest(make_job(repositories=(repository.name,)), repositories=(repository,)))
    assert (f"holdfast-forget@{repository.name}.timer" in files) == has_timer


def test_forget_may_write_to_a_local_repository() -> None:
    files = units.instances(make_manifest(repositories=(NAS._replace(url="/mnt/my nas"), R2)))
    assert writable(files["holdfast-forget@nas.service.d/repository.conf"]) == ["/mnt/my nas"]
    assert "holdfast-forget@r2.service.d/repository.conf" not in files


def test_schedules_of_systemd_are_named_by_the_variable_that_declared_them() -> None:
    manifest = make_manifest(
        make_job(frequency="Sun 04:00"),
        make_job("system", origin="holdfast_jobs.system", frequency="weekly"),
        repositories=(NAS._replace(prune_schedule="Sat 01:00"), R2._replace(prune_schedule="")),
    )
    assert units.calendars(manifest) == {"grafana_backup.frequency": "Sun 04:00", "holdfast_repositories.nas.prune_schedule": "Sat 01:00"}


def test_the_same_manifest_gives_the_same_text() -> None:
    first, second = (make_manifest(make_job("a"), make_job("b", paths=("/x", "/y"))) for _ in range(2))
    assert {**units.shared(first), **units.instances(first)} == {**units.shared(second), **units.instances(second)}


def test_all_services_lie_in_the_slice() -> None:
    for name, text in units.shared(make_manifest()).items():
        if name.endswith(".service"):
            assert settings_of(text, "Slice") == ["holdfast.slice"], name


def test_a_killed_run_is_told_from_outside_its_sandbox() -> None:
    shared = units.shared(make_manifest())
    assert settings_of(shared["holdfast-backup@.service"], "ExecStopPost") == ["+/usr/local/bin/holdfast run-ended %i"]
    assert settings_of(shared["holdfast-backup@.service"], "OnFailure") == ["holdfast-backup-failed@%i.service"]
    assert settings_of(shared["holdfast-forget@.service"], "ExecStopPost")[0].startswith("+")
