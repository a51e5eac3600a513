# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Giving a program another user and no more capabilities than it needs, with setpriv of util-linux."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

USER = "holdfast"
_NUMBERS = {
    "chown": 0,
    "dac_override": 1,
    "dac_read_search": 2,
    "fowner": 3,
    "fsetid": 4,
    "mknod": 27,
    "setfcap": 31,
}


@dataclass(frozen=True)
class Identity:
    """Who a program runs as.

    Attributes:
        user: a user name, or None for this process's own user with all that it may do.
        capabilities: the only ones that it keeps, by setpriv's names.
        groups: supplementary groups beside the user's own.
    """

    user: str | None = None
    capabilities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def prefix(self) -> list[str]:
        """The arguments that stand before the program's own."""
        if self.user is None or os.geteuid() != 0:
            return []
        held = effective_capabilities()
        capabilities = ",".join(["-all", *(f"+{name}" for name in self.capabilities if held >> _NUMBERS[name] & 1)])
        groups = [f"--groups={','.join([self.user, *self.groups])}"] if self.groups else ["--init-groups"]
        return [
            "setpriv",
            f"--reuid={self.user}",
            f"--regid={self.user}",
            *groups,
            "--no-new-privs",
            "--pdeathsig=TERM",
            f"--inh-caps={capabilities}",
            f"--ambient-caps={capabilities}",
            f"--bounding-set={capabilities}",
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
