"""Records: what the engine needs of typing.NamedTuple, without its cost."""

from __future__ import annotations

import copy
import pickle
from typing import NamedTuple as Typed

import pytest

from holdfast import records
from holdfast.records import NamedTuple, plain


class Own(NamedTuple):
    name: str
    size: int = 3
    rest: tuple[str, ...] = ()

    @property
    def twice(self) -> int:
        return 2 * self.size


class Model(Typed):
    name: str
    size: int = 3
    rest: tuple[str, ...] = ()


def test_it_is_not_the_one_of_typing() -> None:
    assert records.NamedTuple is not Typed


@pytest.mark.parametrize(("values", "named"), [(("a",), {}), (("a", 1), {}), ((), {"name": "a", "rest": ("b",)}), (("a", 1, ("c",)), {})])
def test_it_is_made_like_the_one_of_typing(values: tuple[object, ...], named: dict[str, object]) -> None:
    own, model = Own(*values, **named), Model(*values, **named)  # type: ignore[arg-type]
    assert tuple(own) == tuple(model)
    assert own._asdict() == model._asdict()
    assert repr(own) == repr(model).replace("Model", "Own")
    assert (own.name, own.size, own.rest) == tuple(model)


@pytest.mark.parametrize(("values", "named"), [((), {}), (("a", 1, (), 2), {}), (("a",), {"name": "b"}), (("a",), {"other": 1})])
def test_what_does_not_fit_is_refused(values: tuple[object, ...], named: dict[str, object]) -> None:
    for kind in (Own, Model):
        with pytest.raises(TypeError):
            kind(*values, **named)  # type: ignore[arg-type]


def test_a_field_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Own("a").size = 4  # type: ignore[misc]


def test_a_changed_copy_leaves_the_first_alone() -> None:
    first = Own("a")
    assert first._replace(size=4) == Own("a", 4)
    assert first == Own("a", 3)
    assert first.twice == 6
    with pytest.raises(TypeError):
        first._replace(other=4)  # type: ignore[call-arg]


def test_copies_are_equal() -> None:
    first = Own("a", rest=("b",))
    assert copy.deepcopy(first) == first
    assert pickle.loads(pickle.dumps(first)) == first
    assert hash(copy.copy(first)) == hash(first)


def test_records_in_records_are_plain_documents() -> None:
    assert plain({"one": Own("a", rest=("b",))}) == {"one": {"name": "a", "size": 3, "rest": ["b"]}}
