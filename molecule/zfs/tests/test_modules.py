"""The modules for ZFS snapshots by themselves, in ad-hoc tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.controller import module
from tests.integration.machine import Machine, wait_for
from tests.machines import VirtualMachine

HOST = "machine"
ROOT = "tank/modules"
A, B, VOLUME = f"{ROOT}/a", f"{ROOT}/b c", f"{ROOT}/volume"
OWNER = "holdfast-test:owner"


@pytest.fixture(scope="module")
def box(virtual: VirtualMachine) -> Iterator[Machine]:
    """The machine, which needs nothing of Holdfast."""
    found = Machine(virtual.name, virtual.command)
    yield found
    found.disconnect()


@pytest.fixture(autouse=True)
def _datasets(box: Machine) -> Iterator[None]:
    box.sh(f"zfs create {ROOT} && zfs create {A} && zfs create '{B}' && zfs create {A}/deep && zfs create -s -V 8M {VOLUME}")
    box.sh(f"echo old > /{A}/file")
    yield
    box.sh(f"""
        sed -n 's,.* \\(/mnt/holdfast[^ ]*\\) .*,\\1,p' /proc/self/mountinfo | xargs --no-run-if-empty umount
        zfs list -H -o name -t snapshot -r {ROOT} | while read -r name; do
            zfs holds -H "$name" | cut -f2 | while read -r tag; do zfs release "$tag" "$name"; done
        done
        [ ! -e /mnt/holdfast ] || find /mnt/holdfast -xdev -depth -type d -exec rmdir {{}} +
    """)
    # A backup that runs has its own copies of all mounts until it ends.
    wait_for(lambda: not box.sh(f"zfs destroy -R {ROOT} || echo busy"), f"{ROOT} is gone", 60)


def zfs_snapshot(*arguments: str, **parameters: Any) -> dict[str, Any]:
    return module("zfs_snapshot", HOST, {"name": "one", **parameters}, *arguments)


def absent(*arguments: str, **parameters: Any) -> dict[str, Any]:
    return zfs_snapshot(*arguments, state="absent", **parameters)


def info(**parameters: Any) -> dict[str, Any]:
    return module("zfs_snapshot_info", HOST, parameters)


def told(result: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """What a result says of each ZFS snapshot, but for what check mode cannot know."""
    assert result["status"] != "FAILED", result["msg"]
    return {found["name"]: (found["holds"], found["properties"], found["mounted_at"]) for found in result["snapshots"]}


def everything(box: Machine) -> str:
    """All that the modules could change."""
    return box.sh(f"""
        zfs get -Hp -r -t all -o name,property,value,source type,guid,userrefs,mounted,{OWNER},test:more {ROOT}
        zfs list -H -o name -t snapshot -r {ROOT} | while read -r name; do zfs holds -H "$name"; done
        grep '@' /proc/self/mountinfo
        ls -A /mnt /mnt/holdfast 2> /dev/null || true
    """)


def names(box: Machine) -> set[str]:
    """The names of all ZFS snapshots and bookmarks there, without the datasets' common root."""
    return set(box.sh(f"zfs list -H -o name -t snapshot,bookmark -r {ROOT}").replace(f"{ROOT}", "").splitlines())


def test_many_datasets_are_taken_at_one_instant_as_check_mode_foretells(box: Machine) -> None:
    wish = {"datasets": [A, B, VOLUME], "properties": {OWNER: "two words", "test:more": 7}, "holds": ["kept", "too"]}
    before = everything(box)
    foretold = zfs_snapshot("--check", **wish)
    assert (foretold["status"], everything(box)) == ("CHANGED", before)
    made = zfs_snapshot(**wish)
    assert (made["status"], told(made)) == ("CHANGED", told(foretold))
    assert told(made) == {f"{name}@one": (["kept", "too"], {OWNER: "two words", "test:more": "7"}, []) for name in (A, B, VOLUME)}
    assert len({found["createtxg"] for found in made["snapshots"]}) == 1
    assert names(box) == {"/a@one", "/b c@one", "/volume@one"}
    assert box.sh(f"zfs get -H -o value,source {OWNER} '{B}@one'") == "two words\tlocal\n"
    assert box.sh(f"zfs holds -H '{B}@one' | cut -f2 | sort").split() == ["kept", "too"]
    before = everything(box)
    again = zfs_snapshot(**wish)
    assert (again["status"], told(again), everything(box)) == ("SUCCESS", told(made), before)


