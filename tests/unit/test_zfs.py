"""ZFS without a pool: names, and the mount table."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import zfs

TABLE = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
40 22 0:50 / /tank rw,relatime shared:154 - zfs tank rw,xattr,noacl,casesensitive
41 40 0:51 / /tank/with\040space rw - zfs tank/with\040space rw,xattr
42 22 0:52 / /mnt/tab\011line\012back\134slash ro,relatime shared:3 master:4 - zfs tank/a@one ro,xattr
43 22 0:51 /below /srv/part ro - zfs tank/with\040space rw,xattr
44 22 0:53 / /srv/\134040 rw - tmpfs none rw
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A mount table as the kernel writes it."""
    (tmp_path / "mountinfo").write_bytes(TABLE.encode())
    return tmp_path / "mountinfo"


def mount(point: str, source: str = "x") -> zfs.Mount:
    return zfs.Mount((0, 1), "/", point, "zfs", source, ("rw",))


# -- names


@pytest.mark.parametrize(
    "name",
    ["tank", "tank/a", "tank/a b", "Tank/0/-/_/.../.x/x.", "tank/a:b", "tank/-r", "t" * 255, "tank/" + "a" * 250],
)
def test_a_name_of_a_dataset_is_taken(name: str) -> None:
    assert zfs.check_dataset(name) == name


NO_DATASETS = [
    "", " ", "-r", "-", "--help", "0tank", "/tank", "tank/", "tank//a", ".", "..", "tank/..", "tank/.", "tank/../x", "tank/./x", "tank/a@b",
    "tank#a", "tank/a%b", "tank,dozer", "tank/a\n", "tank\n/a", "tank/a\tb", "tank/a\0", " tank", "tank ", "tank/ a", "tank/é", "tank/*",
    "tank/$(reboot)", "t" * 256, "tank/" + "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", NO_DATASETS)
def test_what_is_no_name_of_a_dataset_is_refused(name: str) -> None:
    with pytest.raises(zfs.NameInvalid, match="Write it as 'zfs list' shows it"):
        zfs.check_dataset(name)


@pytest.mark.parametrize(
    "name",
    ["tank@a", "tank/a b@c d", "tank@-r", "tank@2026-11-23T03:00:00", "tank@...", "tank@.x", "tank@" + "a" * 250],
)
def test_a_name_of_a_snapshot_is_taken(name: str) -> None:
    assert zfs.check_snapshot(name) == name


NO_SNAPSHOTS = [
    "", "tank", "tank/a", "@", "tank@", "@a", "-r@a", "tank@a@b", "tank@a,b", "tank@%", "tank@a%b", "tank@a/b", "tank@.", "tank@..",
    "tank#a", "tank@a\n", "tank\n@a", "tank@a\tb", "tank@a\0", "tank@ a", "tank@a ", "tank @a", "tank/../x@a", "tank@" + "a" * 251,
    "tank@" + "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", NO_SNAPSHOTS)
def test_what_is_no_name_of_a_snapshot_is_refused(name: str) -> None:
    with pytest.raises(zfs.NameInvalid):
        zfs.check_snapshot(name)


@pytest.mark.parametrize("name", NO_SNAPSHOTS + [f"{name}@a" for name in NO_DATASETS])
def test_nothing_but_a_snapshot_is_ever_destroyed(name: str) -> None:
    with pytest.raises(zfs.NameInvalid):
        zfs.destroy(name, recursive=True)


@pytest.mark.parametrize("name", ["com.example:purpose", "a:b", ":", "a:", ":b", "a:-b:c", "0:_", "x:" + "p" * 253])
def test_a_name_of_a_property_is_taken(name: str) -> None:
    assert zfs.check_property(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mountpoint",
        "a",
        "A:b",
        "a:B",
        "-r:x",
        "-:",
        "a b:c",
        "a:b=c",
        "a:b,c",
        "a:b\n",
        "a:\tb",
        "a:b@c",
        "a/b:c",
        "é:a",
        "x:" + "p" * 254,
    ],
)
def test_what_is_no_name_of_a_property_is_refused(name: str) -> None:
    with pytest.raises(zfs.NameInvalid):
        zfs.check_property(name)


@pytest.mark.parametrize("value", ["", "x", "two words", "a=b,c", "-r", "é", "v" * 8191])
def test_a_value_is_taken(value: str) -> None:
    assert zfs.check_value(value) == value


@pytest.mark.parametrize("value", ["a\tb", "a\nb", "\0", "\x7f", "v" * 8192, "é" * 4096])
def test_a_value_that_would_break_a_line_or_is_too_long_is_refused(value: str) -> None:
    with pytest.raises(zfs.NameInvalid):
        zfs.check_value(value)


@pytest.mark.parametrize("tag", ["keep", "a b", "2026:1", "t" * 255])
def test_a_tag_is_taken(tag: str) -> None:
    assert zfs.check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", "-r", ".send-1", "a\tb", "a\n", "a/b", "a@b", "é", "t" * 256])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(zfs.NameInvalid):
        zfs.check_tag(tag)


# -- the mount table


def test_the_mount_table_is_read_with_odd_names(table: Path) -> None:
    found = zfs.mounts(table)
    assert [one.point for one in found] == [
        "/", "/tank", "/tank/with space", "/mnt/tab\tline\nback\\slash", "/srv/part", r"/srv/\040",
    ]  # fmt: skip
    assert found[2] == zfs.Mount((0, 51), "/", "/tank/with space", "zfs", "tank/with space", ("rw",))
    assert found[3] == zfs.Mount((0, 52), "/", "/mnt/tab\tline\nback\\slash", "zfs", "tank/a@one", ("ro", "relatime"))
    assert (found[4].root, found[4].source) == ("/below", "tank/with space")
    assert (found[0].device, found[0].type, found[5].source) == ((8, 1), "ext4", "none")


def test_a_name_that_is_no_utf8_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_bytes(b"22 1 8:1 / /mnt/\xff rw - ext4 /dev/sda1 rw\n")
    assert zfs.mounts(tmp_path / "mountinfo")[0].point == "/mnt/\udcff"


def test_the_last_mount_at_a_place_is_seen() -> None:
    assert zfs.visible([mount("/a", "first"), mount("/a", "second")]) == {"/a": mount("/a", "second")}


def test_a_mount_covers_what_was_mounted_below_it_before() -> None:
    inner, outer, beside = mount("/a/b"), mount("/a", "later"), mount("/ab")
    assert zfs.visible([mount("/"), inner, beside, outer]) == {"/": mount("/"), "/ab": beside, "/a": outer}
    assert zfs.visible([outer, inner]) == {"/a": outer, "/a/b": inner}
    assert zfs.visible([inner, beside, mount("/", "again")]) == {"/": mount("/", "again")}
