"""The simulator and a venue's collector in one process and in virtual time: streams in memory instead of sockets.

Hours pass as fast as they can be computed under trio's autojumping clock. What stands between the two is real: the
simulator's server, trio-websocket, the tap, the adapter, sessions, feed, intake, backfill. Only Redis is a list.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import parse_qsl, urlsplit

import trio
from trio.testing import memory_stream_pair

from priceverse.bus.trades import Received
from priceverse.collector.admission import Admission
from priceverse.collector.audit import Audit
from priceverse.collector.backfill import Backfill
from priceverse.collector.feed import Feed
from priceverse.collector.history import History as Rest
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.collector.session import Ports, Venue
from priceverse.collector.subscription import Refusals
from priceverse.collector.throttle import Throttle
from priceverse.config.settings import Settings
from priceverse.exchanges.protocol import Request
from priceverse.exchanges.registry import ADAPTERS
from priceverse.model.exchange import Exchange
from priceverse.net.errors import NetError, origin
from priceverse.net.websocket import Link, LinkLimits
from priceverse.simulator import routes
from priceverse.simulator.faults import Faults
from priceverse.simulator.history import History
from priceverse.simulator.hub import Hub
from priceverse.simulator.listings import default_pairs, listings
from priceverse.simulator.market import VENUES
from priceverse.simulator.match import NS_PER_MS, NS_PER_S
from priceverse.simulator.server import Server
from priceverse.simulator.truth import Truth
from priceverse.simulator.venues import protocol
from priceverse.simulator.venues.protocol import Response
from priceverse.simulator.walk import Walk

START_NS = 1_790_000_000 * NS_PER_S
HOST = "127.0.0.1:1"
TICK_S = 5.0
MOMENT_S = 0.001
PAST_NS = 600 * NS_PER_S


def now_ns() -> int:
    """Return the time of the virtual world."""
    return START_NS + int(trio.current_time() * NS_PER_S)


def now_ms() -> int:
    return now_ns() // NS_PER_MS


@dataclass
class Witness:
    """What the venue heard of its clients: connections, and how long it had to wait for each sign of life."""

    connections: list[int] = field(default_factory=list)
    pings: int = 0
    pongs: int = 0
    longest_silence_s: float = 0.0
    tokens: int = 0
    is_deaf: bool = False
    """Pings of clients are lost on the way."""
    _heard_ns: dict[int, int] = field(default_factory=dict)

    def heard(self, connection: int, at_ns: int) -> None:
        """Note a sign of life."""
        silence_s = (at_ns - self._heard_ns[connection]) / NS_PER_S
        self.longest_silence_s = max(self.longest_silence_s, silence_s)
        self._heard_ns[connection] = at_ns

    def watch(self, venue: protocol.Venue) -> None:
        """Listen at the door of a simulated venue."""
        begin = venue.session

        def session(request: protocol.Request, at_ns: int) -> protocol.Session | Response:
            opened = begin(request, at_ns)
            if isinstance(opened, Response):
                return opened
            number = len(self.connections)
            self.connections.append(at_ns)
            self._heard_ns[number] = at_ns
            receive, pong = opened.receive, opened.pong

            def hear(text: str, at_ns: int) -> list[protocol.Output]:
                if self.is_deaf and "ping" in text:
                    return []
                self.pings += "ping" in text
                self.heard(number, at_ns)
                return receive(text, at_ns)

            def feel(at_ns: int) -> None:
                self.pongs += 1
                self.heard(number, at_ns)
                pong(at_ns)

            opened.receive, opened.pong = hear, feel  # type: ignore[method-assign]
            return opened

        venue.session = session  # type: ignore[method-assign]


class World:
    """One venue of a simulated market and its collector; `held` is what would be in the stream.

    `lifetime_s`: after so long the venue cuts a connection, and its client knows; default: as in life.
    `breaks`: how often there was no connection, after which history had to be asked, if `has_rest`.
    """

    def __init__(
        self,
        exchange: Exchange,
        truth: Path,
        *,
        seed: int = 1,
        speed: float = 0.02,
        has_rest: bool = True,
        lifetime_s: float | None = None,
    ) -> None:
        self.exchange = exchange
        self.truth = truth
        self.held: list[Received] = []
        self.losses: Counter[str] = Counter()
        self.breaks = 0
        self.witness = Witness()
        self.ledger = Ledger(exchange)
        self._seed, self._speed, self._has_rest = seed, speed, has_rest
        self._truth = Truth(truth, default_pairs())
        history = History(listing.symbol for listing in listings(exchange))
        more = {} if lifetime_s is None else {"lifetime_ns": int(lifetime_s * NS_PER_S)}
        self._lifetime_s = lifetime_s
        self._venue = VENUES[exchange](history, **more)
        self.witness.watch(self._venue)
        self.hub = Hub({exchange: self._venue}, Faults(Random(seed)), self._truth)
        self._server = Server(self.hub, now_ns)

    def deafen(self) -> None:
        """Let no ping of the client's arrive."""
        self.witness.is_deaf = True

    def told(self) -> dict[tuple[str, str], dict]:
        """Return the trades of the market since it began, by symbol and id."""
        rows = map(json.loads, self.truth.read_text().splitlines())
        return {(row["symbol"], row["trade_id"]): row for row in rows if not row.get("historical")}

    async def live(self, seconds: float) -> None:
        """Let the world go on for so long."""
        with self._truth:
            async with trio.open_nursery() as nursery:
                for task in (self._walk, self._tick):
                    nursery.start_soon(task)
                nursery.start_soon(self._collect, nursery)
                await trio.sleep(seconds)
                self.breaks = self.ledger.breaks
                nursery.cancel_scope.cancel()

    async def _walk(self) -> None:
        walk = Walk(Random(self._seed), listings(self.exchange), now_ns() - PAST_NS, self._speed)
        for _, fills in walk.due(now_ns()):
            self.hub.recall(self.exchange, fills)
        while True:
            await trio.sleep(max(MOMENT_S, (walk.next_ns - now_ns()) / NS_PER_S))
            for _, fills in walk.due(now_ns()):
                self.hub.happened(self.exchange, fills, now_ns())

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK_S)
            self.hub.tick(now_ns())

    async def _collect(self, nursery: trio.Nursery) -> None:
        adapter = ADAPTERS[self.exchange](Settings().symbols(self.exchange))
        if self._lifetime_s is not None:
            adapter.lifetime_s = self._lifetime_s
        intake = Intake(self.ledger, self._keep, Admission(is_numbered=adapter.is_numbered))
        fetch = Backfill if adapter.is_numbered else Audit
        rest = Rest(adapter, f"http://{HOST}/{self.exchange}", self._ask, self.ledger)
        if self._has_rest:
            nursery.start_soon(fetch(adapter, rest, intake, self.ledger, self._lose, now_ms=now_ms).run)

        async def dial(url: str) -> Link:
            client, server = memory_stream_pair()
            nursery.start_soon(self._server.handle, server)
            parts = urlsplit(url)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            return await Link(origin(url), client, LinkLimits(10.0, 1 << 20)).shake_hands(nursery, target)

        where = f"{HOST}/{self.exchange}"
        venue = Venue(adapter, tuple(adapter.pairs), f"ws://{where}", f"http://{where}", 30.0)
        ports = Ports(dial, self._ask, intake, self.ledger, Refusals(), Throttle(60.0), now_ms=now_ms)
        await Feed(venue, ports, base_delay_s=1.0, max_attempts=10).run()

    def _keep(self, trades: list[Received]) -> list[Received]:
        self.held += trades
        return []

    def _lose(self, pair: str, *_: object) -> None:
        self.losses[pair] += 1

    async def _ask(self, request: Request) -> bytes:
        parts = urlsplit(request.url)
        query = dict(parse_qsl(parts.query))
        asked = protocol.Request(request.method, parts.path, query, {"host": HOST})
        await trio.lowlevel.checkpoint()
        self.witness.tokens += request.method == "POST"
        reply = routes.respond(asked, self.hub, now_ns())
        if reply.status != 200:
            raise NetError(origin(request.url), f"HTTP {reply.status}", status=reply.status)
        return reply.body
