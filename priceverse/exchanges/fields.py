"""What a field of a trade may hold: price, time, id, side. One function each; what does not fit raises `Refused`.

Values come from JSON as `frames` leaves it: str (text, or a number with a point or an exponent), int, bool, None, list
or dict. A number in quotes and one without are the same number; anything that needs a guess is refused.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Clamped, Context, Decimal, InvalidOperation, Overflow, Rounded, Subnormal
from functools import lru_cache
from typing import Annotated, Final, NoReturn

from msgspec import Meta

from priceverse.exchanges.frames import Refused
from priceverse.exchanges.protocol import Reason
from priceverse.model.decimals import LARGEST, MAX_DIGITS, SMALLEST, positive
from priceverse.model.exchange import Side

EARLIEST_MS: Final = 1_230_940_800_000
"""2009-01-03, the first bitcoin. What is earlier, or not in this century, was not ms or is nonsense."""
LATEST_MS: Final = 4_102_444_800_000

Ms = Annotated[int, Meta(ge=EARLIEST_MS, lt=LATEST_MS)]
Number = Annotated[int, Meta(ge=0, lt=10**18)]
"""What the time and the id of a trade ordinarily are, where the venue gives numbers."""

_BUY, _SELL = Side.BUY, Side.SELL  # a member's name costs a tenth of a microsecond to look up
_BAD_TIME, _BAD_ID = Reason.BAD_TIME, Reason.BAD_ID
SIDES: Final[Mapping[str, Side]] = {"buy": _BUY, "sell": _SELL}

_ZERO = Decimal(0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSURD = 10**40
_MATCHES_DIGITS = 5
_LONGEST = 64
"""Characters of a number; `decimals.positive` admits forty digits."""

_PLAIN = re.compile(r"[0-9]{1,15}+(?:\.[0-9]{1,24}+)?+").fullmatch
"""Within the bounds of `decimals.positive` whatever the digits are, but for zero."""
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_SECONDS = re.compile(r"([0-9]{1,15})\.([0-9]{1,24})").fullmatch
_MOST_DIGITS = 40
_TEXT_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}").fullmatch
_SECOND = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}").fullmatch
_SECOND_CHARS = 19
_THOUSANDTHS = {f"{ms:03}": ms for ms in range(1000)}
_AFTER_SECOND = re.compile(r"(?:\.([0-9]+))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))").fullmatch


_TRAPS = [InvalidOperation, Overflow, Rounded, Subnormal, Clamped]
bare = Context(prec=MAX_DIGITS, Emin=SMALLEST, Emax=LARGEST, traps=_TRAPS).create_decimal
"""Return the number of a JSON literal, which has its grammar already: every digit, within the bounds of
`decimals.positive` but for its sign. Raises ArithmeticError. A decoder's `float_hook`."""


def amount(value: object) -> Decimal:
    """Return a price or a volume that `bare` has read, or that is an int or in quotes."""
    return value if type(value) is Decimal and value > _ZERO else price(value)


def price(value: object) -> Decimal:
    """Return a price with exactly the digits received."""
    if isinstance(value, str) and _PLAIN(value) and (number := Decimal(value)):
        return number
    return _unusual(value, Reason.BAD_PRICE)


def volume(value: object) -> Decimal:
    """Return a volume with exactly the digits received."""
    if isinstance(value, str) and _PLAIN(value) and (number := Decimal(value)):  # as in `price`: a call more costs
        return number
    return _unusual(value, Reason.BAD_VOLUME)


def symbol(value: object) -> str:
    """Return a venue's name of a market, ours or not."""
    if isinstance(value, str) and value:
        return value
    raise Refused(Reason.BAD_SYMBOL, value)


def time_ms(value: object) -> int:
    """Return a time given in ms."""
    ms = _whole(value, _BAD_TIME)
    return ms if EARLIEST_MS <= ms < LATEST_MS else _absurd(value)


def time_ns(value: object) -> int:
    """Return a time given in ns as ms, floored."""
    ms = _whole(value, _BAD_TIME) // 1_000_000
    return ms if EARLIEST_MS <= ms < LATEST_MS else _absurd(value)


def time_s(value: object) -> int:
    """Return a time given in seconds, with any decimals, as ms, floored."""
    tail = _SECONDS(value) if isinstance(value, str) else None
    if tail is None:
        return _plausible(_whole(value, _BAD_TIME) * 1000, value)
    return _plausible(int(tail[1]) * 1000 + int(f"{tail[2]}00"[:3]), value)


