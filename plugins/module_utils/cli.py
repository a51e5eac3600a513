# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command ``holdfast``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Callable

from .errors import EXIT_COMPLETE, EXIT_FAILED, EXIT_USAGE, HoldfastError

_EPILOG = "Exit status: 0 complete, 1 failed, 2 usage or configuration, 3 partial, 75 busy (another run holds the lock)."


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line says, and give the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["run-ended"], ["forget-ended"]) and os.environ.get("SERVICE_RESULT") == "success":
        return EXIT_COMPLETE
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(words)
    try:
        return int(options.act(options))
    except HoldfastError as error:
        _complain(options, error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED


def _complain(options: argparse.Namespace, error: HoldfastError) -> None:
    from . import log

    if getattr(options, "json", False):
        print(json.dumps({"error": str(error), "exit_status": error.exit_status}))
    log.error(f"holdfast: {error}")


def make_parser() -> argparse.ArgumentParser:
    """Every verb and option."""
    parser = argparse.ArgumentParser(prog="holdfast", description="Back up, check and restore what this host protects.", epilog=_EPILOG)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_backup(verbs)
    _add_status(verbs)
    _add_snapshots(verbs)
    _add_restore(verbs)
    _add_forget(verbs)
    cleanup = _verb(verbs, "cleanup", _cleanup, "settle runs that a reset or kill cut off; runs at boot")
    _json(cleanup)
    for name, act, help_text in (
        ("run", _run, "back up a job in this process; its unit does this"),
        ("run-ended", _run_ended, "take up what systemd knows of a unit that ended"),
        ("run-forget", _run_forget, "thin and prune a repository in this process; its unit does this"),
        ("forget-ended", _forget_ended, "take up what systemd knows of a forget that ended"),
        ("start-failed", _start_failed, "note that a unit could not start"),
    ):
        internal = verbs.add_parser(name, description=help_text)
        internal.add_argument("name")
        internal.set_defaults(act=act)
    return parser


def _verb(
    verbs: Any, name: str, act: Callable[[argparse.Namespace], int], help_text: str, epilog: str = _EPILOG
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(act=act)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _name_argument(parser: argparse.ArgumentParser, kind: str, **options: Any) -> None:
    argument = parser.add_argument(kind.lower(), metavar=kind, **options)
    argument.completer = lambda **_: _names(kind)  # type: ignore[attr-defined]


def _names(kind: str) -> list[str]:
    from . import manifest

    found = manifest.load()
    return list(found.jobs if kind == "JOB" else found.repositories)


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
    from . import follow, manifest

    found = manifest.load()
    if options.all == bool(options.job):
        raise _usage("Name the jobs to back up, or say --all." if not options.all else "Name jobs or say --all, not both.")
    jobs = [found.job(name).name for name in (options.job or found.jobs)]
    return follow.backup(jobs, options.json)


def _usage(text: str) -> HoldfastError:
    from .errors import ConfigurationError

    return ConfigurationError(text)


def _status(options: argparse.Namespace) -> int:
    from . import console, manifest, status

    document = status.collect(manifest.load_host())
    print(json.dumps(document) if options.json else console.status_table(document))
    return EXIT_FAILED if options.check and status.unprotected(document) else EXIT_COMPLETE


def _snapshots(options: argparse.Namespace) -> int:
    from . import console, manifest
    from .access import restic_for

    found = manifest.load()
    jobs = [found.job(options.job)] if options.job else list(found.jobs.values())
    names = [options.repository] if options.repository else list(dict.fromkeys(name for job in jobs for name in job.repositories))
    tags = {job.tag: job for job in jobs}
    rows = []
    for name in names:
        listed = restic_for(found.repository(name), found.settings).snapshots(
            host=found.host, tag=jobs[0].tag if options.job else None, lock=False
        )
        for snapshot in listed:
            job = next((tags[tag] for tag in snapshot.tags if tag in tags), None)
            if job is not None:
                rows.append({"job": job.name, "repository": name, **asdict(snapshot)})
    print(json.dumps({"host": found.host, "snapshots": rows}) if options.json else console.snapshot_table(rows))
    return EXIT_COMPLETE


def _restore(options: argparse.Namespace) -> int:
    from . import console, manifest, process, restore
    from .quantities import parse_time

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
        overwrite=options.overwrite,
        delete=options.delete,
        dry_run=options.dry_run,
    )
    process.relay.install()
    with console.ProgressLine(f"restore of {job.name}") as line:
        report = restore.run(found, job, restore.choose_repository(found, job, options.repository), request, line.show)
    print(json.dumps(asdict(report)) if options.json else console.restore_text(report, options.dry_run))
    return EXIT_COMPLETE


def _forget(options: argparse.Namespace) -> int:
    from . import console, follow, forget, manifest

    found = manifest.load()
    repositories = [found.repository(options.repo)] if options.repo else list(found.repositories.values())
    if not options.dry_run:
        return follow.forget([repository.name for repository in repositories], options.json)
    reports = [forget.preview(found, repository) for repository in repositories]
    print(json.dumps([asdict(report) for report in reports]) if options.json else console.forget_text(reports))
    return EXIT_COMPLETE


def _cleanup(options: argparse.Namespace) -> int:
    from . import aftermath

    settled = aftermath.cleanup()
    if options.json:
        print(json.dumps({"settled": settled}))
    return EXIT_COMPLETE


def _run(options: argparse.Namespace) -> int:
    from . import backup, manifest, process

    found = manifest.load()
    process.relay.install()
    return backup.run(found, found.job(options.name)).exit_status


def _run_ended(options: argparse.Namespace) -> int:
    from . import aftermath

    aftermath.unit_ended(options.name)
    return EXIT_COMPLETE


def _start_failed(options: argparse.Namespace) -> int:
    from . import aftermath, layout

    aftermath.start_failed(options.name, layout.backup_unit(options.name))
    return EXIT_COMPLETE


def _run_forget(options: argparse.Namespace) -> int:
    from . import forget, manifest, process

    found = manifest.load()
    process.relay.install()
    return forget.run(found, found.repository(options.name)).exit_status


def _forget_ended(options: argparse.Namespace) -> int:
    from . import aftermath

    aftermath.forget_ended(options.name)
    return EXIT_COMPLETE


if __name__ == "__main__":
    sys.exit(main())


__all__ = ["EXIT_USAGE", "main", "make_parser"]
