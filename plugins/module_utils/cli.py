# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command ``holdfast``."""

from __future__ import annotations

import os
import sys

from . import names
from .errors import EXIT_COMPLETE, EXIT_FAILED, HoldfastError
from .terminal import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, Callable

_EPILOG = "Exit status: 0 complete, 1 failed, 2 usage or configuration, 3 partial, 75 busy (another run holds the lock)."


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line says, and give the exit status.

    Every run goes through the internal verbs and most through a plain ``backup JOB``, so these wait for no parser; every verb imports only
    what it needs.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        if words[:1] == [names.WITHIN]:
            from . import enclosure

            return enclosure.enter(words[1:])
        if len(words) == 2 and words[0] in INTERNAL and not words[1].startswith("-"):
            return INTERNAL[words[0]](words[1])
        if len(words) > 1 and words[0] == "backup" and "_ARGCOMPLETE" not in os.environ and not any(word[:1] == "-" for word in words):
            _require_root()
            return _back_up(words[1:], False, False)
        parser = make_parser()
        if "_ARGCOMPLETE" in os.environ:
            import argcomplete

            argcomplete.autocomplete(parser)
        options = parser.parse_args(words)
        if options.act is not _status:
            _require_root()
        return int(options.act(options))
    except HoldfastError as error:
        _complain(error, as_json)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED


def _require_root() -> None:
    if os.geteuid() != 0:
        raise _usage("This reads secrets or starts units: run it as root, with sudo.")


def _complain(error: HoldfastError, as_json: bool) -> None:
    from . import log

    if as_json:
        _print_json({"error": str(error), "exit_status": error.exit_status})
    log.error(f"holdfast: {error}")


def _print_json(document: object) -> None:
    import json

    say(json.dumps(document))


def make_parser() -> argparse.ArgumentParser:
    """Every verb and option."""
    import argparse

    parser = argparse.ArgumentParser(prog="holdfast", description="Back up, check and restore what this host protects.", epilog=_EPILOG)
    verbs = parser.add_subparsers(prog=parser.prog, metavar="VERB", required=True)
    _add_backup(verbs)
    _add_status(verbs)
    _add_snapshots(verbs)
    _add_restore(verbs)
    _add_forget(verbs)
    cleanup = _verb(verbs, "cleanup", _cleanup, "settle runs that a reset or kill cut off, and destroy their ZFS snapshots; runs at boot")
    _json(cleanup)
    return parser


def _raw_text(prog: str) -> argparse.HelpFormatter:
    import argparse

    return argparse.RawDescriptionHelpFormatter(prog)


def _verb(
    verbs: Any, name: str, act: Callable[[argparse.Namespace], int], help_text: str, epilog: str = _EPILOG
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=epilog,
        formatter_class=_raw_text,
    )
    parser.set_defaults(act=act)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _name_argument(parser: argparse.ArgumentParser, kind: str, **options: Any) -> None:
    argument = parser.add_argument(kind.lower(), metavar=kind, **options)
    argument.completer = lambda **_: _names(kind)  # type: ignore[attr-defined]


def _names(kind: str) -> list[str]:
    from . import document

    return list(document.read()["jobs" if kind == "JOB" else "repositories"])


def _add_backup(verbs: Any) -> None:
    parser = _verb(verbs, "backup", _backup, "back up jobs now: start their units and follow them")
    _name_argument(parser, "JOB", nargs="*", help="job or service; see holdfast status")
    parser.add_argument("--all", action="store_true", help="every job of this host, one after the other")
    _json(parser)


def _add_status(verbs: Any) -> None:
    parser = _verb(verbs, "status", _status, "show how well each job is protected; asks no repository")
    parser.add_argument("--check", action="store_true", help="exit 1 if a job's last success is older than its protection class allows")
    _json(parser)


def _add_snapshots(verbs: Any) -> None:
    parser = _verb(verbs, "snapshots", _snapshots, "list the restic snapshots of a job, or of all")
    _name_argument(parser, "JOB", nargs="?", help="job or service")
    parser.add_argument("--repository", metavar="REPO", help="only this repository")
    _json(parser)


