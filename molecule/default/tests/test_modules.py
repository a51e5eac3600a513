"""The modules by themselves, in ad-hoc tasks on a host that has restic and nothing of Holdfast."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshot
from tests.integration.controller import module
from tests.integration.machine import Machine

HOST = "spare"
PLACE = {"repository": "/srv/alone", "password_file": "/root/alone.password"}
SNAPSHOT = Path(snapshot.__file__).read_text()


@pytest.fixture(scope="module", autouse=True)
def _only_restic(spare: Machine) -> None:
    spare.sh("DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends restic")
    spare.sh("mkdir -p /srv/data/below && echo one > /srv/data/one && echo two > /srv/data/below/two")
    assert not spare.exists("/usr/local/bin/holdfast")


def files(spare: Machine) -> dict[str, str]:
    return dict(json.loads(spare.python(SNAPSHOT, "/srv", "/etc", "/root", "/var/lib/holdfast")))


def repository(*arguments: str, **parameters: Any) -> dict[str, Any]:
    return module("restic_repository", HOST, {**PLACE, "name": "alone", **parameters}, *arguments)


def backup(*arguments: str, **parameters: Any) -> dict[str, Any]:
    return module("restic_backup", HOST, {**PLACE, "paths": ["/srv/data"], "host": "h", "tags": ["t"], **parameters}, *arguments)


def forget(*arguments: str, **parameters: Any) -> dict[str, Any]:
    return module("restic_forget", HOST, {**PLACE, "host": "h", "tag": "t", "retention": {"keep_last": 1}, **parameters}, *arguments)


def restore(*arguments: str, **parameters: Any) -> dict[str, Any]:
    return module("restic_restore", HOST, {**PLACE, "host": "h", "tag": "t", "target": "/srv/back", **parameters}, *arguments)


def snapshots() -> list[dict[str, Any]]:
    return list(module("restic_snapshot_info", HOST, {**PLACE, "host": "h", "tag": "t"})["snapshots"])


def test_repository_is_made_once_and_check_mode_foretells_it(spare: Machine) -> None:
    before = files(spare)
    foretold = repository("--check", password="first")
    assert (foretold["status"], foretold["initialized"] or foretold["steps"]) == ("CHANGED", foretold["steps"])
    assert files(spare) == before
    made = repository(password="first")
    assert (made["status"], made["initialized"]) == ("CHANGED", True)
    assert spare.sh("stat --format=%a /root/alone.password") == "400\n"
    again = repository(password="first")
    assert (again["status"], again["changed"], again["id"]) == ("SUCCESS", False, made["id"])
    assert [key["current"] for key in again["keys"]] == [True]


def test_changed_password_is_rotated(spare: Machine) -> None:
    key = repository(password="first")["keys"][0]["id"]
    before = files(spare)
    foretold = repository("--check", password="second")
    assert foretold["status"] == "CHANGED"
    assert files(spare) == before
    assert repository(password="second")["status"] == "CHANGED"
    after = repository(password="second")
    assert (after["status"], len(after["keys"])) == ("SUCCESS", 1)
    assert after["keys"][0]["id"] != key
    assert spare.read("/root/alone.password") == "second"


def test_backup_makes_one_snapshot_and_check_mode_none(spare: Machine) -> None:
    assert backup("--check")["status"] == "CHANGED"
    assert snapshots() == []
    made = backup()
    assert (made["status"], made["result"], made["unreadable"]) == ("CHANGED", "complete", [])
    assert made["summary"]["files_new"] == 2
    (found,) = snapshots()
    assert (found["id"], found["host"], found["tags"], found["paths"]) == (made["snapshot_id"], "h", ["t"], ["/srv/data"])


def test_partial_backup_is_a_failed_task(spare: Machine) -> None:
    spare.sh("touch /srv/data/closed && mount --bind /proc/1/mem /srv/data/closed && echo > /srv/data/open")
    try:
        failed = backup()
    finally:
        spare.sh("umount /srv/data/closed; rm /srv/data/closed /srv/data/open")
    assert (failed["status"], failed["result"]) == ("FAILED", "partial")
    assert "/srv/data/closed" in failed["unreadable"][0]
    assert failed["snapshot_id"] == snapshots()[-1]["id"]


def test_missing_path_is_a_failed_task(spare: Machine) -> None:
    failed = backup(paths=["/srv/data", "/srv/not-there"])
    assert failed["status"] == "FAILED"
    assert "/srv/not-there" in failed["msg"]


def test_restore_gives_the_files_back_and_refuses_to_write_over(spare: Machine) -> None:
    assert backup()["status"] == "CHANGED"
    before = files(spare)
    foretold = restore("--check")
    assert foretold["status"] == "CHANGED"
    assert {"/srv/back/srv/data/one", "/srv/data/one"} & {change["path"] for change in foretold["changes"]}
    assert files(spare) == before
    done = restore()
    assert done["status"] == "CHANGED"
    assert done["checked"] >= 3
    assert spare.sh("diff -r /srv/data /srv/back/srv/data") == ""
    for refused in (restore(), restore("--check")):
        assert (refused["status"], refused["exit_status"]) == ("FAILED", 2)
    again = restore(overwrite=True)
    assert (again["status"], again["changes"]) == ("SUCCESS", [])
    spare.write("/srv/back/srv/data/one", "damaged")
    mended = restore(overwrite=True)
    assert mended["status"] == "CHANGED"
    assert any(change["path"].endswith("/srv/data/one") for change in mended["changes"])
    assert spare.sh("diff -r /srv/data /srv/back/srv/data") == ""


def test_forget_foretells_what_goes_and_then_removes_just_that(spare: Machine) -> None:
    for number in range(2):
        spare.write("/srv/data/one", f"{number} {time.time()}")
        assert backup()["status"] == "CHANGED"
    everything = [found["id"] for found in snapshots()]
    foretold = forget("--check", prune=True)
    assert (foretold["status"], set(foretold["removed"]), foretold["kept"]) == ("CHANGED", set(everything[:-1]), everything[-1:])
    assert [found["id"] for found in snapshots()] == everything
    done = forget(prune=True)
    assert (done["status"], set(done["removed"]), done["pruned"]) == ("CHANGED", set(everything[:-1]), True)
    assert [found["id"] for found in snapshots()] == everything[-1:]
    again = forget(prune=True)
    assert (again["status"], again["removed"]) == ("SUCCESS", [])


def test_forget_that_would_keep_nothing_is_refused(spare: Machine) -> None:
    assert forget(retention={"keep_last": 0})["status"] == "FAILED"
    assert forget(retention={"keep_lats": 1})["status"] == "FAILED"
    assert len(snapshots()) == 1


def test_lost_repository_is_not_made_anew_without_force(spare: Machine) -> None:
    spare.sh("mv /srv/alone /srv/away")
    failed = repository(password="second")
    assert (failed["status"], failed["error"]) == ("FAILED", "RepositoryMismatch")
    assert not spare.exists("/srv/alone")
    spare.sh("mv /srv/away /srv/alone")


def test_repository_is_deleted_only_with_force_and_only_itself(spare: Machine) -> None:
    assert repository(state="absent")["status"] == "FAILED"
    spare.write("/srv/alone/mine", "mine")
    refused = repository(state="absent", force=True)
    assert refused["status"] == "FAILED"
    assert "mine" in refused["msg"]
    spare.sh("rm /srv/alone/mine")
    assert repository("--check", state="absent", force=True)["status"] == "CHANGED"
    assert spare.exists("/srv/alone/config")
    assert repository(state="absent", force=True)["status"] == "CHANGED"
    assert not spare.exists("/srv/alone")
    assert repository(state="absent", force=True)["status"] == "SUCCESS"


def test_credentials_in_a_url_are_refused_and_not_shown(spare: Machine) -> None:
    failed = repository(repository="rest:https://user:hunter2@backup.example/")
    assert failed["status"] == "FAILED"
    assert "hunter2" not in failed["msg"]


def test_unreachable_repository_fails_within_a_minute(spare: Machine) -> None:
    began = time.monotonic()
    failed = repository(repository="rest:http://127.0.0.1:18199/", password="x")
    assert failed["status"] == "FAILED"
    assert "cannot be reached" in failed["msg"]
    assert time.monotonic() - began < 60
