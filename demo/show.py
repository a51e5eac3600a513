"""What a person sees of the demo: numbered steps, each command as it could be typed, what it says, the seconds it took."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

MARGIN = " " * 5
WIDTH = 125
PROSE_WIDTH = 110
SHOWN_OF_A_FAILURE = 80
BOLD, DIM, CYAN = "1", "2", "36"

Trim = Callable[[Iterable[str]], Iterable[str]]


class DemoError(Exception):
    """A step did not do what it should; the text says which command, and what it said last."""


def styled(text: str, style: str) -> str:
    """A text in a terminal's style, or as it is elsewhere."""
    return f"\x1b[{style}m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def line(text: str = "") -> None:
    """One line below a step."""
    print(f"{MARGIN}{text}".rstrip(), flush=True)


def note(text: str) -> None:
    """A sentence or two below a step."""
    for part in textwrap.wrap(text, PROSE_WIDTH):
        line(part)


class Steps:
    """Counts the steps."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0

    @contextmanager
    def step(self, title: str, about: str = "") -> Iterator[None]:
        """Print a step's number and title, and at its end the seconds that it took."""
        self._number += 1
        began = time.monotonic()
        print(f"\n{styled(f'{self._number:2}/{self._total}  {title}', BOLD)}", flush=True)
        if about:
            note(about)
        yield
        line(styled(f"({time.monotonic() - began:.1f} s)", DIM))


def command(prompt: str, text: str) -> None:
    """A command as a person would type it."""
    line(styled(f"{prompt} {text}", CYAN))


def output(text: str) -> None:
    """A line of what a command said; a long one goes on below."""
    for part in textwrap.wrap(text, WIDTH, subsequent_indent="    ", drop_whitespace=True, break_long_words=False) or [""]:
        line(f"  {part}")


def run(argv: Sequence[str], *, trim: Trim | None = None, expect: int = 0, prompt: str = "$", shown: str | None = None) -> str:
    """Show a command, run it, show what it says, and give that.

    Args:
        argv: the command.
        trim: what to show of its lines; left out: all of them.
        expect: the exit status that it should end with.
        prompt: what stands before it.
        shown: the command as a person would type it, if not as it is.

    Raises:
        DemoError: it ended with another status.
    """
    command(prompt, shown or shlex.join(argv))
    said: list[str] = []
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout
        for text in (trim or all_of)(_kept(process.stdout, said)):
            output(text)
    if process.returncode != expect:
        text = "\n".join(said[-SHOWN_OF_A_FAILURE:])
        raise DemoError(f"{shlex.join(argv)}\nended with status {process.returncode}, not {expect}. It said:\n\n{text}")
    return "\n".join(said)


def quiet(argv: Sequence[str]) -> str:
    """Run a command without showing it, and give its output.

    Raises:
        DemoError: it failed.
    """
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"{shlex.join(argv)}\nended with status {done.returncode}. It said:\n\n{done.stdout}{done.stderr}")
    return done.stdout


def _kept(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    for text in lines:
        kept.append(text.rstrip("\n"))
        yield kept[-1]


def all_of(lines: Iterable[str]) -> Iterable[str]:
    """Every line as it comes."""
    return lines


def ends(first: int, final: int) -> Trim:
    """The first and the last lines, with how many stand between them."""

    def trim(lines: Iterable[str]) -> Iterator[str]:
        kept = list(lines)
        if len(kept) <= first + final:
            yield from kept
            return
        yield from kept[:first]
        yield f"... {len(kept) - first - final} lines more"
        yield from kept[-final:]

    return trim


def matching(pattern: str) -> Trim:
    """The lines that match a regular expression."""
    return lambda lines: (text for text in lines if re.search(pattern, text))


def tasks(lines: Iterable[str]) -> Iterator[str]:
    """Of a playbook's output: the tasks that changed something, messages, warnings, and the sum."""
    task = ""
    result: list[str] = []
    for text in lines:
        if result:
            result.append(text)
            if text == "}":
                yield from _message(result)
                result = []
            continue
        heading = re.match(r"TASK \[(.*)\] \*+$", text)
        changed = re.match(r"changed: \[[^]]*\](?: => \(item=(.*)\))?", text)
        recap = re.match(r"\S+\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", text)
        if heading:
            task = heading[1].removeprefix("holdfast.backup.")
        elif changed:
            yield f"changed: {task}{f' ({changed[1]})' if changed[1] else ''}"
        elif re.match(r"ok: .* => \{$", text):
            result = ["{"]
        elif recap:
            yield f"{recap[1]} tasks, {recap[2]} of them changed something, {int(recap[3]) + int(recap[4])} failed"
        elif text.startswith("[WARNING]"):
            yield text


def _message(result: Sequence[str]) -> list[str]:
    """The lines of a task's message."""
    found = json.loads("".join(result)).get("msg", "")
    return found if isinstance(found, list) else str(found).splitlines()
