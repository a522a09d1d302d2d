"""What a frame may be: bounded text holding one JSON object. Every adapter reads through `read`, which raises nothing.

Two ways in, taken by `read`. The quick one decodes straight into a venue's own structs, whose types say what an
ordinary trade frame is; whatever does not fit goes the careful way, through `tree`, which is slow and total and decides
what it was. Neither rounds a number: one with a point or an exponent arrives as the text that was received, for
`fields` to look at, or through `fields.bare`.
"""

import json
import reprlib
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from priceverse.exchanges.protocol import Control, ControlKind, Item, Reason, Reject

MAX_FRAME = 1 << 20
"""Characters or bytes. The largest documented frame (Bybit, 1024 trades) has about 160 KB."""
MAX_ROWS = 10_000
MAX_DETAIL, MAX_SAMPLE, MAX_SYMBOL, MAX_INTEGER = 200, 500, 64, 40

Shape = TypeVar("Shape", bound=msgspec.Struct)
Object = dict[str, object]

Rows = Annotated[tuple[Shape, ...], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]
"""The rows of an ordinary frame."""

_sample = reprlib.Repr()
_sample.maxlevel, _sample.maxdict, _sample.maxlist = 3, 16, 4
_sample.maxstring = _sample.maxother = _sample.maxlong = 60


class Unusual(Exception):  # noqa: N818 - no error: the careful way decides
    """A frame is not an ordinary one of trades of a symbol of ours."""


class Refused(Unusual):
    """A field cannot be what it should be."""

    def __init__(self, reason: Reason, culprit: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.culprit = culprit

    def reject(self) -> Reject:
        """Return the row's Reject."""
        return reject(self.reason, self.culprit)


FAULTS = (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError)
"""What decoding into structs may raise."""


def read(
    frame: str | bytes, trades: Callable[[str | bytes], list[Item]], anything: Callable[[Object], list[Item]]
) -> list[Item]:
    """Ask `trades` first, which raises one of FAULTS or Unusual unless the frame is ordinary; else ask `anything`."""
    if frame.isascii() and len(frame) <= MAX_FRAME:  # nearly always, and then there is nothing to decode
        try:
            return trades(frame)
        except (*FAULTS, Unusual):
            pass  # the careful way answers
    text = text_of(frame)
    parsed = text if isinstance(text, Reject) else tree(text)
    return [parsed] if isinstance(parsed, Reject) else anything(parsed)


def text_of(frame: str | bytes) -> str | Reject:
    """Return the frame as well-formed text of bounded length."""
    if len(frame) > MAX_FRAME:
        return Reject(Reason.TOO_LARGE, f"{len(frame)} > {MAX_FRAME}: {shown(frame[:MAX_SYMBOL])}")
    try:
        if not isinstance(frame, str):
            return str(frame, "utf-8")
        if not frame.isascii():
            frame.encode()  # a lone surrogate is not text
    except UnicodeError:
        return reject(Reason.NOT_UTF8, frame)
    return frame


def tree(text: str) -> Object | Reject:
    """Decode any JSON object. Literals that JSON lacks (NaN) stay text, absurd integers absurd: their row answers."""
    parsed = document(text)
    return parsed if isinstance(parsed, dict | Reject) else reject(Reason.NOT_AN_OBJECT, parsed)


def document(text: str) -> object | Reject:
    """Decode any JSON at all, numbers as in `tree`."""
    try:
        parsed: object = _JSON.decode(text)
    except RecursionError:
        return Reject(Reason.TOO_DEEP, shown(text[:MAX_SYMBOL]))
    except ValueError:
        return reject(Reason.NOT_JSON, text)
    return parsed


def rows(data: object, shape: type[Shape], trade: Callable[[Shape], Item]) -> list[Item]:
    """Return what `trade` makes of each row of a frame of rows; what is not a row is a Reject in its place."""
    if not isinstance(data, list):
        return [reject(Reason.BAD_ENVELOPE, data)]
    items = [row(value, shape, trade) for value in data[:MAX_ROWS]]
    if len(data) > MAX_ROWS:
        items.append(Reject(Reason.TOO_MANY_ROWS, str(len(data))))
    return items or [ignored()]


def row(value: object, shape: type[Shape], trade: Callable[[Shape], Item]) -> Item:
    """Return what `trade` makes of one row: a struct with its fields picked out, a missing one None like a null."""
    if not isinstance(value, dict):
        return reject(Reason.NOT_AN_OBJECT, value)
    names = zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)
    return trade(shape(**{field: value.get(key) for field, key in names}))


def reject(reason: Reason, culprit: object) -> Reject:
    """Return a Reject that shows the culprit, whatever it is, in bounded printable text."""
    return Reject(reason, _sample.repr(culprit)[:MAX_SAMPLE])


def ignored(symbol: object = None) -> Control:
    """Return the Control of what is well formed and not ours."""
    return Control(ControlKind.IGNORED, symbol_of(symbol))


def symbol_of(value: object) -> str | None:
    """Return a symbol that a control frame names, if it names one."""
    return shown(value)[:MAX_SYMBOL] if isinstance(value, str) and value else None


def shown(*values: object) -> str:
    """Return a venue's own words in bounded text that any log can hold."""
    words = (value[:MAX_DETAIL] if isinstance(value, str) else _sample.repr(value) for value in values)
    return " ".join(words)[:MAX_DETAIL].encode("utf-8", "backslashreplace").decode()


def _integer(digits: str) -> int:
    """Read an integer; of an endless one so much that every field still refuses it, as it does on the quick way."""
    return int(digits[: MAX_INTEGER + 1])


_JSON = json.JSONDecoder(parse_float=str, parse_int=_integer, parse_constant=str)
