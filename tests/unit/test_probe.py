"""A short look at sources and repositories before restic starts."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import probe
from holdfast.errors import HoldfastError, LimitExceeded
from holdfast.manifest import Repository
from holdfast.restic_errors import RepositoryAbsent, RepositoryUnreachable
from tests.unit.samples import NAS

HTTPS = {"https_proxy": "http://proxy:3128"}
HTTP = {"HTTP_PROXY": "http://proxy:3128"}


def at(url: str, kind: str = "rest") -> Repository:
    """A repository at a url."""
    return NAS._replace(url=url, type=kind)


@pytest.fixture
def server() -> Iterator[int]:
    """The port of something that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "kind", "environment", "address"),
    [
        ("rest:http://host:8000/repo", "rest", {}, ("host", 8000)),
        ("rest:http://host/repo", "rest", {}, ("host", 80)),
        ("rest:https://host/repo", "rest", {}, ("host", 443)),
        ("rest:http://[2001:db8::1]:8000/", "rest", {}, ("2001:db8::1", 8000)),
        ("rest:http+unix:///run/rest.socket:/repo/", "rest", {}, None),
        ("s3:https://host:9000/bucket", "s3", {}, ("host", 9000)),
        ("s3:http://host/bucket", "s3", {}, ("host", 80)),
        ("s3:s3.amazonaws.com/bucket/path", "s3", {}, ("s3.amazonaws.com", 443)),
        ("s3:host:9000/bucket", "s3", {}, ("host", 9000)),
        ("b2:bucket:path", "b2", {}, None),
        ("sftp:user@host:/srv", "sftp", {}, None),
        ("rclone:remote:path", "rclone", {}, None),
        ("rest:https://host/", "rest", HTTPS, ("proxy", 3128)),
        ("s3:host/bucket", "s3", HTTPS, ("proxy", 3128)),
        ("rest:https://host/", "rest", {"HTTPS_PROXY": "proxy:8080"}, ("proxy", 8080)),
        ("rest:https://host/", "rest", {"https_proxy": "https://user:pw@proxy"}, ("proxy", 443)),
        ("rest:https://host/", "rest", {"https_proxy": ""}, ("host", 443)),
        ("rest:http://host/", "rest", HTTPS, ("host", 80)),
        ("rest:http://host/", "rest", HTTP, ("proxy", 3128)),
        ("rest:https://host/", "rest", HTTP, ("host", 443)),
        ("rest:http://localhost:8000/", "rest", HTTP, ("localhost", 8000)),
        ("rest:http://127.0.0.5:8000/", "rest", HTTP, ("127.0.0.5", 8000)),
        ("rest:http://[::1]:8000/", "rest", HTTP, ("::1", 8000)),
        ("rest:https://host.lan/", "rest", {**HTTPS, "NO_PROXY": "other,.lan"}, ("host.lan", 443)),
        ("rest:https://host.lan/", "rest", {**HTTPS, "no_proxy": "*"}, ("host.lan", 443)),
        ("rest:https://host.lan/", "rest", {**HTTPS, "no_proxy": "host.la"}, ("proxy", 3128)),
        ("rest:https://10.1.2.3/", "rest", {**HTTPS, "no_proxy": "10.0.0.0/8"}, ("10.1.2.3", 443)),
    ],
)
def test_the_address_is_the_one_that_restic_connects_to_first(
    url: str, kind: str, environment: dict[str, str], address: tuple[str, int] | None
) -> None:
    assert probe.server_address(at(url, kind), environment) == address


def test_a_server_that_takes_connections_is_reachable(server: int) -> None:
    probe.check_repository(at(f"rest:http://127.0.0.1:{server}/"), {})


def test_a_server_that_does_not_is_named_with_its_address(server: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert port != server
    with pytest.raises(RepositoryUnreachable, match=rf"^rest:http://127\.0\.0\.1:{port}/ .*127\.0\.0\.1:{port}: Connection refused"):
        probe.check_repository(at(f"rest:http://127.0.0.1:{port}/"), {})


def test_a_name_that_nobody_knows_is_unreachable() -> None:
    with pytest.raises(RepositoryUnreachable, match=r"nowhere\.invalid:443"):
        probe.check_repository(at("rest:https://nowhere.invalid/"), {})


def test_a_local_repository_needs_its_config(tmp_path: Path) -> None:
    repository = at(str(tmp_path), "local")
    with pytest.raises(RepositoryAbsent, match="is it mounted") as caught:
        probe.check_repository(repository, {})
    assert caught.value.exit_code == 10
    (tmp_path / "config").touch()
    probe.check_repository(repository, {})


def test_a_directory_that_is_missing_is_no_repository_and_stays_missing(tmp_path: Path) -> None:
    with pytest.raises(RepositoryAbsent):
        probe.check_repository(at(str(tmp_path / "gone"), "local"), {})
    assert not (tmp_path / "gone").exists()


def test_whatever_a_file_system_says_is_an_error_of_ours() -> None:
    with pytest.raises(HoldfastError, match=os.strerror(errno.ENAMETOOLONG)):
        probe.check_repository(at(f"/{'x' * 300}", "local"), {})


def test_a_required_mount_is_another_file_system_than_the_root(tmp_path: Path) -> None:
    wanted = at("/proc/holdfast/repository", "local")._replace(require_mount=True)
    probe.check_mount(wanted)
    place = tmp_path if tmp_path.stat().st_dev == Path("/").stat().st_dev else Path("/")
    with pytest.raises(RepositoryAbsent, match="nothing is mounted there, and require_mount is set"):
        probe.check_mount(wanted._replace(url=str(place / "gone/deep")))
    probe.check_mount(wanted._replace(url=str(place / "gone/deep"), require_mount=False))


def test_all_missing_sources_are_named_and_none_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    probe.check_sources([str(tmp_path / "there"), str(tmp_path / "dangling")])
    with pytest.raises(probe.SourceMissing, match=rf"^{tmp_path}/one, {tmp_path}/two: no such file or directory\. Is it mounted\?"):
        probe.check_sources([str(tmp_path / name) for name in ("one", "there", "two")])


def test_optional_paths_are_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    assert probe.existing([str(tmp_path / "gone"), str(tmp_path / "there")]) == [str(tmp_path / "there")]


def test_a_file_system_that_hangs_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"^looking at /mnt: no answer within"):
        probe.within(0.2, "looking at /mnt", lambda: time.sleep(3))
    assert time.monotonic() - began < 1


def test_what_is_asked_within_a_limit_is_given_back() -> None:
    assert probe.within(5, "x", lambda: 7) == 7
    assert probe.within(5, "x", lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        probe.within(5, "x", lambda: 1 // 0)
