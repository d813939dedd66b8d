from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.model.exact import ExactNumber, dumps_exact, loads_exact

NUMBER = st.from_regex(
    r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
).filter(str.isascii)
TEXT = st.text(st.characters(codec="utf-8"))


class Bare(str):
    """A number's text, to be written without quotes."""


def write(tree: Any) -> str:
    if isinstance(tree, Bare):
        return str(tree)
    if isinstance(tree, dict):
        members = (f"{json.dumps(name)} : {write(value)}" for name, value in tree.items())
        return "{" + ",".join(members) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(write, tree)) + "]"
    return json.dumps(tree)


def read(raw: bytes | str) -> Any:
    return json.loads(raw, parse_float=Bare, parse_int=Bare)


TREES = st.recursive(
    st.none() | st.booleans() | TEXT | NUMBER.map(Bare),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(TREES)
def test_no_number_changes_its_text_and_no_member_its_place(tree: Any) -> None:
    raw = write(tree)
    written = dumps_exact(loads_exact(raw))
    assert read(written) == read(raw)
    assert list(map(str, numbers(read(written)))) == list(map(str, numbers(tree)))
    assert names(read(written)) == names(tree)


def numbers(tree: Any) -> list[str]:
    if isinstance(tree, Bare):
        return [tree]
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [number for item in inner for number in numbers(item)]


def names(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return [name for key, value in tree.items() for name in (key, *names(value))]
    return [name for item in tree for name in names(item)] if isinstance(tree, list) else []


@pytest.mark.parametrize(
    "text",
    [
        "1.00",
        "0.40",
        "1e2",
        "1E+02",
        "-0",
        "-0.0",
        "0",
        "123456789012345678",
        "12345678901234567890123",
        "3.14159265358979323846264338327950288",
    ],
)
def test_numbers_keep_their_text(text: str) -> None:
    assert dumps_exact(loads_exact(f'{{"value":{text}}}')) == f'{{"value":{text}}}'.encode()


def test_numbers_can_be_compared_and_copied() -> None:
    tree = loads_exact(b'{"value":1.00,"count":3}')
    assert tree["value"] == 1
    assert tree["value"] == Decimal("1.0")
    assert tree["count"] + 1 == 4
    again = pickle.loads(pickle.dumps(copy.deepcopy(copy.copy(tree))))
    assert dumps_exact(again) == b'{"value":1.00,"count":3}'


def test_new_numbers_can_be_put_in() -> None:
    assert (
        dumps_exact({"a": Decimal("2.50"), "b": 1.5, "c": ExactNumber("7.0")})
        == b'{"a":2.50,"b":1.5,"c":7.0}'
    )


@pytest.mark.parametrize("raw", [b"NaN", b"[Infinity]", b"{", b'{"a":1e99999999999999999999}', b"\xff"])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads_exact(raw)


@pytest.mark.parametrize("value", [Decimal("NaN"), {1, 2}])
def test_what_has_no_form_in_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        dumps_exact({"value": value})