def time_rfc3339(value: object) -> int:
    """Return an RFC 3339 time (any number of decimals, `Z` or an offset) as ms, floored."""
    if not isinstance(value, str):
        raise Refused(_BAD_TIME, value)
    try:
        ms = _second_ms(value[:_SECOND_CHARS])
    except ValueError:
        raise Refused(_BAD_TIME, value) from None
    digits = value[_SECOND_CHARS + 1 : -1]
    is_usual = digits.isdecimal() and value.isascii() and value[_SECOND_CHARS] == "." and value[-1] == "Z"
    thousandths = _THOUSANDTHS.get(digits[:3]) if is_usual else None
    ms += _beyond_second_ms(value) if thousandths is None else thousandths
    return ms if EARLIEST_MS <= ms < LATEST_MS else _absurd(value)


def numeric_id(value: object) -> str:
    """Return the id of a venue that counts its trades."""
    if type(value) is int and 0 <= value < _ABSURD:
        return str(value)
    return str(_whole(value, _BAD_ID))


def text_id(value: object) -> str:
    """Return the id of a venue that may name its trades as it likes."""
    if not isinstance(value, str):
        return numeric_id(value)
    if (value.isascii() and value.isalnum() and len(value) <= _LONGEST) or _TEXT_ID(value):
        return value
    raise Refused(_BAD_ID, value)


def taker(value: object, sides: Mapping[str, Side]) -> Side:
    """Return the taker's side by the venue's own words."""
    side = sides.get(value) if isinstance(value, str) else None
    if side is None:
        raise Refused(Reason.BAD_SIDE, value)
    return side


def taker_by_maker(buyer_is_maker: object) -> Side:
    """Return the taker's side where the venue says whether the buyer was the maker."""
    if isinstance(buyer_is_maker, bool):
        return _SELL if buyer_is_maker else _BUY
    raise Refused(Reason.BAD_SIDE, buyer_is_maker)


def matches(value: object) -> int:
    """Return how many matches a row joins; 1 where the venue does not say it, or nothing that could be it."""
    if value == "1":
        return 1
    if isinstance(value, str) and len(value) < _MATCHES_DIGITS and value.isascii() and value.isdecimal():
        value = int(value)
    return value if type(value) is int and 0 < value < 10**_MATCHES_DIGITS else 1


def numeric(value: object) -> int | None:
    """Return a whole number of a bounded length, None for anything else."""
    try:
        return _whole(value, _BAD_ID)
    except Refused:
        return None


def flag(value: object) -> bool:
    """Return a boolean that may be missing."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Refused(Reason.BAD_FLAG, value)


def _unusual(value: object, reason: Reason) -> Decimal:
    """Return an amount that is zero, negative, very long, in exponent notation or an int, if it can be one."""
    if isinstance(value, str):
        if len(value) > _LONGEST or not _NUMBER(value):
            raise Refused(reason, value)
    elif isinstance(value, bool) or not isinstance(value, int):
        raise Refused(reason, value)
    try:
        return positive(value)
    except ValueError:
        raise Refused(reason, value) from None


def _whole(value: object, reason: Reason) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS:
        return int(value)
    if type(value) is not int or not 0 <= value < _ABSURD:
        raise Refused(reason, value)
    return value


def _plausible(ms: int, value: object) -> int:
    return ms if EARLIEST_MS <= ms < LATEST_MS else _absurd(value)


def _absurd(value: object) -> NoReturn:
    raise Refused(_BAD_TIME, value)


def _beyond_second_ms(value: str) -> int:
    """Read the decimals and the offset of an RFC 3339 time."""
    tail = _AFTER_SECOND(value, _SECOND_CHARS)
    if tail is None:
        raise Refused(_BAD_TIME, value)
    ms = int(f"{tail[1]}00"[:3]) if tail[1] else 0
    offset_min = int(f"{tail[2]}1") * (int(tail[3]) * 60 + int(tail[4])) if tail[2] else 0
    return ms - offset_min * 60_000


@lru_cache(maxsize=256)
def _second_ms(second: str) -> int:
    """Trades come many to the second, and reading the calendar is the dear part."""
    if not _SECOND(second):
        raise ValueError(second)
    return (datetime.fromisoformat(f"{second}+00:00") - _EPOCH) // timedelta(milliseconds=1)
