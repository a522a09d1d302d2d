"""One connection to an exchange, from the token to the last frame: a state of its own, in one task with its helpers.

    connecting ─▶ (welcome) ─▶ subscribing ─▶ reading ─▶ ended
                                                 └▶ leaving: still reading, a successor is wanted

Three tasks run while it is connected: one reads, one speaks (subscribes, pings), one keeps watch. The rule: what the
venue does is never raised. `run` returns how it ended, and what it read went to the intake under its generation.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import trio

from priceverse import clock
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.collector.reconnect import Ended, Why
from priceverse.collector.subscription import ACK_TIMEOUT_S, Refusals, Subscription
from priceverse.collector.throttle import Throttle
from priceverse.collector.vigil import Finding, Pulse, Vigil
from priceverse.exchanges.protocol import Adapter, Control, ControlKind, Endpoint, PreludeError, Reject, Request
from priceverse.log import get_logger
from priceverse.model.trade import Trade
from priceverse.net.errors import NetError, origin

LOOK_EVERY_S = 1.0
CROWDED_MOST_S = 1.0
"""How long a batch of frames may wait because those before it are not through yet."""
_SIGNS_OF_LIFE = (ControlKind.HEARTBEAT, ControlKind.PONG, ControlKind.ACK)


class Link(Protocol):
    """What a session needs of a connection: `net.websocket.Link`."""

    @property
    def last_received_s(self) -> float: ...
    @property
    def farewell(self) -> str: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Sequence[bytes]: ...
    async def send(self, text: str) -> None: ...
    async def aclose(self) -> None: ...


Dial = Callable[[str], Awaitable[Link]]
Crowded = Callable[[], trio.Event | None]
"""Returns what is set once more trades can be taken; None: they can."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside, as a session sees it. `dial` and `ask` raise NetError."""

    dial: Dial
    ask: Callable[[Request], Awaitable[bytes]]
    intake: Intake
    ledger: Ledger
    refusals: Refusals
    throttle: Throttle
    crowded: Crowded = lambda: None
    pulse: Pulse = field(default_factory=Pulse)
    now_ms: Callable[[], int] = clock.now_ms


@dataclass(frozen=True, slots=True)
class Venue:
    """The exchange of a session: its adapter, its symbols, its configured addresses."""

    adapter: Adapter
    symbols: tuple[str, ...]
    ws_url: str
    rest_url: str
    mute_timeout_s: float


