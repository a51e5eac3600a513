"""What can be wished for of ZFS snapshots, and what a wish makes of them; that it comes true is shown on a pool."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast import zfs, zfs_states
from holdfast.zfs_states import Done, Refused, Search, Standing, Wish

OPTIONS: dict[str, Any] = {
    "name": "one", "datasets": ["tank/a"], "recursive": False, "state": "present", "properties": None, "force": False, "holds": None,
    "release": None, "mounted_at": None, "mounted": True,
}  # fmt: skip
SEARCH: dict[str, Any] = {"datasets": None, "recursive": False, "name": None, "properties": None, "show": None}


def wish(**options: Any) -> Wish:
    return Wish.parse({**OPTIONS, **options})


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"name": name}, "name") for name in ("", "-\n", "a@b", "a/b", "a,b", "a%b", "%", "..", "a\tb", "n" * 300)
    ] + [
        ({"datasets": ["tank", name]}, "datasets") for name in ("", "-r", "tank/a@b", "tank#a", "tank/../x", "tank/a\n", "t" * 254)
    ] + [
        ({"holds": ["-r"]}, "holds"),
        ({"release": [""]}, "release"),
        ({"properties": {"mountpoint": "/"}}, "properties"),
        ({"properties": {"-r:x": "y"}}, "properties"),
        ({"properties": {"a:b": "c\nd"}}, "properties.a:b"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_refused_and_its_option_named(options: dict[str, Any], option: str) -> None:
    with pytest.raises(zfs.NameInvalid) as refused:
        wish(**options)
    assert str(refused.value).startswith(f"{option}: ")


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"properties": {"a:b": True}}, "properties.a:b"),
        ({"properties": {"a:b": 1.5}}, "properties.a:b"),
        ({"properties": {"a:b": ["x"]}}, "properties.a:b"),
        ({"holds": ["x", "y"], "release": ["y"]}, "release"),
        ({"holds": ["x"], "state": "absent"}, "holds"),
        ({"mounted_at": "mnt"}, "mounted_at"),
        ({"mounted_at": "/mnt\0"}, "mounted_at"),
        ({"mounted_at": "/mnt", "recursive": True}, "mounted_at"),
        ({"mounted_at": "/mnt", "datasets": ["tank/a", "tank/b"]}, "mounted_at"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], option: str) -> None:
    with pytest.raises(Refused) as refused:
        wish(**options)
    assert str(refused.value).startswith(f"{option}: ")


@pytest.mark.parametrize("state", ["present", "absent"])
def test_no_dataset_is_never_all_of_the_host(state: str) -> None:
    for recursive in (False, True):
        with pytest.raises(Refused, match=r"^datasets: "):
            wish(datasets=[], state=state, recursive=recursive)
    with pytest.raises(Refused, match=r"^datasets: "):
        Search.parse({**SEARCH, "datasets": []})
    for ensure in (zfs_states.ensure_present, zfs_states.ensure_absent):
        with pytest.raises(Refused, match=r"^datasets: "):
            ensure(Wish("one", ()), True)


def test_a_wish_is_read(tmp_path: Path) -> None:
    os.symlink(tmp_path / "real", tmp_path / "link")
    read = wish(datasets=["tank/a", "tank/a"], properties={"a:b": 1, "c:d": None}, holds=["x", "x"], mounted_at=f"{tmp_path}/link/")
    assert read == Wish("one", ("tank/a",), False, {"a:b": "1", "c:d": None}, ("x",), (), f"{tmp_path}/real")


def test_a_wish_changes_what_it_names_and_nothing_else() -> None:
    found = Standing("tank/a@one", "7", 1, 2, 3, ("old", "other"), {"a:b": "x", "c:d": "y"}, ("/a", "/b"))
    wanted = wish(properties={"a:b": None, "e:f": "z"}, holds=["new"], release=["old", "never"], mounted_at="/b", mounted=False)
    after = zfs_states.wished(wanted, found)
    assert after == Standing("tank/a@one", "7", 1, 2, 3, ("new", "other"), {"c:d": "y", "e:f": "z"}, ("/a",))
    assert zfs_states.wished(wanted, after) == after
    assert Done((found,), (after,)).changed


def test_what_only_zfs_counts_is_no_change() -> None:
    found = Standing("tank/a@one", "7", 1, 2, 3)
    assert not Done((found,), (found._replace(used=9),)).changed
    assert Done((), (found,)).changed


def test_a_property_that_is_not_to_be_set_is_matched_by_its_absence() -> None:
    found = Standing("tank/a@one", properties={"a:b": "", "c:d": "x"})
    assert found.has({})
    assert found.has({"a:b": "", "c:d": "x", "e:f": None})
    assert not found.has({"a:b": None})
    assert not found.has({"c:d": "X"})
    assert not found.has({"e:f": ""})


@pytest.mark.parametrize("options", [{"datasets": ["-r"]}, {"name": "a,b"}, {"show": ["used"]}, {"properties": {"used": "0"}}])
def test_a_search_for_what_is_no_name_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(zfs.NameInvalid):
        Search.parse({**SEARCH, **options})