def test_recursive_takes_what_is_missing_and_keeps_what_is_there(box: Machine) -> None:
    box.sh(f"zfs snapshot {A}@one")
    guid = box.sh(f"zfs get -Hp -o value guid {A}@one").strip()
    made = zfs_snapshot(dataset=ROOT, recursive=True)
    assert names(box) == {"@one", "/a@one", "/a/deep@one", "/b c@one", "/volume@one"}
    found = {one["dataset"]: one for one in made["snapshots"]}
    assert (made["status"], found.pop(A)["guid"]) == ("CHANGED", guid)
    assert len({one["createtxg"] for one in found.values()}) == 1
    assert zfs_snapshot(dataset=ROOT, recursive=True)["status"] == "SUCCESS"


def test_what_is_there_becomes_as_it_is_wished_for(box: Machine) -> None:
    box.sh(f"zfs set {OWNER}=me {ROOT} && zfs snapshot -o {OWNER}=other -o test:more=x {A}@one && zfs snapshot '{B}@one'")
    box.sh(f"zfs hold old {A}@one")
    wish = {"datasets": [A, B], "properties": {OWNER: "me", "test:more": None}, "holds": ["new"], "release": ["old", "never"]}
    before = everything(box)
    foretold = zfs_snapshot("--check", **wish)
    assert (foretold["status"], everything(box)) == ("CHANGED", before)
    done = zfs_snapshot(**wish)
    assert (done["status"], told(done)) == ("CHANGED", told(foretold))
    assert told(done) == {f"{name}@one": (["new"], {OWNER: "me"}, []) for name in (A, B)}
    assert box.sh(f"zfs get -H -o value,source {OWNER} {A}@one '{B}@one'") == "me\tlocal\n" * 2
    assert zfs_snapshot("--check", **wish)["status"] == "SUCCESS"


def test_a_snapshot_is_mounted_and_unmounted(box: Machine) -> None:
    wish = {"dataset": A, "mounted_at": "/mnt/holdfast/a b"}
    before = everything(box)
    foretold = zfs_snapshot("--check", **wish)
    assert (foretold["status"], everything(box)) == ("CHANGED", before)
    done = zfs_snapshot(**wish)
    assert told(done) == told(foretold) == {f"{A}@one": ([], {}, ["/mnt/holdfast/a b"])}
    box.sh(f"echo new > /{A}/file")
    assert box.sh("cat '/mnt/holdfast/a b/file'; echo x 2> /dev/null > '/mnt/holdfast/a b/file' || echo read-only") == "old\nread-only\n"
    assert zfs_snapshot(**wish)["status"] == "SUCCESS"
    taken = zfs_snapshot(dataset=B, mounted_at="/mnt/holdfast/a b")
    assert (taken["status"], f"{A}@one is mounted at /mnt/holdfast/a b" in taken["msg"]) == ("FAILED", True)
    assert names(box) == {"/a@one"}
    done = zfs_snapshot(**wish, mounted=False)
    assert (done["status"], told(done)) == ("CHANGED", {f"{A}@one": ([], {}, [])})
    assert "a@one" not in box.read("/proc/self/mountinfo")
    assert zfs_snapshot(**wish, mounted=False)["status"] == "SUCCESS"


def test_a_mounted_snapshot_is_destroyed_only_where_its_place_is_named(box: Machine) -> None:
    box.sh(f"zfs snapshot {A}@one && mkdir -p /mnt/holdfast/a && mount -i -t zfs -o ro {A}@one /mnt/holdfast/a")
    assert box.sh(f"cat /{A}/.zfs/snapshot/one/file") == "old\n"
    before = everything(box)
    refused = absent("--check", dataset=A)
    assert (refused["status"], refused["error"], "/mnt/holdfast/a" in refused["msg"]) == ("FAILED", "SnapshotBusy", True)
    assert absent("--check", dataset=A, mounted_at="/mnt/holdfast/a")["status"] == "CHANGED"
    assert everything(box) == before
    assert absent(dataset=A, mounted_at="/mnt/holdfast/a")["status"] == "CHANGED"
    assert names(box) == set()


def test_nothing_is_destroyed_where_one_lacks_the_property(box: Machine) -> None:
    box.sh(f"zfs set {OWNER}=me '{B}' && zfs snapshot -o {OWNER}=me {A}@one && zfs snapshot '{B}@one'")
    box.sh(f"zfs send -p {A}@one | zfs receive -u {ROOT}/received && zfs snapshot -o {OWNER}=another {VOLUME}@one")
    before = everything(box)
    for other in (B, f"{ROOT}/received", VOLUME):
        refused = absent(datasets=[A, other], properties={OWNER: "me"})
        assert (refused["status"], refused["error"]) == ("FAILED", "Refused")
        assert (f"{other}@one" in refused["msg"], f"{A}@one" in refused["msg"], "force" in refused["msg"]) == (True, False, True)
    assert absent("--check", dataset=ROOT, recursive=True, properties={OWNER: "me"})["status"] == "FAILED"
    assert everything(box) == before
    assert absent(dataset=A, properties={OWNER: "me"})["status"] == "CHANGED"
    assert names(box) == {"/b c@one", "/received@one", "/volume@one"}
    assert absent(datasets=[B, VOLUME], properties={OWNER: "me"}, force=True)["status"] == "CHANGED"
    assert names(box) == {"/received@one"}


