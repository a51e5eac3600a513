"""Everything below some directories in one document, to be compared with a later one: runs on a host, `snapshot.py DIRECTORY...`."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys


def describe(directories: list[str]) -> dict[str, str]:
    """Return what stands at each path: its kind, owner, mode and content, and when it was changed."""
    found = {}
    for directory in directories:
        for place, below, files in os.walk(directory):
            for name in [*below, *files, "."]:
                path = os.path.normpath(os.path.join(place, name))
                status = os.lstat(path)
                text = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
                if stat.S_ISREG(status.st_mode):
                    with open(path, "rb") as stream:
                        text += f" {status.st_mtime_ns} {hashlib.sha256(stream.read()).hexdigest()}"
                elif stat.S_ISLNK(status.st_mode):
                    text += f" -> {os.readlink(path)}"
                found[path] = text
    return found


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1:])))
