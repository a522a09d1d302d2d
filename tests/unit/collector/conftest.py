"""A session's outside, in memory and in virtual time."""

from dataclasses import dataclass, field

import pytest
import trio

from priceverse.bus.trades import Received
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from priceverse.collector.session import Ports, Venue
from priceverse.collector.subscription import Refusals
from priceverse.collector.throttle import Throttle
from priceverse.exchanges.protocol import Request
from tests.fakes.exchange import WHERE, WordExchange, WordLink, Words

SYMBOLS = {"BTC": "btc-usd", "XMR": "xmr-usd"}


@dataclass
class Desk:
    """Everything a test of a session or a feed touches."""

    exchange: WordExchange = field(default_factory=WordExchange)
    adapter: Words = field(default_factory=lambda: Words(SYMBOLS))
    ledger: Ledger = field(default_factory=lambda: Ledger("kraken"))
    passed: list[Received] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.intake = Intake(self.ledger, self._offer)
        self.venue = Venue(self.adapter, tuple(SYMBOLS), WHERE, "https://words.example", 30.0)
        self.ports = Ports(
            self.exchange.dial, self._ask, self.intake, self.ledger, Refusals(), Throttle(60.0), now_ms=lambda: 0
        )

    def _offer(self, trades: list[Received]) -> list[Received]:
        self.passed += trades
        return []

    async def _ask(self, request: Request) -> bytes:
        self.asked.append(request)
        return f"token{len(self.asked)}".encode()

    async def link(self) -> WordLink:
        """Wait for the next connection, at most a day of virtual time: a mistake ends the test, not the run."""
        with trio.fail_after(86_400):
            return await self.exchange.links.receive()

    @property
    def ids(self) -> list[str]:
        """Trades that passed."""
        return [received.trade.trade_id for received in self.passed]

    @property
    def seen(self) -> dict:
        return self.ledger.snapshot()


@pytest.fixture
def desk() -> Desk:
    """A new desk; a test that uses it names `autojump_clock` itself, else time is real."""
    return Desk()


async def settle() -> None:
    """Let everything happen that needs no time."""
    await trio.testing.wait_all_tasks_blocked()
