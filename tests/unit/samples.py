"""Things that several tests need: small manifests, and child processes that run the engine."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.declarations import BUILT_IN_CLASSES
from holdfast.manifest import Job, Manifest, ProtectionClass, Repository, Settings
from holdfast.privileges import SELF
from holdfast.restic import Access, Restic
from holdfast.restic_records import BackupSummary
from holdfast.state import Expected

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "tests/path"
TOOLS = Path.home() / ".cache/holdfast/tools/bin"
SECRET = "hunter2-xyzzy"
ODD_PATHS = [
    "/srv/app", "/srv/with space", "/srv/100%", "/srv/%i", "/srv/Köln/ü", "/srv/日本", '/srv/say "hi"', "/srv/it's", "/srv/back\\slash",
    "/srv/.hidden", "/.hidden", "/srv/-dash-", "/srv/a:b_c.d", "/srv/$HOME", "/srv/a;b", "/srv/#x", "/srv/tab\tbed", "/srv/new\nline",
    "/srv/return\rhere", "/srv/bell\a", "/",
]  # fmt: skip

NAS = Repository("nas", "/mnt/nas-backup", "/etc/holdfast/secrets/nas.password", primary=True)
R2 = Repository(
    "r2",
    "s3:https://account.example/bucket/host",
    "/etc/holdfast/secrets/r2.password",
    "/etc/holdfast/secrets/r2.env",
    type="s3",
    offsite=True,
)
CLASSES = {name: ProtectionClass.parse(name, entry, f"holdfast_protection_classes.{name}") for name, entry in BUILT_IN_CLASSES.items()}


def make_job(name: str = "service-grafana", **changes: Any) -> Job:
    """A job of a service, with some fields changed."""
    job = Job(name, "grafana_backup", ("nas",), ("/var/lib/grafana",), service="grafana", tags=("monitoring",))
    return job._replace(**changes)


def make_manifest(*jobs: Job, repositories: tuple[Repository, ...] = (NAS, R2), **changes: Any) -> Manifest:
    """A manifest with some jobs, or with one."""
    manifest = Manifest(
        host="forge",
        enable=True,
        textfile_directory="/var/lib/prometheus/node-exporter",
        settings=Settings(),
        repositories={entry.name: entry for entry in repositories},
        protection_classes=CLASSES,
        jobs={job.name: job for job in jobs or (make_job(),)},
    )
    return manifest._replace(**changes)


def make_expected(*repositories: str, directory: str = "/nowhere") -> Expected:
    """What a manifest says of a job that writes to some repositories."""
    return Expected("forge", directory, repositories or ("nas",), 180000, "standard", "grafana")


def start_engine(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own that runs code on the engine; its outputs are pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ENGINE)},
    )


@dataclass(frozen=True)
class Stored:
    """A repository with one restic snapshot of a small tree."""

    restic: Restic
    url: str
    source: Path
    summary: BackupSummary

    def as_opened_by(self, **changes: Any) -> Restic:
        """restic on the same repository, with something else about the access."""
        return restic_at(Path(self.url), **changes)


def restic_at(directory: Path, **changes: Any) -> Restic:
    """restic as this process's own user on a local repository."""
    password = directory.with_name("password")
    if not password.exists():
        password.write_text(SECRET)
    access = Access(str(directory), password, cache=directory.with_name("cache"), temporary=None)
    return Restic(access._replace(**changes), reader=SELF, restorer=SELF, plain=SELF, binary=str(TOOLS / "restic"))
