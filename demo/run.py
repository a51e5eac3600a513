"""The demo: a host and its services, from nothing to backed up, damaged and restored, with proof. See `make demo`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sys
import time
from argparse import ArgumentParser
from pathlib import Path

from demo import show
from demo.show import DemoError, Steps, line, note
from tests import hosts
from tests.setup.cache import ROOT as CACHE

HERE = Path(__file__).resolve().parent
NAME = "holdfast-demo"
PROMPT = "demo#"
S3_PORT = 28333
RECORDS = "/var/tmp/records"
LOOK = "/var/tmp/look"
DUMP = "/var/lib/ledger/dump/ledger.db"
METRICS = "/var/lib/prometheus/node-exporter"
AUDIT = "pragma integrity_check; select count(*), 'entries' from entry; select sum(balance), 'in all accounts' from account"
SOUND = ["ok", "100000000|in all accounts"]

# One byte changes, size and time kept; then a mode, an owner, a lost access control list, lost files, a new one.
DAMAGE = (
    "touch -r index.html /tmp/time; printf X | dd of=index.html conv=notrunc status=none; touch -r /tmp/time index.html",
    "chmod 666 01.html; chown nobody 02.html; setfacl -b blog/03.html; rm -r blog/2025; echo owned > shell.php",
)


def playbook(name: str, *arguments: str) -> list[str]:
    """A playbook on the demo's inventory."""
    return ["ansible-playbook", "-i", "demo/inventory", name, *arguments]


def on_host(*argv: str) -> list[str]:
    """A command that runs on the demo's host as root."""
    return ["podman", "exec", NAME, *argv]


def host(*argv: str, trim: show.Trim | None = None, expect: int = 0, shown: str | None = None) -> str:
    """Run a command on the demo's host, and show it as typed there."""
    return show.run(on_host(*argv), trim=trim, expect=expect, prompt=PROMPT, shown=shown or shlex.join(argv))


def start_host() -> None:
    """Start the host; a demo that still runs is replaced."""
    hosts.stop(NAME)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", S3_PORT)) == 0:
            raise DemoError(
                f"Port {S3_PORT} of this machine is taken. Free it, or change demo_s3_port in demo/inventory and S3_PORT in demo/run.py."
            )
    hosts.start("trixie", NAME, volumes=[f"{HERE}/host:/opt/demo:ro", *hosts.tools()])


def deploy_services() -> None:
    """Put the services on the host, and record what their data looks like before anything protects them."""
    show.run(playbook("demo/services.yml"), trim=show.tasks)
    show.quiet(on_host("mkdir", RECORDS))
    for tree in ("archive", "website"):
        host("/opt/demo/witness.py", "record", f"/srv/{tree}", f"{RECORDS}/{tree}")


def protect() -> None:
    """What an operator does."""
    show.run(playbook("playbooks/site.yml"), trim=show.tasks)
    host("systemctl", "list-timers", "--all", "holdfast-*", trim=show.matching("NEXT|holdfast-"))


def back_up() -> str:
    """Back up every job now, and give the id of the ledger's restic snapshot offsite."""
    host("holdfast", "backup", "--all")
    show.quiet(on_host("cp", DUMP, f"{RECORDS}/ledger.db"))
    status = json.loads(show.quiet(on_host("holdfast", "status", "--json")))
    return next(str(job["snapshot_id"])[:8] for job in status["jobs"] if (job["service"], job["repository"]) == ("ledger", "s3-offsite"))


def show_status() -> None:
    """How well everything is protected, on the host and over all hosts."""
    host("holdfast", "status")
    show.run(playbook("playbooks/status.yml"), trim=show.tasks)


def show_metrics() -> None:
    """What Prometheus will see."""
    host("ls", METRICS)
    pattern = "^restic_backup_(status|result|exit_code|last_success|duration|rpo).*nas-primary"
    host("grep", "-E", pattern, f"{METRICS}/holdfast_backup_service-ledger.prom")
    check = f"for file in {METRICS}/*; do /opt/tools/bin/promtool check metrics < $file || exit; done"
    if host("sh", "-c", check, shown=check):
        raise DemoError("promtool finds fault with the metrics.")
    show.output("(no complaint)")


def verify_ledger(snapshot: str) -> None:
    """Restore the database's copy from the repository offsite, beside the live one, and audit its books."""
    host("holdfast", "restore", "ledger", "--repository", "s3-offsite", "--snapshot", snapshot, "--target", LOOK)
    host("cmp", f"{LOOK}{DUMP}", f"{RECORDS}/ledger.db")
    for database in (f"{LOOK}{DUMP}", "/var/lib/ledger/ledger.db"):
        books = host("sqlite3", database, AUDIT, shown=f'sqlite3 {database} "{AUDIT}"').splitlines()
        if [books[0], books[-1]] != SOUND:
            raise DemoError(f"{database}: the books are not in order.")


