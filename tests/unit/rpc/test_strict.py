"""JSON from strangers: what is refused, where, and at what cost."""

import time

import msgspec
import pytest

from priceverse.rpc import strict
from priceverse.rpc.strict import MAX_DEPTH, MalformedError


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    many: tuple[str, ...] = ()


THINGS = msgspec.json.Decoder(Thing)


def read(body):
    strict.check(body)
    return strict.decode(THINGS, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "a",}',
        b'{"name": "a"} {}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\nb"}',
        b'{"name": "a", "many": 01}',
        b'\xef\xbb\xbf{"name": "a"}',
        b"{'name': 'a'}",
    ],
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(MalformedError):
        read(body)


@pytest.mark.parametrize("body", [b'{"name": "\xff"}', b'{"name": "a", "other": "\xc3"}', b'{"\xed\xa0\x80": 1}'])
def test_what_is_not_utf_8_is_refused_even_where_nobody_looks(body):
    with pytest.raises(MalformedError, match="UTF-8"):
        strict.check(body)


def test_the_last_of_repeated_keys_counts():
    assert strict.decode(THINGS, b'{"name": "a", "name": "b"}').name == "b"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{}", "$.name"),
        (b'{"name": 1}', "$.name"),
        (b'{"name": "a", "nmae": 1}', "$.nmae"),
        (b'{"name": "a", "many": ["x", 2]}', "$.many[1]"),
        (b"[]", "$"),
    ],
)
def test_a_refusal_says_where(body, path):
    with pytest.raises(MalformedError) as refused:
        strict.decode(THINGS, body)
    assert refused.value.path == path


def test_paths_begin_at_the_given_root():
    with pytest.raises(MalformedError) as refused:
        strict.decode(THINGS, b'{"name": 1}', "$.input[0]")
    assert refused.value.path == "$.input[0].name"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_bounded(opening, closing):
    strict.check(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH)
    with pytest.raises(MalformedError, match="deep"):
        strict.check(opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1))


@pytest.mark.parametrize("text", [b"[[[[[{{{", b'[[[[[{{{\\"[[[', b"]]]}}}"])
def test_many_shallow_values_and_brackets_in_strings_are_no_depth(text):
    strict.check(b"[" + b'{"a":"%s"},' % text * 1000 + b"1]")


@pytest.mark.parametrize("text", [b"]]]}}}", b']]]\\"}}}'])
def test_brackets_in_strings_close_nothing(text):
    with pytest.raises(MalformedError, match="deep"):
        strict.check(b'["%s",' % text * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("bomb", [b"[" * 65_536, b'"' * 65_536 + b"[" * 20, b'\\"' * 32_768 + b"[" * 20])
def test_hostile_bytes_cost_little(bomb):
    started = time.perf_counter()
    with pytest.raises(MalformedError):
        read(bomb)
    assert time.perf_counter() - started < 0.5
