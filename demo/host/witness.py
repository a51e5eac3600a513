#!/usr/bin/python3
"""Records everything that can be seen of a tree, and compares a tree with such a record.

witness.py record TREE FILE     write the record
witness.py compare TREE FILE    exit 1 where anything differs
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections import Counter
from typing import Any

KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "pipe", stat.S_IFCHR: "device",
    stat.S_IFBLK: "device", stat.S_IFSOCK: "socket",
}  # fmt: skip
SHOWN = 8
# restic cuts a run of zeros every 512 KiB, and a restored file is dense between such a cut and its data.
HOLE_SLACK = 1024**2

Entry = dict[str, Any]


def walk(root: bytes) -> list[bytes]:
    """Every path of a tree, itself first, in a fixed order; none where there is no tree."""
    if not os.path.lexists(root):
        return []
    found = [root]
    for directory, directories, files in os.walk(root, onerror=raise_it):
        directories.sort()
        found += [os.path.join(directory, name) for name in sorted([*directories, *files])]
    return found


def raise_it(error: OSError) -> None:
    """A directory that cannot be read is no empty one."""
    raise error


def record(tree: str) -> dict[str, Entry]:
    """What every path of a tree is, by its name below the tree."""
    root = os.fsencode(tree)
    first_name: dict[tuple[int, int], str] = {}
    found = {}
    for path in walk(root):
        name = os.path.relpath(path, root).decode("utf-8", "surrogateescape")
        found[name] = entry(path, name, first_name)
    return found


def entry(path: bytes, name: str, first_name: dict[tuple[int, int], str]) -> Entry:
    """What one path is: all that stat, its content and its attributes say, but for the times that reading and restoring change."""
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    found: Entry = {
        "kind": kind,
        "owner": f"{status.st_uid}:{status.st_gid}",
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "modified": status.st_mtime_ns,
        "attributes": {key: os.getxattr(path, key, follow_symlinks=False).hex() for key in os.listxattr(path, follow_symlinks=False)},
    }
    if kind == "file":
        found |= {"size": status.st_size, "sha256": digest(path), "on disk": status.st_blocks * 512, "links": status.st_nlink}
    if kind == "symbolic link":
        found["target"] = os.readlink(path).decode("utf-8", "surrogateescape")
    if kind == "device":
        found["device"] = status.st_rdev
    if kind != "directory" and status.st_nlink > 1:
        found["same file as"] = first_name.setdefault((status.st_dev, status.st_ino), name)
    return found


def digest(path: bytes) -> str:
    """The SHA-256 of a file's content."""
    found = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def is_sparse(found: Entry) -> bool:
    """Whether a file takes less room than it is long."""
    return "size" in found and bool(found["on disk"] < found["size"])


def difference(before: Entry | None, after: Entry | None) -> str | None:
    """How a path differs, in words."""
    if before is None or after is None:
        return "is new" if after else "is missing"
    keys = [key for key in {**before, **after} if key != "on disk" and before.get(key) != after.get(key)]
    if is_sparse(before) and after.get("on disk", 0) > before["on disk"] + HOLE_SLACK:
        keys.append("holes")
    return f"differs in {', '.join(keys)}" if keys else None


def compare(before: dict[str, Entry], after: dict[str, Entry]) -> list[str]:
    """Every path that differs, with how."""
    found = ((name, difference(before.get(name), after.get(name))) for name in {**before, **after})
    return [f"{name!a} {text}" for name, text in found if text]


def summary(found: dict[str, Entry], after: dict[str, Entry]) -> str:
    """What was compared, in figures."""
    kinds = Counter(entry["kind"] for entry in found.values())
    files = [entry for entry in found.values() if entry["kind"] == "file"]
    attributes = [key for entry in found.values() for key in entry["attributes"]]
    sparse = [name for name, entry in found.items() if is_sparse(entry)]
    groups = {entry["same file as"] for entry in found.values() if "same file as" in entry}
    lists = sum(key.startswith("system.posix_acl") for key in attributes)
    lines = [
        f"compared {len(found)} paths by name, kind, owner, mode and time to the nanosecond: "
        + ", ".join(f"{count} {plural(kind, count)}" for kind, count in kinds.most_common()),
        f"contents of {len(files)} files, {size(sum(entry['size'] for entry in files))}, by SHA-256",
        f"{len(attributes)} extended attributes, {lists} of them access control lists",
    ]
    if groups:
        lines.append(f"{len(groups)} files with several hard links")
    if sparse:
        lines.append(
            f"{len(sparse)} sparse files, {size(sum(found[name]['size'] for name in sparse))} long: "
            f"{size(sum(found[name]['on disk'] for name in sparse))} on the disk before, "
            f"{size(sum(after.get(name, {}).get('on disk', 0) for name in sparse))} now"
        )
    return "\n".join(lines)


def plural(kind: str, count: int) -> str:
    """A word for one or several."""
    if count == 1:
        return kind
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def size(count: int) -> str:
    """A size for people."""
    return f"{count / 1024**2:.1f} MiB" if count >= 1024**2 else f"{count / 1024:.0f} KiB"


def main() -> int:
    """Do what the command line says."""
    verb, tree, file = sys.argv[1:]
    after = record(tree)
    if verb == "record":
        with open(file, "w", encoding="ascii") as output:
            json.dump(after, output)
        print(f"{len(after)} paths below {tree} recorded")
        return 0
    with open(file, encoding="ascii") as source:
        before = json.load(source)
    differences = compare(before, after)
    for line in differences[:SHOWN]:
        print(line)
    if len(differences) > SHOWN:
        print(f"and {len(differences) - SHOWN} more")
    print(summary(before, after))
    print(f"{len(differences)} of {len({**before, **after})} paths differ" if differences else "no difference")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
