"""A virtual machine with OpenZFS in its kernel: its disk, kernel and key."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.setup import images
from tests.setup.cache import BUILDS, ROOT, piece, run
from tests.setup.debian import SMALL, sources

NAME = "zfs-machine"
PATH = ROOT / NAME
RELEASE = "trixie"

# What real hosts have and what tests use there; then all that the roles install, since installing takes minutes in the emulator.
INCLUDE = [
    "linux-image-cloud-amd64", "linux-headers-cloud-amd64", "zfs-dkms", "zfsutils-linux", "openssh-server", "systemd-sysv", "udev", "dbus",
    "python3", "python3-apt", "ca-certificates", "procps", "iproute2", "cron", "acl", "attr", "sanoid", *images.FETCHED[RELEASE],
]  # fmt: skip
ROOM = "6G"
HERE = Path(__file__).parent / "machine"


def _mmdebstrap(key: str, root: str) -> list[str]:
    """Return the command that fills a directory with the machine's root file system; who has `key` may log in as root."""
    return [
        "mmdebstrap",
        *SMALL,
        f"--include={','.join(INCLUDE)}",
        "--skip=cleanup/apt",
        f"--customize-hook=sync-in {HERE} /",
        '--customize-hook=mkdir --parents --mode=0700 "$1/root/.ssh"',
        f"--customize-hook=upload {key}.pub /root/.ssh/authorized_keys",
        f'--customize-hook=chroot "$1" systemctl mask {" ".join([*images.MASKED, "sanoid.timer", "zfs-scrub-monthly@.timer"])}',
        '--customize-hook=chroot "$1" systemctl enable systemd-networkd',
        RELEASE,
        root,
        *sources(RELEASE, "main contrib"),
    ]


def disk() -> Path:
    """Make the machine's disk, kernel and key unless they are there."""

    def build(directory: Path) -> None:
        key = f"{directory}/key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", key])
        with tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
            root = Path(scratch, "root")
            run(_mmdebstrap(key, str(root)))
            for name in ("vmlinuz", "initrd.img"):
                shutil.copy(root / name, directory / name)
            run(["truncate", f"--size={ROOM}", f"{directory}/disk"])
            run(["mkfs.ext4", "-q", "-F", "-d", str(root), f"{directory}/disk"])

    inputs: list[str | bytes] = [
        *_mmdebstrap("key", "root"),
        ROOM,
        *(path.read_bytes() for path in sorted(HERE.rglob("*")) if path.is_file()),
    ]
    return piece(NAME, inputs, build)
