# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The environment of every program that we start."""

from __future__ import annotations

import os

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base_environment() -> dict[str, str]:
    """What every program of ours gets: a fixed search path and language, and no secret."""
    kept = {key: os.environ[key] for key in ("HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR") if key in os.environ}
    return {"PATH": PATH, "LC_ALL": "C", **kept}
