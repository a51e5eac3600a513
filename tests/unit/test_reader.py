"""Reading what people declare."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ConfigurationError
from holdfast.reader import Reader, check_name, check_path, choose


def read(kind: str, value: object, **options: Any) -> Any:
    """What a reader makes of a value below the key ``key``."""
    return getattr(Reader({"key": value}, "top"), kind)("key", **options)


@pytest.mark.parametrize(
    ("kind", "written", "read_as"),
    [
        ("text", "a b", "a b"), ("text", 8, "8"), ("text", "", ""), ("text", "é%$\"'", "é%$\"'"),
        ("flag", True, True), ("flag", "yes", True), ("flag", "Off", False),
        ("whole", 3, 3), ("whole", "3", 3), ("whole", 0, 0),
        ("number", "1.5", 1.5), ("number", 2, 2.0),
        ("duration", "26h", 93600), ("size", "1K", 1024),
        ("path", "/srv//app/", "/srv/app"), ("path", "/", "/"),
        ("items", ["a", 1], ["a", 1]), ("items", (), []),
        ("texts", ["a", 1, "b c"], ["a", "1", "b c"]),
    ],
)  # fmt: skip
def test_values_are_read(kind: str, written: object, read_as: object) -> None:
    assert read(kind, written) == read_as


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("text", True), ("text", ["a"]), ("text", {"a": 1}), ("text", "two\nlines"), ("text", "bell\a"),
        ("flag", 1), ("flag", "maybe"), ("flag", []),
        ("whole", 1.5), ("whole", True), ("whole", -1), ("whole", "many"), ("whole", 2**40), ("whole", [1]),
        ("number", -1), ("number", "x"), ("number", True), ("number", "nan"), ("number", "inf"),
        ("duration", "soon"), ("duration", 0), ("size", "big"), ("size", 0),
        ("path", "srv/app"), ("path", "/srv/../etc"), ("path", "/srv/./a"), ("path", ""), ("path", ["/srv"]),
        ("items", "a"), ("items", {"a": 1}),
        ("texts", ["a", None]), ("texts", [""]), ("texts", [True]), ("texts", [["a"]]), ("texts", ["a\0b"]),
    ],
)  # fmt: skip
def test_wrong_values_are_named_and_shown(kind: str, wrong: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(kind, wrong)
    message = str(caught.value)
    shown = wrong[-1] if isinstance(wrong, list) and kind == "texts" else wrong
    assert message.startswith("top.key")
    assert repr(shown) in message
    assert re.search(r"\. [A-Z][^.]+\.?", message), "no remedy"


@given(
    st.sampled_from(["text", "flag", "whole", "number", "duration", "size", "path", "items", "texts"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_no_value_is_worse_than_a_configuration_error(kind: str, value: object) -> None:
    with suppress(ConfigurationError):
        read(kind, value, default=None)


def test_null_counts_as_left_out() -> None:
    assert read("text", None, default="else") == "else"


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^top\.url: is required but missing\. Add 'url:' to top\.$"):
        Reader({}, "top").text("url")


def test_bounds_of_whole_numbers_are_kept() -> None:
    assert read("whole", 1, least=1, most=2) == 1
    for outside in (0, 3):
        with pytest.raises(ConfigurationError, match=rf"^top\.key: {outside} "):
            read("whole", outside, least=1, most=2)


def test_the_lower_bound_of_numbers_is_kept() -> None:
    assert read("number", 0.5, least=0.5) == 0.5
    with pytest.raises(ConfigurationError, match=r"^top\.key: 0\.4 "):
        read("number", 0.4, least=0.5)


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    reader = Reader({"frequencey": "daily"}, "grafana_backup")
    reader.text("frequency", "daily")
    with pytest.raises(ConfigurationError, match=r"^grafana_backup\.frequencey: is an unknown key.* Did you mean frequency\?$"):
        reader.end()


def test_where_no_known_key_is_near_all_are_listed() -> None:
    reader = Reader({"zzz": 1}, "top")
    reader.text("b", "")
    reader.text("a", "")
    with pytest.raises(ConfigurationError, match=r"Known keys: a, b\.$"):
        reader.end()


@pytest.mark.parametrize("key", ["pasword", "passwd", "password", "api_key", "secret_key", "token"])
def test_the_value_of_an_unknown_key_that_may_be_a_secret_is_never_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Reader({key: "hunter2"}, "top").end()
    assert key in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("wrong", [None, "text", ["list"], 3])
def test_what_is_no_mapping_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^top: .* not a mapping\. Write it"):
        Reader(wrong, "top")


def test_keys_must_be_text() -> None:
    with pytest.raises(ConfigurationError, match=r"^top: 1 is not a text key\. Put the key in quotes\.$"):
        Reader({1: "a"}, "top")


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True))
def test_good_names_are_taken_as_they_are(name: str) -> None:
    assert check_name("x", name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "a b", "a/b", "a@b", "ä", "a\n", "a" * 65, None, 5, "a%i"])
def test_bad_names_are_refused(name: object) -> None:
    with pytest.raises(ConfigurationError, match=r"is no valid name\. Names begin with a letter or digit"):
        check_name("x", name)


@given(st.lists(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1), max_size=4))
def test_a_checked_path_is_normal(parts: list[str]) -> None:
    path = "//".join(["", *parts, ""]) or "/"
    if {".", ".."} & set(parts):
        with pytest.raises(ConfigurationError, match=r"has a '\.' or '\.\.' in it"):
            check_path("x", path)
    else:
        assert check_path("x", path) == "/" + "/".join(parts)


def test_a_word_out_of_several_is_suggested_or_all_are_listed() -> None:
    assert choose("x", "daily", ["daily", "hourly"], "frequency") == "daily"
    with pytest.raises(ConfigurationError, match=r"'dayly' is no known frequency\. Did you mean daily\?"):
        choose("x", "dayly", ["daily", "hourly"], "frequency")
    with pytest.raises(ConfigurationError, match=r"Known: daily, hourly\."):
        choose("x", "never", ["hourly", "daily"], "frequency")
    with pytest.raises(ConfigurationError, match=r"Known: none\."):
        choose("x", [], [], "frequency")
