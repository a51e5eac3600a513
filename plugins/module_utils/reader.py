# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what people declare: each mistake names the key, the value and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .errors import ConfigurationError
from .quantities import parse_duration, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_REQUIRED = object()


def wrong(where: str, value: object, problem: str, remedy: str) -> ConfigurationError:
    """The error for a value that cannot be used, in one paragraph."""
    return ConfigurationError(f"{where}: {value!r} {problem}. {remedy}")


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """``Did you mean …?`` where one of the known words is near, else the other sentence."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else otherwise


def check_name(where: str, name: object) -> str:
    """A name that can stand in units, files, labels and on the command line as it is.

    Raises:
        ConfigurationError: it cannot.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise wrong(
            where,
            name,
            "is no valid name",
            "Names begin with a letter or digit, go on with letters, digits, '_', '.' or '-', and have 64 characters at most.",
        )
    return name


def kind_of(value: object) -> str:
    """What kind of value it is, for an error that must not show it."""
    kinds = ((bool, "true or false"), (str, "a text"), ((int, float), "a number"), ((list, tuple), "a list"), (Mapping, "a mapping"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "empty")


def check_mapping(where: str, value: object) -> Mapping[str, Any]:
    """A mapping with text keys.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: is {kind_of(value)}, not a mapping. Write it as 'key: value' pairs below the name.")
    for key in value:
        if not isinstance(key, str):
            raise wrong(where, key, "is not a text key", "Put the key in quotes.")
    return value


def choose(where: str, value: object, known: Iterable[str], kind: str) -> str:
    """One of several known words.

    Raises:
        ConfigurationError: it is none of them.
    """
    words = sorted(known)
    if not isinstance(value, str) or value not in words:
        raise wrong(where, value, f"is no known {kind}", suggestion(str(value), words, f"Known: {', '.join(words) or 'none'}."))
    return value


class Reader:
    """Takes the keys of one mapping, one after the other; what is left at the end is a mistake."""

    def __init__(self, mapping: object, where: str) -> None:
        self._mapping = dict(check_mapping(where, mapping))
        self._known: list[str] = []
        self.where = where

    def at(self, key: str) -> str:
        """How an error names a key of this mapping."""
        return f"{self.where}.{key}" if self.where else key

    def value(self, key: str, default: Any = _REQUIRED) -> Any:
        """The value as it stands; null counts as left out.

        Raises:
            ConfigurationError: it is left out and has no default.
        """
        self._known.append(key)
        found = self._mapping.pop(key, None)
        if found is not None:
            return found
        if default is _REQUIRED:
            raise ConfigurationError(f"{self.at(key)}: is required but missing. Add '{key}:' to {self.where}.")
        return default

    def _converted(self, key: str, default: Any, convert: Callable[[Any], Any], problem: str, remedy: str) -> Any:
        found = self.value(key, default)
        if found is default:
            return found
        try:
            return convert(found)
        except (ValueError, TypeError):
            raise wrong(self.at(key), found, problem, remedy) from None

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """A text without control characters; numbers are taken as written."""

        def convert(found: Any) -> str:
            if isinstance(found, bool) or not isinstance(found, (str, int, float)) or re.search(r"[\x00-\x1f\x7f]", str(found)):
                raise ValueError
            return str(found)

        return self._converted(
            key,
            default,
            convert,
            "is not a line of text",
            "Give one line of text, in quotes where it has special characters.",
        )

    def flag(self, key: str, default: Any = _REQUIRED) -> Any:
        """true or false, also in the spellings of YAML 1.1."""

        def convert(found: Any) -> bool:
            if isinstance(found, bool):
                return found
            if isinstance(found, str) and found.lower() in _TRUTH:
                return _TRUTH[found.lower()]
            raise ValueError

        return self._converted(key, default, convert, "is neither true nor false", "Write true or false.")

    def whole(self, key: str, default: Any = _REQUIRED, least: int = 0, most: int = 2**31) -> Any:
        """A whole number between two bounds."""

        def convert(found: Any) -> int:
            if isinstance(found, bool) or not re.fullmatch(r"-?\d+", str(found).strip()) or not least <= int(found) <= most:
                raise ValueError
            return int(found)

        return self._converted(key, default, convert, "is out of range or no whole number", f"Give a whole number of at least {least}.")

    def number(self, key: str, default: Any = _REQUIRED, least: float = 0.0) -> Any:
        """A number with a lower bound."""

        def convert(found: Any) -> float:
            if isinstance(found, bool) or not least <= float(found) < 2**31:
                raise ValueError
            return float(found)

        return self._converted(key, default, convert, "is out of range or no number", f"Give a number of at least {least}, such as 1.5.")

    def duration(self, key: str, default: Any = _REQUIRED, least: int = 1) -> Any:
        """Seconds, written like ``26h``."""

        def convert(found: Any) -> int:
            seconds = parse_duration(found)
            if seconds < least:
                raise ValueError
            return seconds

        return self._converted(
            key,
            default,
            convert,
            "is no usable duration",
            "Write a number with s, m, h, d or w, such as 30m, 26h or 35d.",
        )

    def size(self, key: str, default: Any = _REQUIRED, least: int = 1) -> Any:
        """Bytes, written like ``512M``."""

        def convert(found: Any) -> int:
            size = parse_size(found)
            if size < least:
                raise ValueError
            return size

        return self._converted(key, default, convert, "is no usable size", "Write a number with K, M, G or T, such as 512M.")

    def path(self, key: str, default: Any = _REQUIRED) -> Any:
        """An absolute path."""
        found = self.text(key, default)
        return found if found is default else check_path(self.at(key), found)

    def items(self, key: str, default: Any = _REQUIRED) -> Any:
        """A list."""

        def convert(found: Any) -> list[Any]:
            if not isinstance(found, (list, tuple)):
                raise TypeError
            return list(found)

        return self._converted(key, default, convert, "is not a list", "Write it as a list, also when it has one entry.")

    def texts(self, key: str, default: Any = _REQUIRED) -> Any:
        """A list of texts, none of them empty."""
        found = self.items(key, default)
        if found is default:
            return found
        for number, item in enumerate(found):
            if isinstance(item, bool) or not isinstance(item, (str, int, float)) or not str(item) or "\0" in str(item):
                raise wrong(f"{self.at(key)}[{number}]", item, "is not a text", "Put the entry in quotes.")
        return [str(item) for item in found]

    def word(self, key: str, known: Iterable[str], kind: str, default: Any = _REQUIRED) -> Any:
        """One of several known words."""
        found = self.value(key, default)
        return found if found is default else choose(self.at(key), found, known, kind)

    def also_known(self, *keys: str) -> None:
        """Name keys that are read elsewhere, for the hints of ``end``."""
        self._known.extend(keys)

    def end(self) -> None:
        """Refuse the keys that nobody asked for.

        Raises:
            ConfigurationError: there are some.
        """
        for key in self._mapping:
            hint = suggestion(key, self._known, f"Known keys: {', '.join(sorted(self._known))}.")
            raise ConfigurationError(f"{self.at(key)}: is an unknown key. {hint}")


def check_path(where: str, path: str) -> str:
    """An absolute path without ``.`` or ``..`` parts and without a slash at the end.

    Raises:
        ConfigurationError: it is not absolute, or has such parts.
    """
    if not path.startswith("/"):
        raise wrong(where, path, "is not an absolute path", "Begin it with '/'.")
    parts = [part for part in path.split("/") if part]
    if "." in parts or ".." in parts:
        raise wrong(where, path, "has a '.' or '..' in it", "Write the path without them.")
    return "/" + "/".join(parts)
