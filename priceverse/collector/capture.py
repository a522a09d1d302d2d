"""A connection's raw frames, kept: the feed of one exchange with nothing behind it but a writer of lines.

The rule: what is written is what came, one frame a line. `decode` reads it, and so does the simulator's replay.
"""

from collections.abc import Callable, Sequence
from typing import Self

import trio

from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.collector.reconnect import Ended
from priceverse.collector.serve import dialler, feed_of
from priceverse.collector.session import Link
from priceverse.config.settings import Settings
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange

Write = Callable[[bytes], object]

_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
"""JSON has line ends only between its tokens."""


async def capture(settings: Settings, exchange: Exchange, seconds: float, write: Write) -> Ended | None:
    """Write every frame that comes within `seconds`, as a line, reconnecting as a collector does.

    Return None, or how the last connection ended when the exchange stays away. What `write` raises comes through, in
    an exception group.
    """
    adapter, ledger = ADAPTERS[exchange](settings.symbols(exchange)), Ledger(exchange)
    ended = None
    async with trio.open_nursery() as nursery:
        dial = dialler(settings, nursery)

        async def dial_recording(url: str) -> Link:
            return Recording(await dial(url), write)

        with trio.move_on_after(seconds):
            ended = await feed_of(settings, adapter, Intake(ledger, lambda _: ()), ledger, dial_recording).run()
        nursery.cancel_scope.cancel()
    return ended


class Recording:
    """A link whose frames are written down as they are read."""

    def __init__(self, link: Link, write: Write) -> None:
        self._link = link
        self._write = write

    @property
    def last_received_s(self) -> float:
        return self._link.last_received_s

    @property
    def farewell(self) -> str:
        return self._link.farewell

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[bytes]:
        frames = await anext(self._link)
        self._write(b"".join(frame.translate(_LINE_ENDS) + b"\n" for frame in frames))
        return frames

    async def send(self, text: str) -> None:
        await self._link.send(text)

    async def aclose(self) -> None:
        await self._link.aclose()