def destroy() -> None:
    """Delete one service's data and damage another's, and see that the comparison notices."""
    host("rm", "-rf", "/srv/archive")
    for damage in DAMAGE:
        host("sh", "-c", f"cd /srv/website/current && {damage}", shown=f"cd /srv/website/current; {damage}")
    compare(expect=1)


def compare(expect: int = 0) -> None:
    """Compare both trees with what they were; differences are an error unless they are expected."""
    for tree in ("archive", "website"):
        host("/opt/demo/witness.py", "compare", f"/srv/{tree}", f"{RECORDS}/{tree}", expect=expect)


def restore() -> None:
    """Give both back: one from the controller, one on the host."""
    host("holdfast", "restore", "website", "--overwrite", "--delete", "--dry-run", trim=show.ends(3, 1))
    host("holdfast", "restore", "website", "--overwrite", "--delete")
    show.run(playbook("playbooks/restore.yml", "-e", "service=archive", "-e", "confirm=yes"), trim=show.tasks)


def story() -> None:
    """The steps in their order."""
    steps = Steps(11)
    with steps.step("Start a disposable Debian 13 host", f"Commands after {PROMPT} run on it, as by: podman exec -it {NAME} bash"):
        start_host()
    with steps.step(
        "Put four services with real data on it",
        "A ledger in SQLite that is written to all the time; a web site; an archive with odd names, hard links, sparse files, attributes, "
        "access control lists and devices; a camera that appends to a large file. What can be seen of archive and web site is recorded.",
    ):
        deploy_services()
    with steps.step("Protect the host", "This is all that an operator does. What goes where is said in demo/inventory."):
        protect()
    with steps.step(
        "Back everything up now, without waiting for the timers",
        "SQLite makes a sound copy of the ledger first (pre_backup), and the camera is down for as long as it takes (stop_units).",
    ):
        snapshot = back_up()
    with steps.step("Back up again", "The recording has grown; only what is new is stored."):
        host("holdfast", "backup", "camera")
    with steps.step("Ask how well everything is protected: on the host, and over all hosts"):
        show_status()
    with steps.step("Look at what Prometheus gets"):
        show_metrics()
    with steps.step(
        "Restore the ledger's copy from offsite, beside the live one",
        "It must be the copy that was backed up, sound, and its books must balance, though the service never stopped writing.",
    ):
        verify_ledger(snapshot)
    with steps.step("Destroy", "The archive is deleted, the web site damaged. The comparison must notice every bit of it."):
        destroy()
    with steps.step("Restore in place", "First a dry run. One service on the host, one from the controller."):
        restore()
    with steps.step("Prove it", "Both are compared with what was recorded in step 2, before anything was backed up."):
        compare()


def epilogue(seconds: float) -> None:
    """Where to look next."""
    print(f"\n{show.styled('Done', show.BOLD)} in {seconds:.0f} s. The host stays up until you say: make demo-clean\n")
    note(f"Look around on the host: podman exec -it {NAME} bash")
    for command, about in (
        ("holdfast status", "how well each job is protected"),
        ("holdfast snapshots ledger", "what there is to restore"),
        ("holdfast backup website", "back up now, with progress"),
        ("holdfast restore system --include /etc/passwd --target /tmp/old", "one file, beside the live one"),
        ("holdfast forget --dry-run", "which restic snapshots retention would remove"),
        ("systemctl list-timers 'holdfast-*'", "when everything runs by itself"),
        ("journalctl -u 'holdfast-backup@*'", "what the runs said"),
        ("ls /etc/holdfast /var/lib/holdfast", "configuration and state"),
    ):
        line(f"  {PROMPT} {command:<66}{about}")
    print()
    note("Change demo/inventory, see what that would do, and do it:")
    line(f"  $ export PATH={CACHE}/venv/bin:$PATH ANSIBLE_CONNECTION_PLUGINS=tests/connection")
    line(f"  $ {shlex.join(playbook('playbooks/site.yml', '--check', '--diff'))}")
    line(f"  $ {shlex.join(playbook('playbooks/site.yml'))}")


def main() -> int:
    """Run the demo, or remove what it left running."""
    parser = ArgumentParser(prog="python -m demo.run", description=__doc__)
    parser.add_argument("--clean", action="store_true", help="remove the host, and with it all that the demo made")
    clean = parser.parse_args().clean
    os.chdir(HERE.parent)
    began = time.monotonic()
    try:
        if clean:
            if shutil.which("podman"):
                hosts.stop(NAME)
            return 0
        story()
    except (DemoError, hosts.HostError) as error:
        print(f"\nThe demo failed. {error}\n\nThe host, if it is up, is left as it is: podman exec -it {NAME} bash", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    epilogue(time.monotonic() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main())
