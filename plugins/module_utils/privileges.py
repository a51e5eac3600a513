# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Giving a program another user and no more capabilities than it needs, with setpriv of util-linux."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from . import names, process
from .files import read_text, write_atomically
from .records import NamedTuple

USER = "holdfast"
_WRITING = "write-file,remove-dir,remove-file,make-char,make-dir,make-reg,make-sock,make-fifo,make-block,make-sym,refer,truncate"
_NUMBERS = {
    "chown": 0,
    "dac_override": 1,
    "dac_read_search": 2,
    "fowner": 3,
    "fsetid": 4,
    "mknod": 27,
    "setfcap": 31,
}


class Identity(NamedTuple):
    """Who a program runs as.

    Attributes:
        user: a user name, or None for this process's own user with all that it may do.
        capabilities: the only ones that it keeps, by setpriv's names.
        groups: supplementary groups beside the user's own.
        within: what stands before even that, such as another mount namespace.
    """

    user: str | None = None
    capabilities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    within: tuple[str, ...] = ()

    def prefix(self, writable: Sequence[Path] | None = None) -> list[str]:
        """The arguments that stand before the program's own.

        Args:
            writable: the only directories that it may write to, where the kernel and setpriv know Landlock; None for no such limit.
        """
        if self.user is None or os.geteuid() != 0:
            return []
        held = effective_capabilities()
        capabilities = ",".join(["-all", *(f"+{name}" for name in self.capabilities if held >> _NUMBERS[name] & 1)])
        groups = [f"--groups={','.join([self.user, *self.groups])}"] if self.groups else ["--init-groups"]
        return [
            *self.within,
            "setpriv",
            f"--reuid={self.user}",
            f"--regid={self.user}",
            *groups,
            "--no-new-privs",
            "--pdeathsig=TERM",
            f"--inh-caps={capabilities}",
            f"--ambient-caps={capabilities}",
            f"--bounding-set={capabilities}",
            *(landlock(writable) if writable is not None else []),
            "--",
        ]


READER = Identity(USER, ("dac_read_search",))
PLAIN = Identity(USER)
RESTORER = Identity(USER, ("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "mknod", "setfcap"))
SELF = Identity()


def effective_capabilities() -> int:
    """The capabilities of this process as the kernel's bit mask (proc(5), CapEff)."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1], 16) if found else 0


def landlock(writable: Sequence[Path]) -> list[str]:
    """setpriv's arguments that take away every way to write (landlock(7)) but below some directories and to devices."""
    if not landlock_works():
        return []
    rules = [f"--landlock-rule=path-beneath:{_WRITING}:{path}" for path in writable if path.exists()]
    return [f"--landlock-access=fs:{_WRITING}", *rules, "--landlock-rule=path-beneath:write-file:/dev"]


def landlock_works() -> bool:
    """Whether this kernel and setpriv (util-linux 2.40) can do it: tried once in each boot of the machine."""
    kept = Path(names.RUNTIME, "landlock")
    known = read_text(kept)
    if known is None:
        tried = process.run(
            ["setpriv", "--no-new-privs", f"--landlock-access=fs:{_WRITING}", "--", "true"], doing="trying Landlock", limit=20.0
        )
        known = "yes" if tried.status == 0 else "no"
        with suppress(OSError):
            os.makedirs(names.RUNTIME, mode=0o755, exist_ok=True)
            write_atomically(kept, known)
    return known == "yes"
