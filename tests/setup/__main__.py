"""Prepare what the tests need, each thing only when it is absent: `python3 -m tests.setup WHAT...`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.setup import cache, debian, images, machine, python


def _prune() -> None:
    cache.prune()
    images.prune()


WORK: dict[str, list[Callable[[], object]]] = {
    "python": [python.venv],
    "tools": [debian.tools],
    "images": [image.make for image in images.HOSTS.values()],
    "zfs": [images.EMULATOR.make, machine.disk],
    "prune": [_prune],
}


def main() -> int:
    """Do what is named, side by side where it can be."""
    parser = ArgumentParser(prog="python3 -m tests.setup", description=__doc__)
    parser.add_argument("what", nargs="+", choices=[*WORK])
    names = parser.parse_args().what
    try:
        with cache.locked():
            debian.packages()
            with ThreadPoolExecutor() as pool:
                for future in [pool.submit(work) for name in names for work in WORK[name]]:
                    future.result()
    except cache.SetupError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
