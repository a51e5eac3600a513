"""Run `ansible-test sanity` on a copy of the tree: it wants a real path .../ansible_collections/holdfast/backup."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]

# ansible-test 2.19 wants this file for its own environments and would fetch it from a place that is not PyPI.
GET_PIP = Path.home() / ".ansible/test/cache/get_pip_24_2.py"
GET_PIP_TEXT = """\
import subprocess, sys
packages = [word for word in sys.argv[1:] if "==" in word]
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *packages])
"""


def shipped(name: str) -> bool:
    """Whether a file goes into the artefact, by the plain names of galaxy.yml's build_ignore; the rest is for ruff and mypy."""
    ignored = re.findall(r"^  - ([\w./-]+)$", (HERE / "galaxy.yml").read_text(encoding="utf-8"), re.MULTILINE)
    return name.startswith("tests/sanity/") or not any(name == entry or name.startswith(f"{entry}/") for entry in ignored)


def copy_tree(copy: Path) -> None:
    """Copy what a released collection holds; no link to a directory is among it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HERE,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = HERE / name, copy / name
        if source.is_file() and shipped(name):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def main() -> int:
    """Run every sanity test that applies to this Python; arguments go to ansible-test."""
    if not GET_PIP.exists():
        GET_PIP.parent.mkdir(parents=True, exist_ok=True)
        GET_PIP.write_text(GET_PIP_TEXT)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "ansible_collections/holdfast/backup")
        copy_tree(copy)
        return subprocess.call(["ansible-test", "sanity", "--python", version, *sys.argv[1:]], cwd=copy)


if __name__ == "__main__":
    sys.exit(main())
