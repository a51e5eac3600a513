"""Makes users and data of the demo's services: a web site, an archive of everything that backup programs get wrong, recordings."""

from __future__ import annotations

import grp
import os
import pwd
import random
import shutil
import stat
import subprocess
from pathlib import Path

RANDOM = random.Random("holdfast")
MIB = 1024**2
NANOSECOND = 1_000_000_000

SITE = Path("/srv/website")
ARCHIVE = Path("/srv/archive")
CAMERA = Path("/srv/camera")

ODD_NAMES = [
    b"two  spaces ",
    b"line\nbreak",
    b"tab\tand \x07 bell",
    b"latin-1 caf\xe9",
    b"no text \xff\xfe\x80",
    "composed \u00e9, decomposed e\u0301".encode(),
    "日本語 🗄".encode(),
    b"-rf",
    b"*?[a-z]{b}",
    b"back\\slash",
    b"'quotes\" $HOME `id`",
    b"n" * 255,
]


def write(path: Path | bytes, content: bytes, mode: int = 0o640, owner: tuple[int, int] = (0, 0)) -> None:
    """Write a file with a mode, an owner and a time to the nanosecond somewhere in the past years."""
    with open(path, "xb") as file:
        file.write(content)
    os.chown(path, *owner)
    os.chmod(path, mode)
    set_time(path)


def set_time(path: Path | bytes, seconds: int | None = None) -> None:
    """Give a path a time of modification."""
    moment = (seconds if seconds is not None else RANDOM.randrange(1_000_000_000, 1_700_000_000)) * NANOSECOND
    os.utime(path, ns=(moment, moment + RANDOM.randrange(NANOSECOND)), follow_symlinks=False)


def setfacl(*arguments: str) -> None:
    """Set access control lists."""
    subprocess.run(["setfacl", *arguments], check=True)


def website() -> None:
    """Three releases of a few hundred small files, and a link to the current one."""
    owner = (pwd.getpwnam("deploy").pw_uid, grp.getgrnam("www-data").gr_gid)
    for release in ("2026-09-01", "2026-10-14", "2026-11-20"):
        for section in ("", "assets", "blog", "blog/2025", "blog/2026"):
            directory = SITE / "releases" / release / section
            directory.mkdir(parents=True)
            for number in range(40):
                text = f"<!doctype html>\n<title>{section} {number}</title>\n".encode()
                name = "index.html" if number == 0 else f"{number:02}.html"
                write(directory / name, text + RANDOM.randbytes(RANDOM.randrange(20_000)), owner=owner)
    (SITE / "current").symlink_to("releases/2026-11-20")
    for directory in [SITE, *(path for path in SITE.rglob("*") if path.is_dir() and not path.is_symlink())]:
        os.chown(directory, *owner)
        directory.chmod(0o2750)
    setfacl("--recursive", "--modify", "user:deploy:rwX,default:user:deploy:rwX", str(SITE / "releases/2026-11-20/blog"))


def archive() -> None:
    """What a backup has to give back, and many do not."""
    ARCHIVE.mkdir(mode=0o750)
    for part in (odd_names, links, holes, attributes, modes_and_owners, old_and_new, special_files):
        directory = ARCHIVE / part.__name__.replace("_", " ")
        directory.mkdir()
        part(directory)
        set_time(directory)
    set_time(ARCHIVE)


def odd_names(directory: Path) -> None:
    """Names with every byte that a name may have."""
    for name in ODD_NAMES:
        write(os.path.join(os.fsencode(directory), name), b"the file called " + name)
    deep = os.path.join(os.fsencode(directory), *[b"deep " + b"d" * 200] * 12)
    os.makedirs(deep)
    write(os.path.join(deep, b"at the bottom"), b"found")


