"""Only an open generation passes anything; what does not pass is counted."""

from priceverse.bus.trades import Received
from priceverse.collector.admission import Admission
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


def test_history_passes_what_is_missing_and_nothing_else() -> None:
    offered, ledger = Offered(), Ledger("kraken")
    intake = Intake(ledger, offered.take, Admission(is_numbered=True))
    intake.take(intake.open(), [trade("BTC", "1", 1000), trade("BTC", "4", 1000)], 1000)
    old = [trade("BTC", str(n), 1000, historical=True) for n in range(1, 5)]
    assert intake.fill(old, 9_000_000) == 2
    assert [received.trade.trade_id for received in offered[-1]] == ["2", "3"]
    assert intake.fill(old, 9_000_000) == 0
    seen = ledger.snapshot()
    assert (seen["backfilled"], seen["historical"], seen["trades"], seen["last_trade_ms"]) == (
        2,
        0,
        {"btc-usd": 4},
        1000,
    )


def test_what_had_to_go_is_missing_again() -> None:
    offered = Offered()
    intake = Intake(Ledger("kraken"), offered.take, Admission(is_numbered=True))
    generation = intake.open()
    intake.take(generation, [trade("BTC", str(n)) for n in (1, 2, 3)], 0)
    offered.gone = offered[0][:2]
    intake.take(generation, [trade("BTC", "4")], 0)
    assert intake.fill([trade("BTC", str(n), historical=True) for n in range(1, 5)], 0) == 2
