# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A short look at sources and repositories before restic starts: restic skips a missing path and retries for 15 minutes."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .errors import HoldfastError, LimitExceeded
from .manifest import Repository
from .restic_errors import RepositoryAbsent, RepositoryUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, TypeVar

    _T = TypeVar("_T")

LIMIT = 15.0
_PORTS = {"http": 80, "https": 443}


class SourceMissing(HoldfastError):
    """Something that should be backed up is not there."""


def within(limit: float, doing: str, act: Callable[[], _T]) -> _T:
    """What ``act`` gives, or an error once the limit in seconds is over; a hung file system keeps only a thread.

    Raises:
        LimitExceeded: it took too long.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(act())
        except BaseException as error:  # pylint: disable=broad-exception-caught
            errors.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(limit)
    if errors:
        raise errors[0]
    if not results:
        raise LimitExceeded(f"{doing}: no answer within {limit:.0f} s")
    return results[0]


def check_sources(paths: Sequence[str]) -> None:
    """Every path must be there.

    Raises:
        SourceMissing: naming all that are not.
        LimitExceeded: a file system does not answer.
    """
    missing = within(LIMIT, f"looking at {', '.join(paths)}", lambda: [path for path in paths if not os.path.lexists(path)])
    if missing:
        raise SourceMissing(
            f"{', '.join(missing)}: no such file or directory. Is it mounted? A path that is gone for good must leave 'paths'."
        )


def existing(paths: Sequence[str]) -> list[str]:
    """Those of the paths that are there."""
    return within(LIMIT, f"looking at {', '.join(paths)}", lambda: [path for path in paths if os.path.lexists(path)])


def check_repository(repository: Repository, environment: Mapping[str, str]) -> None:
    """The repository's place must answer; whether it opens is for restic to say.

    Raises:
        RepositoryAbsent: a local repository is not there, or not on the mount that it needs.
        RepositoryUnreachable: its server takes no connection.
        LimitExceeded: its file system does not answer.
    """
    if repository.type == "local":
        try:
            within(LIMIT, f"looking at {repository.url}", lambda: _check_directory(repository))
        except OSError as error:
            raise RepositoryUnreachable(f"{repository.url} cannot be read ({error.strerror})") from None
        return
    address = server_address(repository, environment)
    if address:
        import socket

        try:
            within(
                LIMIT,
                f"connecting to {address[0]}:{address[1]}",
                lambda: socket.create_connection(address, LIMIT).close(),
            )
        except OSError as error:
            raise RepositoryUnreachable(
                f"{repository.url} cannot be reached ({address[0]}:{address[1]}: {error.strerror or error})"
            ) from None


def _check_directory(repository: Repository) -> None:
    check_mount(repository)
    if not Path(repository.url, "config").exists():
        raise RepositoryAbsent(
            f"{repository.url}: there is no repository. If it lies on a mount, is it mounted? Only playbooks/site.yml makes a new one.",
            10,
        )


def check_mount(repository: Repository) -> None:
    """With ``require_mount``, another file system than / must be mounted at or above the repository.

    The device number is compared, since the bind mounts of a unit's sandbox look like mounts too.

    Raises:
        RepositoryAbsent: none is.
    """
    if not repository.require_mount:
        return
    place = Path(repository.url)
    while not place.exists():
        place = place.parent
    if place.stat().st_dev == Path("/").stat().st_dev:
        raise RepositoryAbsent(
            f"{repository.url}: nothing is mounted there, and require_mount is set. Mount it; nothing was written to the disk below.",
            10,
        )


def server_address(repository: Repository, environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Host and port that restic will connect to first, or None where that is not to be told from the url."""
    if repository.type not in ("rest", "s3"):
        return None
    from urllib.parse import urlsplit

    rest = repository.url.split(":", 1)[1]
    url = urlsplit(rest if "://" in rest else f"https://{rest.lstrip('/')}")
    proxy = next((environment[key] for key in (f"{url.scheme}_proxy", f"{url.scheme}_proxy".upper()) if environment.get(key)), None)
    if proxy and url.hostname and not _goes_direct(url.hostname, environment):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not url.hostname:
        return None
    return url.hostname, url.port or _PORTS.get(url.scheme, 443)


def _goes_direct(host: str, environment: Mapping[str, str]) -> bool:
    """Whether a host is reached without the proxy: this one always, and what NO_PROXY names (golang.org/x/net/http/httpproxy)."""
    from urllib.request import proxy_bypass

    if host in ("localhost", "::1") or host.startswith("127."):
        return True
    exceptions = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return _in_networks(host, exceptions.split(",")) or bool(proxy_bypass(host, {"no": exceptions}))


def _in_networks(host: str, networks: Sequence[str]) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        address = ip_address(host)
    except ValueError:
        return False
    for network in networks:
        with suppress(ValueError):
            if address in ip_network(network.strip(), strict=False):
                return True
    return False
