"""Settings and fixtures of all unit tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from holdfast import layout, names
from tests.unit.samples import Stored, restic_at

settings.register_profile("holdfast", deadline=None, derandomize=True)
settings.load_profile("holdfast")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which the engine keeps what it else keeps in /var/lib and /run."""
    for name, place in (
        ("STATE", "state"),
        ("HISTORY", "history"),
        ("REPOSITORIES", "repositories"),
        ("HOME", "home"),
        ("MANIFEST", "manifest.json"),
    ):
        monkeypatch.setattr(layout, name, tmp_path / place)
    monkeypatch.setattr(names, "RUNTIME", str(tmp_path / "run"))
    return tmp_path


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A repository with one restic snapshot, made once."""
    place = tmp_path_factory.mktemp("stored")
    source = place / "source [1]*"
    (source / "sub dir").mkdir(parents=True)
    (source / "plain").write_text("plain\n")
    (source / "sub dir/100%").write_bytes(bytes(range(256)) * 100)
    Path(os.fsdecode(bytes(source) + b"/caf\xe9")).write_text("latin")
    (source / "program").touch(0o755)
    (source / "program").chmod(0o4750)
    (source / "sub dir").chmod(0o1777)
    (source / "link").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    os.utime(source / "plain", ns=(10**18, 1234567890_123456789))
    restic = restic_at(place / "repository")
    restic.init()
    done = restic.backup([str(source)], host="forge", tags=["holdfast-job=a", "extra"])
    return Stored(restic, str(place / "repository"), source, done.summary)
