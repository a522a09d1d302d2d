"""What a field of a trade may hold: price, time, id, side. One function each; what does not fit raises `Refused`.

Values come from JSON as `frames` leaves it: str (text, or a number with a point or an exponent), int, bool, None, list
or dict. A number in quotes and one without are the same number; anything that needs a guess is refused.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from priceverse.exchanges.frames import reject
from priceverse.exchanges.protocol import Reason, Reject
from priceverse.model.decimals import positive
from priceverse.model.exchange import Side

EARLIEST_MS: Final = 1_230_940_800_000
"""2009-01-03, the first bitcoin. What is earlier, or not in this century, was not ms or is nonsense."""
LATEST_MS: Final = 4_102_444_800_000

SIDES: Final[Mapping[str, Side]] = {"buy": Side.BUY, "sell": Side.SELL}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSURD = 10**40
_LONGEST = 64
"""Characters of a number; `decimals.positive` admits forty digits."""

_PLAIN = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,24})?").fullmatch
"""Within the bounds of `decimals.positive` whatever the digits are, but for zero."""
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_DIGITS = re.compile(r"[0-9]{1,40}").fullmatch
_TEXT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}").fullmatch
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
).fullmatch


class Refused(Exception):  # noqa: N818 - it becomes a Reject, not an error
    """A field cannot be what it should be."""

    def __init__(self, reason: Reason, culprit: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.culprit = culprit

    def reject(self) -> Reject:
        """Return the row's Reject."""
        return reject(self.reason, self.culprit)


def price(value: object) -> Decimal:
    """Return a price with exactly the digits received."""
    return _amount(value, Reason.BAD_PRICE)


def volume(value: object) -> Decimal:
    """Return a volume with exactly the digits received."""
    return _amount(value, Reason.BAD_VOLUME)


def symbol(value: object) -> str:
    """Return a venue's name of a market, ours or not."""
    if isinstance(value, str) and value:
        return value
    raise Refused(Reason.BAD_SYMBOL, value)


def time_ms(value: object) -> int:
    """Return a time given in ms."""
    return _plausible(_whole(value, Reason.BAD_TIME), value)


def time_ns(value: object) -> int:
    """Return a time given in ns as ms, floored."""
    return _plausible(_whole(value, Reason.BAD_TIME) // 1_000_000, value)


def time_rfc3339(value: object) -> int:
    """Return an RFC 3339 time (any number of decimals, `Z` or an offset) as ms, floored."""
    match = _RFC3339(value) if isinstance(value, str) else None
    if match is None:
        raise Refused(Reason.BAD_TIME, value)
    second, fraction, sign, hours, minutes = match.groups()
    try:
        ms = _second_ms(second)
    except ValueError:
        raise Refused(Reason.BAD_TIME, value) from None
    if fraction:
        ms += int(fraction[:3].ljust(3, "0"))
    if sign:
        offset_ms = (int(hours) * 60 + int(minutes)) * 60_000
        ms += offset_ms if sign == "-" else -offset_ms
    return _plausible(ms, value)


def numeric_id(value: object) -> str:
    """Return the id of a venue that counts its trades."""
    return str(_whole(value, Reason.BAD_ID))


def text_id(value: object) -> str:
    """Return the id of a venue that may name its trades as it likes."""
    if isinstance(value, str):
        if _TEXT_ID(value):
            return value
        raise Refused(Reason.BAD_ID, value)
    return numeric_id(value)


def taker(value: object, sides: Mapping[str, Side]) -> Side:
    """Return the taker's side by the venue's own words."""
    side = sides.get(value) if isinstance(value, str) else None
    if side is None:
        raise Refused(Reason.BAD_SIDE, value)
    return side


def flag(value: object, reason: Reason) -> bool:
    """Return a boolean."""
    if isinstance(value, bool):
        return value
    raise Refused(reason, value)


def _amount(value: object, reason: Reason) -> Decimal:
    if isinstance(value, str):
        if _PLAIN(value):
            number = Decimal(value)
            if number:
                return number
        elif len(value) > _LONGEST or not _NUMBER(value):
            raise Refused(reason, value)
    elif isinstance(value, bool) or not isinstance(value, int):
        raise Refused(reason, value)
    try:
        return positive(value)
    except ValueError:
        raise Refused(reason, value) from None


def _whole(value: object, reason: Reason) -> int:
    if isinstance(value, str) and _DIGITS(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _ABSURD:
        raise Refused(reason, value)
    return value


def _plausible(ms: int, value: object) -> int:
    if EARLIEST_MS <= ms < LATEST_MS:
        return ms
    raise Refused(Reason.BAD_TIME, value)


@lru_cache(maxsize=256)
def _second_ms(second: str) -> int:
    """Trades come many to the second, and parsing a calendar is the dear part."""
    return (datetime.fromisoformat(f"{second}+00:00") - _EPOCH) // timedelta(milliseconds=1)
