"""The view in which restic reads: nothing runs in it unless it is proved. The scenario zfs has it with ZFS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import enclosure, names

PROGRAM = "import sys; from holdfast.cli import main; sys.exit(main())"


def entered(directory: Path, layers: list[dict[str, str]]) -> subprocess.CompletedProcess[str]:
    record = directory / "run.json"
    record.write_text(json.dumps({"job": "a", "run": "r", "snapshot": "holdfast-r", "layers": layers, "guids": {}}))
    words = [names.WITHIN, str(record), "--", "echo", "the program ran"]
    search = Path(enclosure.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(search), "PATH": "/usr/bin:/bin"},
    )


def test_the_program_takes_the_place_of_the_command(tmp_path: Path) -> None:
    done = entered(tmp_path, [])
    assert (done.returncode, done.stdout) == (0, "the program ran\n")


@pytest.mark.parametrize("point", ["", "/missing"])
def test_nothing_runs_where_a_snapshot_cannot_be_mounted(tmp_path: Path, point: str) -> None:
    done = entered(tmp_path, [{"dataset": "nosuch/pool", "point": f"{tmp_path}{point}"}])
    assert (done.returncode, done.stdout) == (enclosure.EXIT_NOT_PROVED, "")
    assert done.stderr.startswith("mounting ZFS snapshots: nosuch/pool@holdfast-r: ")
