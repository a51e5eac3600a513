"""The Python environment of the tests, and the Ansible collections that only they use."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.setup import debian
from tests.setup.cache import BUILDS, ROOT, piece, run

HERE = Path(__file__).resolve().parent.parent
VENV = ROOT / "venv"

# PyPI's `ansible` bundles the collections of Galaxy; only these folders of it are unpacked.
ANSIBLE = "ansible==12.3.0"
COLLECTIONS = ("containers/podman",)


def interpreter() -> str:
    """Return a Python that ansible-core accepts and that can make environments: this one, or Debian's."""
    if sys.version_info >= (3, 11) and importlib.util.find_spec("ensurepip"):
        # The interpreter itself, should this one run in an environment.
        return f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if subprocess.call(["/usr/bin/python3", "-c", "import ensurepip"], stderr=subprocess.DEVNULL):
        debian.install(["python3-venv"])
    return "/usr/bin/python3"


def venv() -> Path:
    """Make the environment of requirements.txt."""

    def build(directory: Path) -> None:
        run([python, "-m", "venv", str(directory)])
        run([str(directory / "bin/pip"), "install", f"--requirement={requirements}", f"--constraint={constraints}"])

    python = interpreter()
    requirements, constraints = HERE / "requirements.txt", HERE / "constraints.txt"
    version = run([python, "-c", "import sys; print(sys.version, sys.prefix)"])
    return piece("venv", [version, requirements.read_bytes(), constraints.read_bytes()], build)


def collections() -> Path:
    """Unpack the collections that tests use."""

    def build(directory: Path) -> None:
        with tempfile.TemporaryDirectory(dir=BUILDS) as download:
            run([str(VENV / "bin/pip"), "download", "--no-deps", "--only-binary=:all:", "--dest", download, ANSIBLE])
            (wheel,) = Path(download).iterdir()
            with zipfile.ZipFile(wheel) as archive:
                wanted = tuple(f"ansible_collections/{collection}/" for collection in COLLECTIONS)
                archive.extractall(directory, [name for name in archive.namelist() if name.startswith(wanted)])

    return piece("collections", [ANSIBLE, *COLLECTIONS], build)
