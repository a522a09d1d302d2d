"""JSON from strangers: bytes in, a checked structure out, one kind of refusal.

What is accepted: UTF-8, one value, nested at most `MAX_DEPTH` deep, no NaN; of a repeated key the last one counts.
"""

import re
from typing import TypeVar

import msgspec

T = TypeVar("T")

MAX_DEPTH = 16
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # an unclosed one runs to the end: never a second attempt
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_FAULT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>\$.*)`)?", re.DOTALL)
_FIELD = re.compile(r"field `(?P<name>.*)`", re.DOTALL)


class MalformedError(ValueError):
    """The bytes are not what was asked for: `what` says why, `path` (JSON path) says where."""

    def __init__(self, what: str, path: str = "$") -> None:
        super().__init__(f"{what} at {path}")
        self.what = what
        self.path = path


def check(body: bytes) -> None:
    """Refuse bytes that are not UTF-8 or are nested too deep; what else JSON forbids the decoders find.

    Raises MalformedError.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            raise MalformedError("not UTF-8") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise MalformedError(f"nested deeper than {MAX_DEPTH}")


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, root: str = "$") -> T:
    """Decode one value. Raises MalformedError, its path beginning with `root`, for what `decoder` does not accept."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as fault:
        raise _located(str(fault), root) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise MalformedError(f"not JSON: {fault}", root) from None


def _located(fault: str, root: str) -> MalformedError:
    match = _FAULT.fullmatch(fault)
    assert match is not None  # every part of the pattern is optional
    path = root + (match["path"] or "$")[1:]
    field = _FIELD.search(match["what"])
    return MalformedError(match["what"], f"{path}.{field['name']}" if field else path)


def _depth(body: bytes) -> int:
    deepest = depth = 0
    bare = _STRING.sub(b"", body) if b"\\" in body else b"".join(body.split(b'"')[::2])
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
