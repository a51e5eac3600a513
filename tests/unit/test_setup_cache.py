"""The cache that the set-up builds into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.setup import cache


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setattr(cache, "BUILDS", tmp_path / "builds")
    return tmp_path


def build(directory: Path) -> None:
    (directory / "made").write_text("whole")


def fail(directory: Path) -> None:
    (directory / "made").write_text("half")
    raise cache.SetupError("killed")


def test_a_piece_is_made_once() -> None:
    with cache.locked():
        cache.piece("thing", ["1"], build)
        assert (cache.piece("thing", ["1"], fail) / "made").read_text() == "whole"


def test_another_input_makes_another_piece(root: Path) -> None:
    with cache.locked():
        first = cache.piece("thing", ["1"], build).resolve()
        second = cache.piece("thing", ["2"], build).resolve()
        assert first != second
        assert first.exists()
        cache.prune()
    assert not first.exists()
    assert (root / "thing/made").exists()


def test_a_half_made_piece_is_made_again(root: Path) -> None:
    with pytest.raises(cache.SetupError), cache.locked():
        cache.piece("thing", ["1"], fail)
    with cache.locked():
        assert list(root.glob("builds/*")) == []
        assert (cache.piece("thing", ["1"], build) / "made").read_text() == "whole"


def test_inputs_are_told_apart() -> None:
    assert cache.key_of(["ab", "c"]) != cache.key_of(["a", "bc"])
