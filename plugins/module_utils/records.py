# Copyright (c) Holdfast contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Records, and what they are as plain documents.

What never changes once it is made is a NamedTuple, what is filled step by step a dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from types import MappingProxyType

__all__ = ["NamedTuple", "plain"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:

    class NamedTuple(tuple):
        """What typing.NamedTuple is, as far as records need it.

        A run waits for all its classes to be made, and typing's take 7 ms of the 150 that it may cost.
        """

        __slots__ = ()
        _fields = ()
        _field_defaults = MappingProxyType({})

        def __init_subclass__(cls) -> None:
            cls._fields = tuple(cls.__annotations__)
            cls._field_defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}
            for index, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(index)))

        def __new__(cls, *values, **named):
            try:
                rest = [named.pop(name) if name in named else cls._field_defaults[name] for name in cls._fields[len(values) :]]
            except KeyError as missing:
                raise TypeError(f"{cls.__name__}: {missing} is missing") from None
            if named or len(values) > len(cls._fields):
                raise TypeError(f"{cls.__name__}: has no {', '.join(named) or 'so many fields'}")
            return super().__new__(cls, (*values, *rest))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def __getnewargs__(self):
            return tuple(self)

        def _asdict(self):
            return dict(zip(self._fields, self))

        def _replace(self, **changes):
            return type(self)(**{**self._asdict(), **changes})


def plain(value: Any) -> Any:
    """A value in which every record, at any depth, is a mapping by its field names, and every tuple a list: as JSON can hold it."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
