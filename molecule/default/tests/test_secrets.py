"""Passwords and keys stand in files of mode 0400 and nowhere else, whatever was run and however loudly."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest

from tests.integration.argv import ArgvWatch
from tests.integration.controller import Played, play
from tests.integration.machine import Machine

pytestmark = pytest.mark.parametrize("platform", ["debian13"], indirect=True, scope="session")

# Prints the files that have one of the strings given on stdin in them, with their modes; the repositories' own data is restic's to protect.
SEARCH = """
import os, sys
wanted = [line.encode() for line in sys.argv[1:]]
for top in ("/etc", "/var", "/run", "/tmp", "/root", "/usr/local", "/dev/shm"):
    for place, directories, files in os.walk(top):
        for name in files:
            path = os.path.join(place, name)
            try:
                if not os.path.isfile(path) or os.path.islink(path):
                    continue
                with open(path, "rb") as stream:
                    content = stream.read()
            except OSError:
                continue
            if any(word in content for word in wanted):
                print(oct(os.stat(path).st_mode & 0o777)[2:], path)
"""


@dataclass(frozen=True)
class Seen:
    """What a loud site.yml and a few runs of the command showed."""

    watch: ArgvWatch
    played: Played
    said: str


@pytest.fixture(scope="module")
def seen(machine: Machine) -> Seen:
    """Everything written anew and opened: without pipelining, so that Ansible's own files on the host count too."""
    machine.sh("rm -f /etc/holdfast/secrets/bucket.* /etc/holdfast/secrets/rest.password")
    with ArgvWatch() as watch:
        played = play("site", "debian13", "-vvv", "--diff", environment={"ANSIBLE_PIPELINING": "0"})
        assert played.status == 0, played.output
        said = ""
        for line in ("backup cloud", "backup both", "forget rest", "restore cloud --target /srv/look", "status", "snapshots"):
            status, text = machine.holdfast(*line.split())
            assert status == 0, text
            said += text
    machine.sh("rm -r /srv/look")
    return Seen(watch, played, said)


@pytest.fixture(scope="module")
def spellings(secrets: dict[str, str]) -> list[str]:
    """Every secret, as it is and as base64 would carry it."""
    return [*secrets.values(), *(base64.b64encode(value.encode()).decode().rstrip("=")[:-2] for value in secrets.values())]


def test_no_argument_list_has_a_secret(seen: Seen, spellings: list[str]) -> None:
    lines = b"\n".join(line for lines in seen.watch.seen.values() for line in lines)
    assert b"restic" in lines
    assert b"AnsiballZ_restic_repository" in lines
    for secret in spellings:
        assert secret.encode() not in lines


def test_nothing_that_was_said_has_a_secret(machine: Machine, seen: Seen, spellings: list[str]) -> None:
    journal = machine.journal(0)
    assert "restic_repository" in journal
    for secret in spellings:
        assert secret not in seen.played.output
        assert secret not in seen.said
        assert secret not in journal


def test_secrets_are_in_files_of_mode_0400_alone(machine: Machine, seen: Seen, secrets: dict[str, str]) -> None:
    found = machine.run(["python3", "-c", SEARCH, *secrets.values()]).stdout.splitlines()
    assert {line.split()[1] for line in found} >= {
        "/etc/holdfast/secrets/nas.password",
        "/etc/holdfast/secrets/bucket.env",
        "/etc/s3-server.env",
    }
    assert [line for line in found if not line.startswith("400 ")] == []


def test_ansible_left_nothing_on_the_host(machine: Machine, seen: Seen) -> None:
    assert machine.sh("find /root/.ansible/tmp /tmp -type f 2> /dev/null; true") == ""


def test_one_restic_process_serves_one_repository_in_one_backup(machine: Machine) -> None:
    with ArgvWatch() as watch:
        assert machine.holdfast("backup", "both")[0] == 0
    found = watch.processes("restic", f"--host={machine.inventory_name}")
    assert len(found) == 2
    assert all("--tag=holdfast-job=service-both" in words for words in found)
    assert watch.processes("restic", "cat") + watch.processes("restic", "snapshots") == []
