"""Giving a program another user and few capabilities."""

from __future__ import annotations

import os

import pytest

from holdfast import privileges, process
from holdfast.privileges import Identity

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives privileges away")
DAC_READ_SEARCH = 1 << 2


def pretend(monkeypatch: pytest.MonkeyPatch, user: int, held: int) -> None:
    """Be a user with capabilities."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: held)


def what_runs(identity: Identity) -> dict[str, str]:
    """What the kernel says of a program that runs as somebody."""
    done = process.run([*identity.prefix(), "cat", "/proc/self/status"], doing="x", limit=5.0)
    assert done.status == 0, done.stderr
    return {key: " ".join(value.split()) for key, value in (line.split(":", 1) for line in done.stdout.splitlines())}


@pytest.mark.parametrize("identity", [privileges.READER, privileges.PLAIN, privileges.RESTORER, privileges.SELF])
def test_without_root_nothing_is_put_before_the_program(monkeypatch: pytest.MonkeyPatch, identity: Identity) -> None:
    pretend(monkeypatch, 1000, 0)
    assert identity.prefix() == []


def test_this_process_needs_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0, ~0)
    assert privileges.SELF.prefix() == []


def test_a_reader_keeps_one_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0, ~0)
    prefix = privileges.READER.prefix()
    assert prefix[0] == "setpriv"
    assert prefix[-1] == "--"
    assert {"--reuid=holdfast", "--regid=holdfast", "--init-groups", "--no-new-privs", "--pdeathsig=TERM"} <= set(prefix)
    for kind in ("inh-caps", "ambient-caps", "bounding-set"):
        assert f"--{kind}=-all,+dac_read_search" in prefix


def test_what_has_no_need_of_capabilities_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0, ~0)
    assert "--bounding-set=-all" in privileges.PLAIN.prefix()


def test_a_capability_that_this_process_lacks_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0, ~DAC_READ_SEARCH)
    assert "--ambient-caps=-all" in privileges.READER.prefix()
    assert "--ambient-caps=-all,+chown,+dac_override,+fowner,+fsetid,+mknod,+setfcap" in privileges.RESTORER.prefix()


def test_supplementary_groups_stand_beside_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0, ~0)
    prefix = Identity("holdfast", (), ("media", "backup")).prefix()
    assert "--groups=holdfast,media,backup" in prefix
    assert "--init-groups" not in prefix


@as_root
def test_the_kernel_says_the_same_of_a_reader() -> None:
    found = what_runs(Identity("daemon", ("dac_read_search",), ("mail",)))
    kept = privileges.effective_capabilities() & DAC_READ_SEARCH
    assert found["Uid"].split() == ["1"] * 4
    assert found["Groups"].split() == ["1", "8"]
    assert found["NoNewPrivs"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[kind], 16) == kept, kind


@as_root
def test_the_kernel_says_the_same_of_what_keeps_nothing() -> None:
    found = what_runs(Identity("daemon"))
    assert found["Uid"].split() == ["1"] * 4
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == 0


def test_capabilities_are_those_of_the_kernel() -> None:
    found = process.run(["grep", "CapEff", "/proc/self/status"], doing="x", limit=5.0).stdout.split()[1]
    assert privileges.effective_capabilities() == int(found, 16)
