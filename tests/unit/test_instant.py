"""Which ZFS snapshots a run needs, as far as it can be told without ZFS; the scenario zfs has the rest."""

from __future__ import annotations

import pytest

from holdfast import instant
from holdfast.instant import Layer, PlanError, Record
from holdfast.records import plain
from holdfast.zfs import Mount


def mount(source: str, point: str, root: str = "/", minor: int = 40) -> Mount:
    return Mount((0, minor), root, point, "zfs", source, ("rw",))


def test_a_record_is_read_back_as_it_was_written() -> None:
    record = Record("service-a", "r1", "holdfast-r1", (Layer("tank/a", "/a"), Layer("tank/a b", "/a/b")), {"tank/a@holdfast-r1": ("17", 4)})
    assert Record.parse(plain(record)) == record
    assert record.names == ["tank/a@holdfast-r1", "tank/a b@holdfast-r1"]


def test_a_record_keeps_what_could_not_be_destroyed_yet() -> None:
    layers = (Layer("tank/a", "/a"), Layer("tank/b", "/b"))
    record = Record("service-a", "r1", "holdfast-r1", layers, {"tank/a@holdfast-r1": ("17", 4), "tank/b@holdfast-r1": ("18", 4)})
    left = record.without_all_but(["tank/b@holdfast-r1"])
    assert (left.names, left.guids) == (["tank/b@holdfast-r1"], {"tank/b@holdfast-r1": ("18", 4)})
    assert record.without_all_but(["tank/b@renamed"]) == record


def test_directories_that_a_sandbox_mounts_over_themselves_are_no_mounts_of_their_own() -> None:
    dataset, over_itself, elsewhere = (
        mount("tank/web", "/srv/web"),
        mount("tank/web", "/srv/web/site", "/site"),
        mount("tank/web", "/mnt", "/site"),
    )
    assert instant._without_binds([dataset, over_itself, elsewhere]) == [dataset, elsewhere]


@pytest.mark.parametrize(
    ("points", "outermost"),
    [(["/a/b", "/a"], ("/a",)), (["/a", "/ab"], ("/a", "/ab")), (["/x/y", "/x-y", "/x/y/z"], ("/x-y", "/x/y")), ([], ())],
)
def test_paths_are_the_mount_points_that_lie_below_no_other(points: list[str], outermost: tuple[str, ...]) -> None:
    assert instant._outermost(points) == outermost


@pytest.mark.parametrize(
    ("point", "exclude", "excluded"),
    [
        ("/a/b", ["/a/b"], True),
        ("/a/b", ["/a"], True),
        ("/a/b", ["/a/b/"], True),
        ("/a/bc", ["/a/b"], False),
        ("/a/b", ["b", "*.tmp"], False),
    ],
)
def test_a_mount_point_is_excluded_by_its_path_or_one_above(point: str, exclude: list[str], excluded: bool) -> None:
    assert instant._excluded(point, exclude) is excluded


def test_a_repository_inside_what_is_backed_up_is_refused() -> None:
    plan = instant.Plan(("/tank/all",), (Layer("tank/all", "/tank/all"),))
    with pytest.raises(PlanError, match=r"^x\.paths: /tank/all has the repository /tank/all/restic in it\."):
        instant.check_repositories("x", plan, ["/tank/all/restic"])
    instant.check_repositories("x", plan, ["/tank/allotment", "/srv/nas"])
