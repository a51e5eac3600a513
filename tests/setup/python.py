"""The Python environment of the tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.setup import debian
from tests.setup.cache import piece, run

HERE = Path(__file__).resolve().parent.parent


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
