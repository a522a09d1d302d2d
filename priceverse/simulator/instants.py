"""Instants as the venues print them: RFC 3339 with a number of decimals, or a whole number of some unit.

The rule: reading and printing an instant keeps the number of digits it had.
"""

from datetime import UTC, datetime
from functools import lru_cache

from priceverse.simulator.match import NS_PER_S

_UNITS_NS = {10: NS_PER_S, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds per unit of a whole number, by its digits: s, ms, us, ns (from 2001 to 2286)."""


def rfc3339(ns: int, decimals: int = 6) -> str:
    """Print an instant in UTC: `2026-09-26T18:07:54.626190Z`; more decimals than asked for are cut."""
    second = _second(ns // NS_PER_S)
    return f"{second}.{f'{ns % NS_PER_S:09d}'[:decimals]}Z" if decimals else f"{second}Z"


def read_instant(text: str) -> int:
    """Return ns of an instant in RFC 3339 (UTC) or as a whole number; raises ValueError."""
    if text.isdecimal():
        if len(text) not in _UNITS_NS:
            raise ValueError(f"an instant of {len(text)} digits")
        return int(text) * _UNITS_NS[len(text)]
    second, _, decimals = text.removesuffix("Z").partition(".")
    parsed = datetime.fromisoformat(second).replace(tzinfo=UTC)
    return int(parsed.timestamp()) * NS_PER_S + int(decimals[:9].ljust(9, "0"))


def like(model: str, ns: int) -> str:
    """Print `ns` in the form and with the number of digits of `model`."""
    if model.isdecimal():
        return str(ns // _UNITS_NS[len(model)])
    return rfc3339(ns, len(model.removesuffix("Z").partition(".")[2]))


@lru_cache(maxsize=64)
def _second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