def links(directory: Path) -> None:
    """Hard links within and across directories; symbolic links, also to nowhere."""
    (directory / "other").mkdir()
    write(directory / "one", RANDOM.randbytes(300_000))
    for name in ("two", "other/three"):
        os.link(directory / "one", directory / name)
    write(directory / "empty one", b"")
    os.link(directory / "empty one", directory / "other/empty two")
    for name, target in (("relative", "other/three"), ("absolute", "/etc/hostname"), ("nowhere", "no such file"), ("loop", "loop")):
        (directory / name).symlink_to(target)
        set_time(directory / name)


def holes(directory: Path) -> None:
    """Sparse files: data in the middle, at the end, nowhere."""
    for name, size, data in (("disk.img", 256 * MIB, 100 * MIB), ("database", 64 * MIB, 64 * MIB - 4096), ("nothing", 32 * MIB, None)):
        with open(directory / name, "xb") as file:
            file.truncate(size)
            if data is not None:
                file.seek(data)
                file.write(RANDOM.randbytes(4096))
        set_time(directory / name)


def attributes(directory: Path) -> None:
    """Extended attributes, access control lists, default lists, a capability."""
    for number in range(8):
        path = directory / f"labelled {number}"
        write(path, RANDOM.randbytes(2000))
        os.setxattr(path, "user.origin", f"scanner {number}".encode())
        os.setxattr(path, "user.checksum", RANDOM.randbytes(64))
    os.setxattr(directory, "user.shelf", b"7b")
    for number in range(4):
        path = directory / f"shared {number}"
        write(path, RANDOM.randbytes(2000))
        setfacl("--modify", "user:deploy:r,user:54321:rw,group:www-data:-,mask::rw", str(path))
    (directory / "inherits").mkdir()
    setfacl("--modify", "user:deploy:rwx,default:user:deploy:rwx,default:group:www-data:rx", str(directory / "inherits"))
    write(directory / "capable", b"#!/bin/true\n", mode=0o755)
    # setcap cap_net_bind_service+ep, as the kernel keeps it (linux/capability.h, vfs_cap_data of version 2).
    os.setxattr(directory / "capable", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))


def modes_and_owners(directory: Path) -> None:
    """Every kind of permission bit, and owners that have no name here."""
    for mode in (0o000, 0o400, 0o222, 0o777, 0o4755, 0o2755, 0o6711, 0o1644):
        write(directory / f"mode {mode:04o}", b"x", mode=mode)
    for owner in ((54321, 54321), (65534, 0), (0, 4_000_000)):
        write(directory / f"owner {owner[0]} {owner[1]}", b"x", owner=owner)
    for mode in (0o1777, 0o2770, 0o000):
        (directory / f"directory {mode:04o}").mkdir()
        (directory / f"directory {mode:04o}").chmod(mode)


def old_and_new(directory: Path) -> None:
    """Times before 1970 and after 2038."""
    for name, seconds in (("1969", -1_000_000), ("1970", 0), ("2038", 2**31), ("2100", 4_102_444_800)):
        write(directory / name, b"x")
        set_time(directory / name, seconds)


def special_files(directory: Path) -> None:
    """A pipe and a device."""
    os.mkfifo(directory / "pipe", 0o620)
    os.mknod(directory / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (directory / "empty directory").mkdir()


def camera() -> None:
    """Recordings that no compression makes smaller."""
    CAMERA.mkdir(mode=0o750)
    for day in (18, 19, 20):
        write(CAMERA / f"2026-11-{day}.raw", RANDOM.randbytes(40 * MIB))
    write(CAMERA / "now.raw", b"")
    for path in [CAMERA, *CAMERA.iterdir()]:
        shutil.chown(path, "camera", "camera")


def users() -> None:
    """The users that the services run as, and one who works on the web site."""
    for name in ("ledger", "camera", "deploy"):
        subprocess.run(["useradd", "--system", "--shell", "/usr/sbin/nologin", name], check=True)


if __name__ == "__main__":
    users()
    website()
    archive()
    camera()
