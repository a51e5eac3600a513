"""Images of disposable test hosts: a minimal Debian with systemd as its first process."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.setup.cache import BUILDS, key_of, run, step
from tests.setup.debian import sources

REPOSITORY = "localhost/holdfast-host"
RELEASES = ("trixie", "bookworm")

# What every Debian host has and a minimal one lacks, then what tests use on a host.
INCLUDE = "systemd,systemd-sysv,dbus,python3,python3-apt,ca-certificates,procps,iproute2,cron,sudo,acl,attr,sqlite3"

# What the roles install: only fetched, so that installing it in a test is real and takes no network.
EVERYWHERE = ["bash-completion", "python3-argcomplete", "python3-prometheus-client", "python3-yaml", "zstd"]
FETCHED = {"bookworm": EVERYWHERE, "trixie": [*EVERYWHERE, "restic"]}

# These take apt's lock at a moment of their own, or have nothing to do in a container.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"]

ROOT_SHARED = Path(__file__).parent / "host/root-shared.service"


def _mmdebstrap(release: str, unit: str, target: str) -> list[str]:
    """Return the command that writes a release's root file system to a file, with a unit of ours in it."""
    options = "--yes --no-install-recommends"
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={INCLUDE}",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--skip=cleanup/apt",
        '--customize-hook=chroot "$1" apt-get clean',
        f'--customize-hook=chroot "$1" apt-get install --download-only {options} {" ".join(FETCHED[release])}',
        f'--customize-hook=upload "{unit}" /etc/systemd/system/{ROOT_SHARED.name}',
        f'--customize-hook=chroot "$1" systemctl enable {ROOT_SHARED.name}',
        f'--customize-hook=chroot "$1" systemctl mask {" ".join(MASKED)}',
        release,
        target,
        *sources(release),
    ]


def tag(release: str) -> str:
    """Return the name of a release's image."""
    inputs: list[str | bytes] = [*_mmdebstrap(release, "unit", "target"), ROOT_SHARED.read_bytes()]
    return f"{REPOSITORY}:{release}-{key_of(inputs)}"


def _exists(image: str) -> bool:
    return subprocess.call(["podman", "image", "exists", image]) == 0


def image(release: str) -> None:
    """Make the image of a release unless it is there."""
    if _exists(tag(release)):
        return
    with step(f"image {release}"), tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
        tar = f"{scratch}/root.tar"
        run(_mmdebstrap(release, str(ROOT_SHARED), tar))
        run(["podman", "import", "--change", 'CMD ["/sbin/init"]', tar, tag(release)])


def prune() -> None:
    """Remove the images that no test of this checkout would use."""
    current = {tag(release) for release in RELEASES}
    listed = run(["podman", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={REPOSITORY}"])
    stale = set(listed.split()) - current
    if stale:
        run(["podman", "image", "rm", *stale])
