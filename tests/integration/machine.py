"""A test host that Holdfast protects: what its tests do to it, and what they read from it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.hosts import Host, HostError
from tests.integration.agent import Agent

METRICS = "/var/lib/prometheus/node-exporter"
RESULTS = ("complete", "partial", "failed")


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Return the condition's first true value, or fail once the seconds are over."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


@dataclass(frozen=True)
class Metrics:
    """What the metric file of a job says for one repository; None where a metric is not there."""

    values: dict[str, float]
    result: str | None

    def __getitem__(self, name: str) -> float | None:
        return self.values.get(f"restic_backup_{name}")


@dataclass(frozen=True)
class Attempt:
    """One run of a job as a test sees it: what was before, what came out, what is now."""

    job: str
    began: float
    exit_status: int
    said: str
    before: dict[str, Metrics]
    after: dict[str, Metrics]


class Machine:
    """A protected host.

    Args:
        name: of its container; the part behind the last ``-`` is the inventory's name of the host.
        enter: gives the command that runs some words on it; into the container unless told otherwise.
    """

    def __init__(self, name: str, enter: Callable[[Sequence[str]], list[str]] | None = None) -> None:
        self.name = name
        self._enter = enter or (lambda words: ["podman", "exec", "--interactive", name, *words])
        self._agent: Agent | None = None

    # -- doing

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root and return its result; bytes that are no UTF-8 are surrogates."""
        self._agent = self._agent or Agent(self.name, self._enter)
        done = self._agent.run(argv, stdin, timeout)
        if check and done.returncode:
            raise HostError(f"{self.name}: {' '.join(argv)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def reboot(self, *, crash: bool = False) -> None:
        """Shut down and start again, or with `crash` as if the power had failed."""
        self.disconnect()
        Host(self.name).reboot(crash=crash)

    def disconnect(self) -> None:
        """End what runs commands on the host."""
        if self._agent:
            self._agent.close()
            self._agent = None

    def sh(self, script: str, *, check: bool = True, timeout: float = 60) -> str:
        """Run a shell script and return what it printed."""
        return self.run(["sh", "-c", script], check=check, timeout=timeout).stdout

    def python(self, script: str, *arguments: str, timeout: float = 60) -> str:
        """Run a Python script and return what it printed."""
        return self.run(["python3", "-", *arguments], stdin=script, timeout=timeout).stdout

    def write(self, path: str, text: str) -> None:
        """Write a file; its directory is made."""
        self.run(["sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1"', "-", path], stdin=text)

    def fill(self, path: str, mebibytes: int) -> None:
        """Write a file that cannot be compressed and was never seen before."""
        self.sh(f"mkdir -p $(dirname {path}) && head -c {mebibytes}M /dev/urandom > {path}")

    def holdfast(self, *arguments: str, timeout: float = 120) -> tuple[int, str]:
        """Run the command, and return its exit status and all that it said."""
        done = self.run(["holdfast", *arguments], check=False, timeout=timeout)
        return done.returncode, done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        """Return the document that the command prints."""
        return json.loads(self.run(["holdfast", *arguments, "--json"], check=False).stdout)

    def attempt(self, job: str, run: Callable[[], tuple[int, str]] | None = None) -> Attempt:
        """Run a job, with the command unless told otherwise, and read its metrics before and after."""
        before = self.metrics(job)
        began = time.time()
        status, said = run() if run else self.holdfast("backup", job)
        return Attempt(job, began, status, said, before, self.metrics(job))

    def start_unit(self, job: str) -> tuple[int, str]:
        """Start the job's unit as its timer does, wait for its end, and return systemctl's status and words."""
        done = self.run(["systemctl", "start", backup_unit(job)], check=False, timeout=120)
        self.wait_until_idle(job)
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def under_way(self, job: str) -> Iterator[int]:
        """Start a job's unit, wait until restic uploads, and give restic's process id; wait for the end of the run."""
        self.run(["systemctl", "start", "--no-block", backup_unit(job)])
        wait_for(lambda: re.search(r": [1-9]\d*%", self.status_text(job)), f"{job} uploads")
        try:
            yield self.restic(job)
        finally:
            self.wait_until_idle(job)

    def wait_until_idle(self, job: str, seconds: float = 90) -> None:
        """Wait until the job's unit, and what systemd starts when it fails, have ended."""

        def idle() -> bool:
            units = [backup_unit(job), f"holdfast-backup-failed@{job}.service"]
            states = self.run(["systemctl", "is-active", *units], check=False).stdout.split()
            jobs = self.run(["systemctl", "list-jobs", "--no-legend", "holdfast-backup*"]).stdout
            return not {"active", "activating", "deactivating"} & set(states) and "holdfast-backup" not in jobs

        wait_for(idle, f"{job} ends", seconds)

    # -- reading

    def read(self, path: str) -> str:
        """Return a file's content."""
        return self.run(["cat", path]).stdout

    def exists(self, path: str) -> bool:
        """Say whether there is something at a path."""
        return self.run(["test", "-e", path], check=False).returncode == 0

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run(["systemctl", "show", f"--property={name}", "--value", unit]).stdout.strip()

    def status_text(self, job: str) -> str:
        """Return the line that ``systemctl status`` shows of a job."""
        return self.show(backup_unit(job), "StatusText")

    def journal(self, since: float, *arguments: str) -> str:
        """Return what the journal has since a moment."""
        self.run(["journalctl", "--sync"])
        return self.run(["journalctl", "--no-pager", f"--since=@{since:.6f}", *arguments]).stdout

    def restic(self, job: str) -> int:
        """Return the id of the restic process of a running job."""
        group = self.show(backup_unit(job), "ControlGroup")
        for number in self.sh(
            f"cat /sys/fs/cgroup{group}/cgroup.procs /sys/fs/cgroup/*{group}/cgroup.procs 2>/dev/null", check=False
        ).split():
            if self.run(["cat", f"/proc/{number}/comm"], check=False).stdout.strip() == "restic":
                return int(number)
        raise AssertionError(f"{job}: no restic is running")

    def metrics(self, job: str) -> dict[str, Metrics]:
        """Return the metrics of a job by repository; promtool must have no complaint about the file."""
        path = f"{METRICS}/holdfast_backup_{job}.prom"
        text = self.read(path)
        checked = self.run(["/opt/tools/bin/promtool", "check", "metrics"], stdin=text, check=False)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
        values: dict[str, dict[str, float]] = {}
        shown: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = dict(sample.labels)
                assert labels.pop("backup_job") == job
                assert labels.pop("hostname") == self.inventory_name
                repository = labels.pop("repository")
                if result := labels.pop("result", None):
                    shown.setdefault(repository, {})[result] = sample.value
                else:
                    values.setdefault(repository, {})[sample.name] = sample.value
                assert not labels
        return {repository: Metrics(found, _one_hot(shown.get(repository))) for repository, found in values.items()}

    def state(self, job: str) -> dict[str, Any]:
        """Return the state of a job."""
        found: dict[str, Any] = json.loads(self.read(f"/var/lib/holdfast/state/{job}.json"))
        return found

    def history(self, job: str) -> list[dict[str, Any]]:
        """Return the runs of a job, oldest first."""
        return [json.loads(line) for line in self.read(f"/var/lib/holdfast/history/{job}.jsonl").splitlines()]

    def entry(self, job: str, repository: str) -> dict[str, Any]:
        """Return what ``holdfast status`` says of a job in a repository."""
        (found,) = (entry for entry in self.json("status")["jobs"] if (entry["job"], entry["repository"]) == (job, repository))
        return dict(found)

    def snapshots(self, job: str, repository: str) -> list[dict[str, Any]]:
        """Return the restic snapshots of a job, oldest first."""
        return [dict(found) for found in self.json("snapshots", job, "--repository", repository)["snapshots"]]

    def restic_command(self, repository: str, *arguments: str, prefix: Sequence[str] = ()) -> str:
        """Return the shell's words for restic on a repository of the host, beside Holdfast."""
        found = json.loads(self.read("/etc/holdfast/manifest.json"))["repositories"][repository]
        options = ["--no-cache", f"--repo={found['url']}", f"--password-file={found['password_file']}"]
        words = shlex.join([*prefix, "restic", *options, *arguments])
        secrets = found["environment_file"]
        return f'while read -r line; do export "$line"; done < {secrets}; {words}' if secrets else words

    def restic_by_hand(self, repository: str, *arguments: str, check: bool = True, prefix: Sequence[str] = ()) -> str:
        """Run restic as root on a repository of the host, beside Holdfast."""
        return self.sh(self.restic_command(repository, *arguments, prefix=prefix), check=check)

    @property
    def inventory_name(self) -> str:
        """What the inventory calls the host."""
        return self.name.rpartition("-")[2]


def container_of(platform: str) -> str:
    """Return the name of the container that the inventory of the running scenario calls `platform`."""
    return f"holdfast-{os.environ['HOLDFAST_CHECKOUT']}-{os.environ['MOLECULE_SCENARIO_NAME']}-{platform}"


def backup_unit(job: str) -> str:
    """Return the unit of a job."""
    return f"holdfast-backup@{job}.service"


def _one_hot(values: dict[str, float] | None) -> str | None:
    if values is None:
        return None
    assert set(values) == set(RESULTS)
    (found,) = (result for result, value in values.items() if value == 1)
    assert sorted(values.values()) == [0, 0, 1]
    return found
