"""A stream under trio-websocket that takes the data messages out before the library sees them.

trio-websocket costs about 40 µs a message, nearly all of it event objects and task switches; splitting the bytes here
costs well under 1 µs, and the library goes on doing what it does well: handshake, ping, close, and the judging of a
peer that breaks the protocol. It is attached through the library's public `wrap_client_stream`.
"""

from collections.abc import Awaitable, Callable

import trio

from priceverse.net.frames import FrameSplitter
from priceverse.net.handshake import SWITCHING_PROTOCOLS, Head, HeadReader

RECEIVE_BYTES = 1 << 16

PAUSE_S = 0.025
"""After a receive that brought little the stream is left alone so long: what comes meanwhile is one receive, too."""
LITTLE_BYTES = RECEIVE_BYTES // 8

Deliver = Callable[[list[bytes]], Awaitable[None]]


class TapStream(trio.abc.Stream):
    """Pass `stream` on, less its data messages: these go to `deliver`, one batch per receive.

    While `deliver` waits nothing more is read: the peer feels it, memory does not. A peer that sends frame by frame is
    read every `PAUSE_S`, for a frame costs what a dozen costs: the waking of everybody on its way. A refused handshake
    reads as the end of the stream and is kept in `refusal`.
    """

    def __init__(self, stream: trio.abc.Stream, splitter: FrameSplitter, deliver: Deliver) -> None:
        self._stream = stream
        self._splitter = splitter
        self._deliver = deliver
        self._handshake: HeadReader | None = HeadReader()
        self.refusal: Head | None = None
        self.last_received_s = trio.current_time()
        """When the peer last sent anything, on trio's clock."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:  # noqa: ARG002 - the batch decides
        """Return the next bytes meant for the library. Raises ValueError when the peer does not speak HTTP."""
        while data := bytes(await self._stream.receive_some(RECEIVE_BYTES)):
            self.last_received_s = trio.current_time()
            head = b""
            if self._handshake is not None:
                head, data = self._open(self._handshake, data)
                if self.refusal is not None:
                    break
            messages, rest = self._splitter.feed(data) if data else ([], b"")
            if messages:
                await self._deliver(messages)
            if head or rest:
                return head + rest
            if len(data) < LITTLE_BYTES:
                await trio.sleep(PAUSE_S)
        return b""

    def _open(self, handshake: HeadReader, data: bytes) -> tuple[bytes, bytes]:
        """Return the head once it is complete, and the bytes after it."""
        reply = handshake.feed(data)
        if reply is None:
            return b"", b""
        head, raw, rest = reply
        self._handshake = None
        if head.status != SWITCHING_PROTOCOLS:
            self.refusal = head
        return raw, rest

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