def _add_restore(verbs: Any) -> None:
    examples = (
        "examples:\n"
        "  holdfast restore service-grafana --dry-run\n"
        "  holdfast restore service-grafana --overwrite --delete\n"
        '  holdfast restore grafana --at "2026-11-20 03:00" --target /srv/look\n'
        "  holdfast restore system --include /etc/fstab --target /root/old\n\n" + _EPILOG
    )
    parser = _verb(verbs, "restore", _restore, "restore a job, in place or below a directory", examples)
    _name_argument(parser, "JOB", help="job or service")
    parser.add_argument("--repository", metavar="REPO", help="restore from this one; else from the job's first that answers")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--snapshot", metavar="ID", default="latest", help="id of a restic snapshot, or latest (the default)")
    which.add_argument("--at", metavar="TIME", help='newest restic snapshot not younger than this, such as "2026-11-20 03:00"')
    parser.add_argument(
        "--include",
        metavar="PATTERN",
        action="append",
        default=[],
        help="only this path or pattern; may be given again",
    )
    parser.add_argument("--target", metavar="DIR", default="/", help="restore below this directory, with full paths; left out: in place")
    parser.add_argument("--overwrite", action="store_true", help="write over what is there")
    parser.add_argument(
        "--delete",
        action="store_true",
        help="also delete what the restic snapshot does not have, below the restored paths",
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing, list what would change")
    _json(parser)


def _add_forget(verbs: Any) -> None:
    parser = _verb(verbs, "forget", _forget, "thin and prune repositories now: start their units and follow them")
    _name_argument(parser, "REPO", nargs="?", help="repository; left out: all of this host")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, list what would go")
    _json(parser)


def _backup(options: argparse.Namespace) -> int:
    return _back_up(options.job, options.all, options.json)


def _back_up(jobs: Sequence[str], every: bool, as_json: bool) -> int:
    from . import follow

    if every == bool(jobs):
        raise _usage("Name the jobs to back up, or say --all." if not every else "Name jobs or say --all, not both.")
    if every or not all(os.path.exists(f"{names.UNITS}/{names.job_drop_in(job)}") for job in jobs):
        from . import document

        found = document.read()
        jobs = [document.job_name(found, name) for name in (jobs or found["jobs"])]
    return follow.backup(jobs, as_json)


def _usage(text: str) -> HoldfastError:
    from .errors import ConfigurationError

    return ConfigurationError(text)


def _status(options: argparse.Namespace) -> int:
    from . import console, status

    found = status.collect()
    if options.json:
        _print_json(found)
    else:
        say(console.status_table(found))
    return EXIT_FAILED if options.check and status.unprotected(found) else EXIT_COMPLETE


def _snapshots(options: argparse.Namespace) -> int:
    from . import console, manifest
    from .access import restic_for
    from .records import plain

    found = manifest.load()
    jobs = [found.job(options.job)] if options.job else list(found.jobs.values())
    repositories = [options.repository] if options.repository else list(dict.fromkeys(name for job in jobs for name in job.repositories))
    tags = {job.tag: job for job in jobs}
    rows = []
    for name in repositories:
        listed = restic_for(found.repository(name), found.settings).snapshots(
            host=found.host, tag=jobs[0].tag if options.job else None, lock=False
        )
        for snapshot in listed:
            job = next((tags[tag] for tag in snapshot.tags if tag in tags), None)
            if job is not None:
                rows.append({"job": job.name, "repository": name, **plain(snapshot)})
    if options.json:
        _print_json({"host": found.host, "snapshots": rows})
    else:
        say(console.snapshot_table(rows))
    return EXIT_COMPLETE


def _restore(options: argparse.Namespace) -> int:
    from . import console, manifest, process, progress, restore, terminal
    from .quantities import parse_time
    from .records import plain

    try:
        at = parse_time(options.at) if options.at else None
    except ValueError:
        raise _usage(f'--at: {options.at!r} is no time. Write it like "2026-11-20 03:00".') from None
    found = manifest.load()
    job = found.job(options.job)
    request = restore.Request(
        snapshot=options.snapshot,
        at=at,
        include=tuple(options.include),
        target=options.target,
        # A look at what would change is also for somebody who has not decided to write over it.
        overwrite=options.overwrite or options.dry_run,
        delete=options.delete,
        dry_run=options.dry_run,
    )
    process.relay.install()
    with terminal.ProgressLine(f"restore of {job.name}") as line:
        repository = restore.choose_repository(found, job, options.repository)
        report = restore.run(found, job, repository, request, lambda done: line.text(progress.progress_text(done)))
    if options.json:
        _print_json(plain(report))
    else:
        say(console.restore_text(report, options.dry_run))
    return EXIT_COMPLETE


def _forget(options: argparse.Namespace) -> int:
    from . import console, follow, forget, manifest
    from .records import plain

    found = manifest.load()
    repositories = [found.repository(options.repo)] if options.repo else list(found.repositories.values())
    if not options.dry_run:
        return follow.forget([repository.name for repository in repositories], options.json)
    reports = [forget.preview(found, repository) for repository in repositories]
    if options.json:
        _print_json(plain(reports))
    else:
        say(console.forget_text(reports))
    return EXIT_COMPLETE


def _cleanup(options: argparse.Namespace) -> int:
    from . import aftermath

    settled = aftermath.cleanup()
    orphans = aftermath.destroy_snapshots()
    if options.json:
        _print_json({"settled": settled, "zfs_orphaned_snapshots": orphans})
    return EXIT_FAILED if orphans else EXIT_COMPLETE


def _run(job: str) -> int:
    from . import backup, manifest, process

    found = manifest.load()
    process.relay.install()
    return backup.run(found, found.job(job)).exit_status


def _run_ended(job: str) -> int:
    if os.environ.get("SERVICE_RESULT") == "success":
        return EXIT_COMPLETE
    from . import aftermath

    aftermath.unit_ended(job)
    return EXIT_COMPLETE


def _start_failed(job: str) -> int:
    from . import aftermath

    aftermath.start_failed(job)
    return EXIT_COMPLETE


def _run_forget(repository: str) -> int:
    from . import forget, manifest, process

    found = manifest.load()
    process.relay.install()
    return forget.run(found, found.repository(repository)).exit_status


def _forget_ended(repository: str) -> int:
    if os.environ.get("SERVICE_RESULT") == "success":
        return EXIT_COMPLETE
    from . import aftermath

    aftermath.forget_ended(repository)
    return EXIT_COMPLETE


INTERNAL = {
    "run": _run,
    "run-ended": _run_ended,
    "start-failed": _start_failed,
    "run-forget": _run_forget,
    "forget-ended": _forget_ended,
}

if __name__ == "__main__":
    raise SystemExit(main())
