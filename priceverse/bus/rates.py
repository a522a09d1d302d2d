"""The official USD/RUB rate on the bus: written by the `rates` child, read by aggregators. It has no time to live.

The rule: a rate never expires silently; its date is inside, and the reader decides what is too old.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor
from priceverse.log import get_logger
from priceverse.model.decimals import positive
from priceverse.model.rate import Rate


class _Rate(msgspec.Struct):
    usd: Decimal
    date: date
    fetched: int


class _Rates(msgspec.Struct):
    rates: list[_Rate]


_DECODER = msgspec.json.Decoder(_Rates)


async def read(door: RedisDoor) -> tuple[Rate, ...]:
    """Return what is known, by date; nothing if nothing readable is there. Raises RedisUnavailable."""
    stored = await door.run(lambda client: client.get(keys.RATE))
    try:
        return decode(stored) if stored else ()
    except ValueError as error:
        get_logger().warning("rate_unreadable", error=str(error))
        return ()


async def write(door: RedisDoor, rates: Sequence[Rate]) -> None:
    """Replace what is known. Raises RedisUnavailable."""
    payload = encode(rates)
    await door.run(lambda client: client.set(keys.RATE, payload))


def encode(rates: Sequence[Rate]) -> bytes:
    """Return `{"rates": [{"usd": "…", "date": "YYYY-MM-DD", "fetched": ms}]}`."""
    return msgspec.json.encode(_Rates([_Rate(rate.usd_rub, rate.date, rate.fetched_ms) for rate in rates]))


def decode(payload: bytes | str) -> tuple[Rate, ...]:
    """Read what `encode` wrote, by date. Raises ValueError."""
    found = (Rate(positive(rate.usd), rate.date, rate.fetched) for rate in _DECODER.decode(payload).rates)
    return tuple(sorted(found, key=lambda rate: rate.date))
