"""Settings and fixtures of all unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from holdfast import layout

settings.register_profile("holdfast", deadline=None, derandomize=True)
settings.load_profile("holdfast")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which the engine keeps what it else keeps in /var/lib and /run."""
    for name, place in (
        ("STATE", "state"),
        ("HISTORY", "history"),
        ("REPOSITORIES", "repositories"),
        ("RUNTIME", "run"),
        ("HOME", "home"),
    ):
        monkeypatch.setattr(layout, name, tmp_path / place)
    return tmp_path
