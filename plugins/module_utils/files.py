# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Small files that are never seen half written."""

from __future__ import annotations

import json
import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Replace a file in one step, so that a reader, a kill or a full disk meets the old or the new one.

    Args:
        path: the file; its directory must exist.
        content: text is written as UTF-8.
        mode: the permission bits, whatever the umask.
        owner: uid and gid, or None for those of this process.

    Raises:
        OSError: as the file system says; the old file then stands as it was.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink()
        raise


def read_text(path: Path) -> str | None:
    """The content of a file, or None where there is none; bytes that are no UTF-8 come as surrogates."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def read_json(path: Path) -> Any:
    """The document in a file, or None where there is none.

    Raises:
        ValueError: the file holds no JSON.
    """
    text = read_text(path)
    return None if text is None else json.loads(text)


def write_json(path: Path, document: Any, mode: int = 0o644) -> None:
    """Replace a file by a JSON document, in one step."""
    write_atomically(path, json.dumps(document, sort_keys=True) + "\n", mode)


def remove(path: Path) -> None:
    """Delete a file, or a directory with all in it."""
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink()