class Session:
    """One connection.

    `alive` is set by the first sign of life, `leaving` when a successor is wanted, at the latest at the end, which
    `ended` describes.
    """

    def __init__(self, venue: Venue, ports: Ports) -> None:
        self.generation = ports.intake.open()
        self.alive = trio.Event()
        self.leaving = trio.Event()
        self.ended: Ended | None = None
        self._venue = venue
        self._ports = ports
        self._where = origin(venue.ws_url or venue.rest_url)
        self._welcome = trio.Event()
        self._subscription = Subscription(venue.symbols)
        self._vigil = Vigil(trio.current_time(), venue.mute_timeout_s, venue.adapter.lifetime_s)
        self._running = trio.CancelScope()

    async def run(self) -> None:
        """Connect, subscribe and read until the end."""
        try:
            with self._running:
                ended = await self._connect()
                self.ended = self.ended or ended
        finally:
            self._ports.intake.shut(self.generation)
            self._ports.ledger.closed(self.generation)
            self.leaving.set()

    def stop(self) -> None:
        """End it now; nothing of it passes any more."""
        self._ports.intake.shut(self.generation)
        self._end(Why.LOST, "stopped")

    def ending(self, why: Why, detail: str) -> Ended:
        """Describe an end of this connection."""
        return Ended(why, self._where, detail, was_healthy=self._vigil.was_healthy)

    async def _connect(self) -> Ended:
        try:
            endpoint = await self._endpoint()
            link = await self._ports.dial(endpoint.url)
        except NetError as error:
            why = Why.UNREACHABLE if error.status is None else Why.REFUSED
            return Ended(why, error.where, error.what, status=error.status, retry_after_s=error.retry_after_s)
        except PreludeError as error:
            return self.ending(Why.UNREACHABLE, str(error))
        try:
            return await self._live(link, endpoint)
        finally:
            await link.aclose()

    async def _endpoint(self) -> Endpoint:
        adapter = self._venue.adapter
        request = adapter.prelude(self._venue.rest_url)
        prelude = await self._ports.ask(request) if request else None
        endpoint = adapter.endpoint(self._venue.ws_url, prelude, f"priceverse-{self.generation}")
        self._where = origin(endpoint.url)
        return endpoint

    async def _live(self, link: Link, endpoint: Endpoint) -> Ended:
        self._vigil.opened_s = trio.current_time()
        self._ports.pulse.begin(trio.current_time())
        self._ports.ledger.opened(self.generation, self._ports.now_ms())
        get_logger().info("exchange_connected", host=self._where, generation=self.generation)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._speak, link, endpoint)
            nursery.start_soon(self._watch, link)
            await self._read(link)
            nursery.cancel_scope.cancel()
        return self.ending(Why.LOST, link.farewell)

    def _end(self, why: Why, detail: str) -> None:
        """End the session from within; the first reason stands."""
        self.ended = self.ended or self.ending(why, detail)
        self._running.cancel()

    # --- reading

    async def _read(self, link: Link) -> None:
        receive, intake = self._venue.adapter.receive, self._ports.intake
        async for frames in link:
            trades: list[Trade] = []
            for frame in frames:
                for item in receive(frame):
                    if type(item) is Trade:
                        trades.append(item)
                    else:
                        self._aside(item)
            if trades:
                intake.take(self.generation, trades, self._ports.now_ms())
                self._traded({trade.symbol for trade in trades})
                if (crowd := self._ports.crowded()) is not None:
                    with trio.move_on_after(CROWDED_MOST_S):
                        await crowd.wait()

    def _traded(self, symbols: set[str]) -> None:
        now_s = trio.current_time()
        self._sign_of_life(now_s)
        for symbol in symbols:
            self._ports.pulse.beat(symbol, now_s)
            self._served(symbol)

    def _sign_of_life(self, now_s: float) -> None:
        if self._vigil.valid(now_s):
            self.alive.set()

    def _aside(self, item: Trade | Control | Reject) -> None:
        """Attend to what is not a trade."""
        match item:
            case Reject(reason, sample):
                self._ports.ledger.rejected(reason)
                self._say_once("frame_rejected", reason, reason=reason, sample=sample)
            case Control(kind, symbol, detail):
                if kind is ControlKind.HEARTBEAT and symbol is not None and detail.isdecimal():
                    self._ports.intake.hint(symbol, int(detail), self._ports.now_ms())
                if kind in _SIGNS_OF_LIFE:
                    self._sign_of_life(trio.current_time())
                self._controlled(kind, symbol, detail)

    def _controlled(self, kind: ControlKind, symbol: str | None, detail: str) -> None:
        match kind:
            case ControlKind.WELCOME:
                self._welcome.set()
            case ControlKind.ACK if symbol is not None:
                self._served(symbol)
            case ControlKind.ERROR:
                self._refused(symbol, detail)
            case ControlKind.SHUTDOWN:
                self._leave(detail or "announced by the venue")
            case ControlKind.STATUS if detail:
                get_logger().debug("exchange_status", status=detail)
            case _:
                pass

    def _served(self, symbol: str) -> None:
        if self._subscription.serve(symbol):
            self._ports.refusals.discard(symbol)
            self._tell_ledger()

    def _refused(self, symbol: str | None, detail: str) -> None:
        if symbol is not None and self._subscription.refuse(symbol):
            self._ports.refusals.add(symbol, detail, trio.current_time())
            self._tell_ledger()
            self._say_once("symbol_refused", symbol, symbol=symbol, detail=detail)
        else:
            self._say_once("exchange_error", "exchange_error", symbol=symbol, detail=detail)

    def _leave(self, detail: str) -> None:
        if not self.leaving.is_set():
            get_logger().info("exchange_leaving", host=self._where, generation=self.generation, reason=detail)
            self.leaving.set()

    # --- speaking

    async def _speak(self, link: Link, endpoint: Endpoint) -> None:
        if endpoint.wait_welcome:
            with trio.move_on_after(ACK_TIMEOUT_S) as waiting:
                await self._welcome.wait()
            if waiting.cancelled_caught:
                self._end(Why.UNSUBSCRIBED, f"no welcome within {ACK_TIMEOUT_S:g} s")
                return
        await self._subscribe(link, self._ports.refusals.left(self._venue.symbols))
        while endpoint.ping_interval_s is not None:
            await trio.sleep(endpoint.ping_interval_s)
            await self._send(link, self._venue.adapter.ping(self._ports.now_ms()))

    async def _subscribe(self, link: Link, symbols: Sequence[str]) -> None:
        texts = self._venue.adapter.subscribe(symbols)
        if texts:
            self._subscription.ask(symbols, trio.current_time())
        else:
            self._subscription.expect(symbols, trio.current_time())
        for text in texts:
            await self._send(link, text)

    async def _send(self, link: Link, text: str) -> None:
        try:
            await link.send(text)
        except NetError as error:
            self._end(Why.LOST, error.what)

    # --- watching

    async def _watch(self, link: Link) -> None:
        while True:
            await trio.sleep(LOOK_EVERY_S)
            now_s = trio.current_time()
            match self._vigil.judge(now_s, link.last_received_s):
                case Finding.MUTE:
                    self._end(Why.MUTE, f"not a byte for {self._venue.mute_timeout_s:g} s")
                case Finding.AGED:
                    self._leave("old age")
                case Finding.FINE:
                    pass
            await self._look_after_symbols(link, now_s)

    async def _look_after_symbols(self, link: Link, now_s: float) -> None:
        silent = self._ports.pulse.silent(now_s)
        if silent:  # asking again on a connection that seems to serve a symbol would prove nothing
            self._leave(f"silent: {', '.join(silent)}")
        unanswered = set(self._subscription.unanswered)
        again = {*self._subscription.overdue(now_s), *self._ports.refusals.due(now_s)}
        for symbol in self._subscription.unanswered - unanswered:
            self._say_once("symbol_unanswered", symbol, symbol=symbol)
        for symbol in again:
            self._ports.refusals.postpone(symbol, now_s)
        if again:
            await self._subscribe(link, sorted(again))
        self._tell_ledger()
        if self._subscription.is_hopeless:
            self._end(Why.UNSUBSCRIBED, "no symbol is served")

    def _tell_ledger(self) -> None:
        self._ports.ledger.refused = self._ports.refusals.details
        self._ports.ledger.unanswered = self._subscription.unanswered

    def _say_once(self, event: str, key: str, **data: object) -> None:
        """Log, now and then for each event and key."""
        suppressed = self._ports.throttle.passes(f"{event}:{key}", trio.current_time())
        if suppressed is not None:
            get_logger().warning(event, suppressed=suppressed, **data)
