"""What a trade stream lacks of one exchange's trades: written before anything that lies behind the hole.

    collector ─ TradeWriter, in the trades' own pipeline ─▶ backfill:<exchange>:<pair> ─ read ─▶ its successor

The rule: while there is a mark it knows better than the stream's end what has been had. None of what a mark says is
worth a failure: one that cannot be read is as none.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor
from priceverse.log import get_logger

Lack = tuple[int, int, int, int]
"""Ids that are missing, first and last, and the exchange time from and to which, ms."""


class Place(msgspec.Struct, frozen=True):
    """Up to the trade `trade_id`, made at `timestamp_ms`, all is in the stream; `written_ms` is when that was said.

    Beyond it `lacks` are missing, where ids tell; `rest` is the time of more that were too many to name. Where ids
    tell nothing anything beyond may be missing.
    """

    trade_id: str
    timestamp_ms: int
    written_ms: int
    lacks: tuple[Lack, ...] = ()
    rest: tuple[int, int] | None = None


Words = Mapping[str, Place | None]
"""By key: what is to be written; None removes it."""

_DECODER = msgspec.json.Decoder(Place)


async def read(door: RedisDoor, exchange: str, pair: str) -> Place | None:
    """Return the mark, if there is one that can be read. Raises RedisUnavailable."""
    stored = await door.run(lambda client: client.get(keys.backfill(exchange, pair)))
    if stored is None:
        return None
    try:
        return _DECODER.decode(stored)
    except (msgspec.DecodeError, TypeError) as error:  # not ours: the end of the stream has to do
        get_logger().warning("backfill_mark_unreadable", exchange=exchange, pair=pair, error=str(error))
        return None


def add_to(pipe: Any, words: Words) -> None:  # noqa: ANN401 - as `client.pipeline` has it
    """Put the commands that write `words` into a pipeline."""
    for key, place in words.items():
        if place is None:
            pipe.execute_command("DEL", key)
        else:
            pipe.execute_command("SET", key, msgspec.json.encode(place), "EX", keys.BACKFILL_TTL_S)
