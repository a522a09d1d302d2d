"""Only an open generation passes anything; what does not pass is counted."""

from priceverse.bus.trades import Received
from priceverse.collector.intake import Intake
from priceverse.collector.ledger import Ledger
from tests.fakes.exchange import trade


class Offered(list[list[Received]]):
    """What was offered; `gone` is what had to go for it."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: list[Received] = []

    def take(self, trades: list[Received]) -> list[Received]:
        self.append(trades)
        gone, self.gone = self.gone, []
        return gone


def test_trades_pass_in_order_and_once() -> None:
    offered = Offered()
    ledger = Ledger("kraken")
    intake = Intake(ledger, offered.take)
    mine = intake.open()
    batch = [
        trade("BTC", "1", 900),
        trade("ETH", "1", 950),
        trade("BTC", "1", 900),
        trade("BTC", "0", 1, historical=True),
    ]
    intake.take(mine, [*batch, trade("BTC", "2", 9000)], 1000)
    assert offered == [[Received(batch[0], 1000), Received(batch[1], 1000)]]
    seen = ledger.snapshot()
    assert seen["trades"] == {"btc-usd": 1, "eth-usd": 1}
    assert (seen["duplicates"], seen["historical"], seen["rejects"]) == (1, 1, {"clock_ahead": 1})
    assert (seen["last_trade_ms"], seen["skew_ms"]) == (950, 50)


def test_a_shut_generation_talks_to_the_wind() -> None:
    offered = Offered()
    intake = Intake(Ledger("kraken"), offered.take)
    old, young = intake.open(), intake.open()
    assert old < young
    intake.shut(old)
    intake.take(old, [trade("BTC", "1")], 0)
    assert offered == []
    intake.take(young, [trade("BTC", "1")], 0)
    assert len(offered) == 1


def test_two_open_generations_count_each_trade_once() -> None:
    offered = Offered()
    intake = Intake(Ledger("kraken"), offered.take)
    old, young = intake.open(), intake.open()
    for generation in (old, young):
        intake.take(generation, [trade("BTC", str(n)) for n in range(generation, generation + 5)], 0)
    assert [received.trade.trade_id for batch in offered for received in batch] == ["1", "2", "3", "4", "5", "6"]