def test_holds_and_clones_keep_a_snapshot(box: Machine) -> None:
    box.sh(f"zfs snapshot {A}@one {VOLUME}@one && zfs hold first {A}@one && zfs hold second {A}@one")
    before = everything(box)
    refused = absent(datasets=[VOLUME, A], release=["first"])
    assert (refused["status"], refused["error"], "second" in refused["msg"]) == ("FAILED", "SnapshotBusy", True)
    assert everything(box) == before
    box.sh(f"zfs clone {VOLUME}@one {ROOT}/clone")
    before = everything(box)
    refused = absent("--check", datasets=[VOLUME, A], release=["first", "second"])
    assert (refused["status"], refused["error"], f"{ROOT}/clone" in refused["msg"]) == ("FAILED", "SnapshotBusy", True)
    assert everything(box) == before
    assert absent(dataset=A, release=["first", "second"])["status"] == "CHANGED"
    assert names(box) == {"/volume@one"}


def test_recursive_absence_takes_that_name_alone(box: Machine) -> None:
    box.sh(f"zfs snapshot -r {ROOT}@one && zfs snapshot -r {ROOT}@one-more && zfs bookmark {A}@one {A}#one && zfs destroy {ROOT}@one")
    wish = {"datasets": [A, ROOT, "tank/not-there"], "recursive": True}
    before = everything(box)
    foretold = absent("--check", **wish)
    assert (foretold["status"], foretold["snapshots"], everything(box)) == ("CHANGED", [], before)
    assert absent(**wish)["status"] == "CHANGED"
    assert names(box) == {"@one-more", "/a@one-more", "/a/deep@one-more", "/b c@one-more", "/volume@one-more", "/a#one"}
    assert len(box.sh(f"zfs list -H -o name -t filesystem,volume -r {ROOT}").splitlines()) == 5
    before = everything(box)
    again = absent(**wish)
    assert (again["status"], again["snapshots"], everything(box)) == ("SUCCESS", [], before)


@pytest.mark.parametrize(
    ("parameters", "option"),
    [
        ({"datasets": [A, f"{ROOT}/not-there"]}, "datasets"),
        ({"datasets": [A, "-r"]}, "datasets"),
        ({"dataset": A, "name": "one,more"}, "name"),
        ({"dataset": VOLUME, "mounted_at": "/mnt/holdfast"}, "mounted_at"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changed(box: Machine, parameters: dict[str, Any], option: str) -> None:
    before = everything(box)
    refused = zfs_snapshot("--check" if option == "mounted_at" else "--diff", **parameters)
    assert (refused["status"], refused["msg"].partition(":")[0]) == ("FAILED", option)
    assert everything(box) == before


def test_snapshots_are_listed(box: Machine) -> None:
    box.sh(f"zfs set {OWNER}=me {ROOT} && zfs snapshot -o {OWNER}=me -o test:more=x {A}@one && zfs snapshot '{B}@two' {A}/deep@one")
    box.sh(
        f"zfs hold tag {A}@one && mkdir -p /mnt/holdfast/a && mount -i -t zfs -o ro {A}@one /mnt/holdfast/a && ls '/{B}/.zfs/snapshot/two'"
    )
    found = info(dataset=ROOT, recursive=True, show=["test:more"])
    assert (found["status"], told(found)) == (
        "SUCCESS",
        {f"{A}@one": (["tag"], {"test:more": "x"}, ["/mnt/holdfast/a"]), f"{B}@two": ([], {}, []), f"{A}/deep@one": ([], {}, [])},
    )
    fields = box.sh(f"zfs get -Hp -o value guid,createtxg,creation,used {A}@one").split()
    first = found["snapshots"][0]
    assert [str(first[key]) for key in ("guid", "createtxg", "created", "used")] == fields
    assert (first["dataset"], first["snapshot"]) == (A, "one")
    assert set(told(info(dataset=ROOT, recursive=True, properties={OWNER: "me"}))) == {f"{A}@one"}
    assert set(told(info(datasets=[A, B], name="two"))) == {f"{B}@two"}
    assert set(told(info(name="two"))) == {f"{B}@two"}
    missing = info(dataset=f"{ROOT}/not-there")
    assert (missing["status"], missing["error"]) == ("FAILED", "DatasetMissing")
