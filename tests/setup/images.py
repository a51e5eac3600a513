"""Images of disposable containers: a minimal Debian, with systemd as its first process where it is a test host."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.setup.cache import BUILDS, key_of, run, step
from tests.setup.debian import SMALL, sources

RELEASES = ("trixie", "bookworm")

# What every Debian host has and a minimal one lacks, then what tests use on a host.
INCLUDE = "systemd,systemd-sysv,dbus,python3,python3-apt,ca-certificates,procps,iproute2,cron,sudo,acl,attr,sqlite3"

# What the roles install: only fetched, so that installing it in a test is real and takes no network.
EVERYWHERE = ["bash-completion", "python3-argcomplete", "python3-prometheus-client", "python3-yaml", "zstd"]
FETCHED = {"bookworm": EVERYWHERE, "trixie": [*EVERYWHERE, "restic"]}

# These take apt's lock at a moment of their own, or have nothing to do in a container.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"]

ROOT_SHARED = Path(__file__).parent / "host/root-shared.service"


@dataclass(frozen=True)
class Image:
    """An image of a release, by what mmdebstrap puts into it and the files that it takes."""

    name: str
    release: str
    options: tuple[str, ...]
    files: tuple[Path, ...] = ()

    @property
    def repository(self) -> str:
        """Its name in podman's storage, without the tag."""
        return f"localhost/{self.name}"

    def _mmdebstrap(self, target: str) -> list[str]:
        return ["mmdebstrap", *SMALL, *self.options, self.release, target, *sources(self.release)]

    @property
    def tag(self) -> str:
        """Its full name, which changes with what it is made from."""
        return f"{self.repository}:{self.release}-{key_of([*self._mmdebstrap('target'), *(path.read_bytes() for path in self.files)])}"

    def make(self) -> None:
        """Make it unless it is there."""
        if subprocess.call(["podman", "image", "exists", self.tag]) == 0:
            return
        with step(f"{self.name} {self.release}"), tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
            tar = f"{scratch}/root.tar"
            run(self._mmdebstrap(tar))
            run(["podman", "import", "--change", 'CMD ["/sbin/init"]', tar, self.tag])


def _host(release: str) -> Image:
    options = (
        f"--include={INCLUDE}",
        "--skip=cleanup/apt",
        '--customize-hook=chroot "$1" apt-get clean',
        f'--customize-hook=chroot "$1" apt-get install --download-only --yes --no-install-recommends {" ".join(FETCHED[release])}',
        f"--customize-hook=upload {ROOT_SHARED} /etc/systemd/system/{ROOT_SHARED.name}",
        f'--customize-hook=chroot "$1" systemctl enable {ROOT_SHARED.name}',
        f'--customize-hook=chroot "$1" systemctl mask {" ".join(MASKED)}',
    )
    return Image("holdfast-host", release, options, (ROOT_SHARED,))


HOSTS = {release: _host(release) for release in RELEASES}

# Debian 13's, since the emulator of Debian 12 crashes the kernel of 13 on two processors.
EMULATOR = Image("holdfast-emulator", "trixie", ("--include=qemu-system-x86",))


def prune() -> None:
    """Remove the images that no test of this checkout would use."""
    current = [*HOSTS.values(), EMULATOR]
    stale: set[str] = set()
    for name in {image.repository for image in current}:
        stale |= set(run(["podman", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={name}"]).split())
    stale -= {image.tag for image in current}
    if stale:
        run(["podman", "image", "rm", *stale])
