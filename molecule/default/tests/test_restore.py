"""Giving files back: trees equal to the byte and the nanosecond, and nothing written over without a word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration import tree
from tests.integration.machine import Machine

SCRIPT = Path(tree.__file__).read_text()
LOOK = "/srv/look"


def described(machine: Machine, root: str) -> dict[str, Any]:
    return dict(json.loads(machine.python(SCRIPT, "describe", root)))


@pytest.fixture(scope="module")
def original(machine: Machine) -> dict[str, Any]:
    """All that can be told of the odd tree before any restore."""
    return described(machine, "/srv/odd")


@pytest.fixture
def look(machine: Machine) -> Iterator[str]:
    """A directory to restore into that is not there yet, and is gone afterwards."""
    machine.sh(f"rm -rf {LOOK}")
    yield LOOK
    machine.sh(f"rm -rf {LOOK}")


@pytest.fixture
def wiki(machine: Machine) -> Iterator[dict[str, Any]]:
    """A small service with a fresh backup, put back as it was afterwards."""
    assert machine.holdfast("backup", "wiki")[0] == 0
    yield described(machine, "/srv/wiki")
    status, said = machine.holdfast("restore", "wiki", "--overwrite", "--delete")
    assert status == 0, said


@pytest.mark.parametrize("repository", ["nas", "bucket", "rest", "vault"])
def test_tree_below_a_target_equals_the_original(machine: Machine, original: dict[str, Any], look: str, repository: str) -> None:
    status, said = machine.holdfast("restore", "odd", "--repository", repository, "--target", look)
    assert status == 0, said
    assert described(machine, f"{look}/srv/odd") == original


def test_destroyed_tree_comes_back_in_place(machine: Machine, original: dict[str, Any]) -> None:
    above = machine.sh("stat --format='%a %u %g' /srv")
    machine.sh("rm -rf /srv/odd")
    status, said = machine.holdfast("restore", "service-odd")
    assert status == 0, said
    assert described(machine, "/srv/odd") == original
    assert machine.sh("stat --format='%a %u %g' /srv") == above


def test_damaged_tree_is_mended_in_place(machine: Machine, original: dict[str, Any]) -> None:
    machine.sh(
        "cd /srv/odd && chmod 777 modes/setuid && chown 7:7 owners/* && echo changed > random && rm -r names links xattrs/file "
        "&& setfacl -b acls/file && setfattr -x user.directory xattrs && touch fifo"
    )
    assert described(machine, "/srv/odd") != original
    status, said = machine.holdfast("restore", "odd", "--overwrite")
    assert status == 0, said
    assert described(machine, "/srv/odd") == original


def test_restore_refuses_to_write_over_what_is_there(machine: Machine, wiki: dict[str, Any]) -> None:
    machine.write("/srv/wiki/one", "changed")
    before = described(machine, "/srv/wiki")
    status, said = machine.holdfast("restore", "wiki")
    assert status == 2
    assert "--overwrite" in said
    assert described(machine, "/srv/wiki") == before


def test_restore_refuses_a_target_that_is_not_empty(machine: Machine, look: str) -> None:
    machine.write(f"{look}/mine", "mine")
    status, said = machine.holdfast("restore", "wiki", "--target", look)
    assert status == 2
    assert look in said
    assert machine.sh(f"ls {look}") == "mine\n"


def test_dry_run_lists_the_changes_and_makes_none(machine: Machine, wiki: dict[str, Any]) -> None:
    machine.sh("echo changed > /srv/wiki/one; rm /srv/wiki/below/two; echo new > /srv/wiki/new")
    before = described(machine, "/srv/wiki")
    report = machine.json("restore", "wiki", "--dry-run", "--overwrite", "--delete")
    changes = {change["path"]: change["action"] for change in report["changes"] if change["action"] != "unchanged"}
    assert changes["/srv/wiki/one"] == "updated"
    assert changes["/srv/wiki/below/two"] == "restored"
    assert changes["/srv/wiki/new"] == "deleted"
    assert "/srv/wiki/left.tmp" not in changes
    assert described(machine, "/srv/wiki") == before


def test_new_files_stay_unless_delete_is_said(machine: Machine, wiki: dict[str, Any]) -> None:
    machine.write("/srv/wiki/new", "new")
    assert machine.holdfast("restore", "wiki", "--overwrite")[0] == 0
    assert machine.exists("/srv/wiki/new")
    assert machine.holdfast("restore", "wiki", "--overwrite", "--delete")[0] == 0
    assert described(machine, "/srv/wiki") == wiki


def test_delete_touches_nothing_beside_the_service(machine: Machine, wiki: dict[str, Any]) -> None:
    machine.write("/srv/wiki-beside/mine", "mine")
    assert machine.holdfast("restore", "wiki", "--overwrite", "--delete")[0] == 0
    assert machine.read("/srv/wiki-beside/mine") == "mine"
    assert machine.exists("/srv/odd/random")


def test_include_restores_only_that(machine: Machine, look: str) -> None:
    status, said = machine.holdfast("restore", "wiki", "--include", "/srv/wiki/below/two", "--target", look)
    assert status == 0, said
    assert machine.sh(f"cd {look} && find . -type f") == "./srv/wiki/below/two\n"


def test_time_chooses_the_newest_snapshot_before_it(machine: Machine, wiki: dict[str, Any], look: str) -> None:
    moment = datetime.now(timezone.utc).isoformat(" ")
    machine.write("/srv/wiki/one", "later")
    assert machine.holdfast("backup", "wiki")[0] == 0
    status, said = machine.holdfast("restore", "wiki", "--at", moment, "--target", look)
    assert status == 0, said
    assert machine.read(f"{look}/srv/wiki/one") == "one\n"


def test_time_before_the_first_snapshot_is_refused(machine: Machine, look: str) -> None:
    status, said = machine.holdfast("restore", "wiki", "--at", "2001-01-01 00:00", "--target", look)
    assert status == 2
    assert "2001-01-01" in said
    assert not machine.exists(look)


def test_snapshot_is_chosen_by_its_id(machine: Machine, look: str) -> None:
    first = machine.snapshots("odd", "nas")[0]["id"]
    report = machine.json("restore", "odd", "--snapshot", first[:10], "--include", "/srv/odd/names", "--target", look)
    assert report["snapshot"]["id"] == first
    assert report["checked"] > 10


def test_unknown_snapshot_and_job_are_refused(machine: Machine, look: str) -> None:
    for arguments in (["wiki", "--snapshot", "0123456789"], ["unheard-of"], ["wiki", "--repository", "bucket"]):
        status, said = machine.holdfast("restore", *arguments, "--target", look)
        assert status == 2
        assert arguments[-1] in said
    assert not machine.exists(look)


def test_job_in_several_repositories_comes_from_one_that_answers(machine: Machine, look: str) -> None:
    machine.sh("systemctl stop server-rest")
    try:
        report = machine.json("restore", "both", "--target", look)
    finally:
        machine.sh("systemctl start server-rest")
    assert report["repository"] == "nas"
    assert machine.read(f"{look}/srv/both/one") == "one\n"
