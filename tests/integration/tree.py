"""A tree with everything that a backup may get wrong, and all that can be told of a tree: runs on a host, `tree.py make|describe ROOT`."""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
import subprocess
import sys

MOMENT = 1_700_000_000_123_456_789
NAMES = [
    b"with space",
    b"new\nline",
    b"caf\xe9 is Latin-1",
    b"-leading-dash",
    b"--target=",
    "gr\u00fc\u00dfe".encode(),
    b"quotes ' and \"",
    b"pattern *?[a-z]",
    b"back\\slash",
    b"$HOME `id`",
    b"%percent%",
    b"x" * 255,
    b".hidden",
    b"empty",
]
# struct vfs_cap_data, revision 2: cap_net_bind_service, effective and permitted.
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def make(root: bytes) -> None:
    """Make the tree at a path where there is nothing."""
    generator = random.Random(4711)
    os.makedirs(root)

    def file(name: bytes, content: bytes = b"", mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> bytes:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
        os.chown(path, *owner)
        os.chmod(path, mode)
        return path

    def directory(name: bytes, mode: int, owner: tuple[int, int] = (0, 0)) -> bytes:
        path = os.path.join(root, name)
        os.makedirs(path)
        os.chown(path, *owner)
        os.chmod(path, mode)
        return path

    for name in NAMES:
        file(b"names/" + name, b"" if name == b"empty" else name)
        directory(b"directories/" + name, 0o755)
    file(b"modes/setuid", mode=0o4755)
    file(b"modes/setgid", mode=0o2755)
    file(b"modes/for root alone", b"top secret", 0o600)
    file(b"modes/for nobody", b"not even root", 0o000)
    directory(b"modes/sticky", 0o1777)
    directory(b"modes/setgid directory", 0o2775, (0, 4321))
    directory(b"modes/closed", 0o000)
    file(b"owners/of another", b"mine", 0o640, (1234, 4321))
    file(b"owners/setuid of another", b"mine", 0o4711, (1234, 4321))
    file(b"random", generator.randbytes(5_000_000))
    first = file(b"links/first", b"one inode, three names")
    for name in (b"links/second", b"elsewhere/third"):
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        os.link(first, os.path.join(root, name))
    with open(file(b"sparse"), "r+b") as stream:
        stream.truncate(64 * 1024 * 1024)
        stream.seek(20_000_000)
        stream.write(generator.randbytes(4096))
    for name, target in ((b"relative", b"../names/.hidden"), (b"dangling", b"/does/not/exist"), (b"odd", b"caf\xe9 -> \n")):
        path = os.path.join(root, b"symlinks", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)
        os.lchown(path, 1234, 4321)
    os.mkfifo(os.path.join(root, b"fifo"), 0o640)
    os.mknod(os.path.join(root, b"device"), 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    marked = file(b"xattrs/file")
    os.setxattr(marked, b"user.comment", "gr\u00fc\u00dfe".encode())
    os.setxattr(marked, b"user.binary", bytes(range(256)))
    os.setxattr(os.path.dirname(marked), b"user.directory", b"yes")
    os.setxattr(file(b"xattrs/capable", mode=0o755), b"security.capability", CAPABILITY)
    shared = directory(b"acls", 0o750)
    listed = file(b"acls/file")
    subprocess.run([b"setfacl", b"-m", b"u:1234:rw,g:4321:r,m::rw", listed], check=True)
    subprocess.run([b"setfacl", b"-m", b"u:1234:rwx,d:u:1234:rwx,d:o::-", shared], check=True)

    for number, path in enumerate(sorted(paths(root), reverse=True)):
        os.utime(path, ns=(MOMENT, MOMENT - number * 86_400_123_456_789), follow_symlinks=False)


def paths(root: bytes) -> list[bytes]:
    """Return a tree's root and everything below it."""
    found = [root]
    for place, directories, files in os.walk(root):
        found += [os.path.join(place, name) for name in (*directories, *files)]
    return found


def describe(root: bytes) -> dict[str, dict[str, object]]:
    """Return all that can be told of everything in a tree, by the path below it."""
    inodes: dict[int, str] = {}
    found: dict[str, dict[str, object]] = {}
    for path in sorted(paths(root)):
        status = os.lstat(path)
        name = os.fsdecode(os.path.relpath(path, root))
        entry: dict[str, object] = {
            "mode": oct(status.st_mode),
            "owner": [status.st_uid, status.st_gid],
            "mtime": status.st_mtime_ns,
            "xattrs": {key: os.getxattr(path, key, follow_symlinks=False).hex() for key in os.listxattr(path, follow_symlinks=False)},
        }
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as stream:
                content = stream.read()
            entry["sha256"] = hashlib.sha256(content).hexdigest()
            entry["size"] = status.st_size
            entry["sparse"] = status.st_blocks * 512 < status.st_size // 2
            entry["same as"] = inodes.setdefault(status.st_ino, name)
        elif stat.S_ISLNK(status.st_mode):
            entry["target"] = os.fsdecode(os.readlink(path))
        elif stat.S_ISCHR(status.st_mode):
            entry["device"] = status.st_rdev
        found[name] = entry
    return found


def main() -> None:
    """Do what the arguments say."""
    verb, root = sys.argv[1], os.fsencode(sys.argv[2])
    if verb == "make":
        make(root)
    else:
        print(json.dumps(describe(root)))


if __name__ == "__main__":
    main()
