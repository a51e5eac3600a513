"""What comes from Debian: packages of this machine, and programs unpacked out of Debian 13's packages."""

from __future__ import annotations

import bz2
import os
import shutil
import tempfile
from pathlib import Path

from tests.setup.cache import BUILDS, piece, run, step

MIRROR = "http://deb.debian.org"

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# The first keyrings of bookworm did not have this key, without which trixie's archive cannot be checked.
TRIXIE_KEY = "/usr/share/keyrings/debian-archive-trixie-stable.gpg"
COMMANDS = {"git": "git", "mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "podman": "podman", "runc": "runc", "ssh": "openssh-client"}
# mmdebstrap's options for a system that nobody reads manuals on.
SMALL = [
    "--variant=minbase",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
]
TOOLS = ("promtool", "restic", "restic-rest-server")


def install(packages: list[str]) -> None:
    """Install packages on this machine."""
    with step("apt-get install"):
        run(["apt-get", "update"])
        run(
            ["apt-get", "install", "--yes", "--no-install-recommends", *packages],
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )


def packages() -> None:
    """Install the packages that this machine lacks."""
    missing = [package for command, package in COMMANDS.items() if not shutil.which(command)]
    if not os.path.exists(TRIXIE_KEY):
        missing.append("debian-archive-keyring")
    if missing:
        install(missing)


def sources(release: str, components: str = "main") -> list[str]:
    """Return the apt sources of a release."""
    suites = (("debian", release), ("debian", f"{release}-updates"), ("debian-security", f"{release}-security"))
    return [f"deb [signed-by={KEYRING}] {MIRROR}/{archive} {suite} {components}" for archive, suite in suites]


def tools() -> Path:
    """Unpack Debian 13's restic, rest-server and promtool, which run on Debian 12 too."""

    def build(directory: Path) -> None:
        with tempfile.TemporaryDirectory(dir=BUILDS) as root:
            run([*mmdebstrap, root, *sources("trixie")])
            (directory / "bin").mkdir()
            for tool in TOOLS:
                shutil.copy2(Path(root, "usr/bin", tool), directory / "bin")
        # As upstream publishes it, for hosts whose own restic is too old.
        (directory / "restic.bz2").write_bytes(bz2.compress((directory / "bin/restic").read_bytes()))

    mmdebstrap = ["mmdebstrap", "--variant=extract", f"--include={','.join(TOOLS)}", "trixie"]
    return piece("tools", mmdebstrap, build)
