"""One client on a WebSocket: bytes to session, session and feed to bytes, through the faults and a bounded queue.

The rule: nobody waits for a client. What is sent is queued; a client that leaves more than `MAX_QUEUE_BYTES` unread is
cut, so that its memory is bounded and the others get their trades.
"""

from collections import deque
from collections.abc import Callable, Iterable

import trio
import wsproto
from wsproto import events
from wsproto.utilities import RemoteProtocolError

from priceverse.model.exchange import Exchange
from priceverse.simulator.faults import Faults, Kind, Shaper
from priceverse.simulator.match import NS_PER_MS, NS_PER_S
from priceverse.simulator.venues.protocol import Close, Frame, Output, Ping, Session

MAX_QUEUE_BYTES = 4 << 20
MAX_MESSAGE_CHARS = 1 << 16
GOODBYE_S = 1.0
RECEIVE_BYTES = 1 << 14

Clock = Callable[[], int]


class Connection:
    """A client; `heard` is called after each message of its, when its subscriptions may have changed."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        websocket: wsproto.WSConnection,
        session: Session,
        *,
        exchange: Exchange,
        faults: Faults,
        now_ns: Clock,
        max_queue_bytes: int = MAX_QUEUE_BYTES,
    ) -> None:
        self.session = session
        self.exchange = exchange
        self.slow = False
        self._stream = stream
        self._websocket = websocket
        self._faults = faults
        self._shaper = Shaper(faults, exchange)
        self._now_ns = now_ns
        self._max_queue_bytes = max_queue_bytes
        self._queue: deque[tuple[int, bytes]] = deque()
        self._queued_bytes = 0
        self._filled = trio.Event()
        self._closing = False
        self._answered = trio.Event()
        self._scope = trio.CancelScope()
        self._sent_ns = now_ns()
        self._partial = ""

    def relay(self, frames: Iterable[Frame], now_ns: int) -> None:
        """Send those trade frames that this client subscribed to."""
        wanted = [self.session.text(frame) for frame in frames if not frame.symbols.isdisjoint(self.session.subscribed)]
        if wanted:
            self.send(self._shaper.shape(wanted, now_ns), now_ns)

    def tick(self, now_ns: int) -> None:
        """Send what the session owes by the clock."""
        self.send(self._shaper.release(), now_ns)
        self.send(self.session.tick(now_ns, now_ns - self._sent_ns), now_ns)

    def send(self, outputs: Iterable[Output], now_ns: int) -> None:
        """Queue some outputs; nothing follows a Close."""
        for output in outputs:
            if self._closing or self._faults.find(Kind.MUTE, self.exchange, now_ns):
                return
            self._closing = isinstance(output, Close)
            self._put(self._websocket.send(_event(output)), now_ns)

    def cut(self) -> None:
        """End the connection without a word."""
        self._scope.cancel()

    async def run(self, heard: Callable[[], None]) -> None:
        """Serve the client until either side ends it; the stream is left to the caller."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                self.send(self.session.welcome(self._now_ns()), self._now_ns())
                await self._read(heard)
                nursery.cancel_scope.cancel()

    def _put(self, data: bytes, now_ns: int) -> None:
        slow = self._faults.find(Kind.SLOW, self.exchange, now_ns)
        self._queue.append((now_ns + slow.delay_ms * NS_PER_MS if slow else now_ns, data))
        self._queued_bytes += len(data)
        self._sent_ns = now_ns
        self._filled.set()
        if self._queued_bytes > self._max_queue_bytes:
            self.slow = True
            self.cut()

    async def _write(self) -> None:
        try:
            while self._queue or not self._closing:
                await self._write_due()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.cut()
            return
        with trio.move_on_after(GOODBYE_S):
            await self._answered.wait()
        self.cut()

    async def _write_due(self) -> None:
        if not self._queue:
            self._filled = trio.Event()
            await self._filled.wait()
        now_ns = self._now_ns()
        due = []
        while self._queue and self._queue[0][0] <= now_ns:
            due.append(self._queue.popleft()[1])
        if due:
            data = b"".join(due)
            await self._stream.send_all(data)
            self._queued_bytes -= len(data)
        else:
            await trio.sleep((self._queue[0][0] - now_ns) / NS_PER_S)

    async def _read(self, heard: Callable[[], None]) -> None:
        while True:
            for event in self._websocket.events():
                if isinstance(event, events.CloseConnection):
                    await self._say_goodbye(event)
                    return
                self._handle(event)
                heard()
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES)
                if not data:
                    return
                self._websocket.receive_data(bytes(data))
            except (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError):
                return

    def _handle(self, event: events.Event) -> None:
        now_ns = self._now_ns()
        match event:
            case events.TextMessage(data=text, message_finished=finished):
                self._partial += text
                if len(self._partial) > MAX_MESSAGE_CHARS:
                    self.send([Close(1009, "Message too big")], now_ns)
                elif finished:
                    whole, self._partial = self._partial, ""
                    self.send(self.session.receive(whole, now_ns), now_ns)
            case events.Ping():
                if not self._closing and not self._faults.find(Kind.MUTE, self.exchange, now_ns):
                    self._put(self._websocket.send(event.response()), now_ns)
            case events.Pong():
                self.session.pong(now_ns)
            case _:
                self.send([Close(1003, "Text only")], now_ns)

    async def _say_goodbye(self, event: events.CloseConnection) -> None:
        """Answer the client's close if it is not the answer to ours, and let the writer finish."""
        self._answered.set()
        if not self._closing:
            self._closing = True
            self._put(self._websocket.send(event.response()), self._now_ns())
        await trio.sleep_forever()


def _event(output: Output) -> events.Event:
    match output:
        case str():
            return events.TextMessage(data=output)
        case Ping(payload):
            return events.Ping(payload=payload)
        case Close(code, reason):
            return events.CloseConnection(code=code, reason=reason)
