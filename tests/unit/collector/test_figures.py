"""What a ledger says, as metrics."""

from decimal import Decimal

from priceverse.bus.trades import Received
from priceverse.collector import figures
from priceverse.collector.admission import Verdict
from priceverse.collector.ledger import Ledger
from priceverse.metrics import catalogue as metric
from priceverse.model.exchange import Side
from priceverse.model.trade import Trade

AT_MS = 1_767_225_600_000


def received(pair="btc-usd", *, late_ms=30, historical=False):
    trade = Trade("kraken", "XBT", pair, Decimal(100), Decimal(1), AT_MS, "1", Side.BUY, historical=historical)
    return Received(trade, AT_MS + late_ms)


def told(ledger):
    return {(each.metric, each.labels): each.value for each in figures.samples(ledger.snapshot())}


def test_a_new_ledger_tells_of_nothing_but_zeros():
    found = told(Ledger("kraken"))
    assert found[metric.CONNECTED, ("kraken",)] == 0
    assert sum(sum(value) if isinstance(value, list) else value for value in found.values()) == 0
    assert (metric.LAST_TRADE, ("kraken",)) not in found


def test_everything_that_was_noted_is_told():
    ledger = Ledger("kraken")
    ledger.opened(1, AT_MS)
    ledger.opened(2, AT_MS)
    ledger.rejected("not_json")
    ledger.judged(Verdict.DUPLICATE)
    ledger.admitted([received(), received("eth-usd")])
    ledger.backfilled([received()])
    ledger.written([received(), received(historical=True)], AT_MS + 40)
    ledger.gaps = 2
    found = told(ledger)
    assert found[metric.CONNECTED, ("kraken",)] == 1
    assert found[metric.RECONNECTS, ("kraken",)] == 1
    assert found[metric.REJECTS, ("kraken", "not_json")] == 1
    assert found[metric.IGNORED, ("kraken", "duplicates")] == 1
    assert found[metric.TRADES, ("kraken", "btc-usd")] == 2
    assert found[metric.TRADES, ("kraken", "eth-usd")] == 1
    assert found[metric.BACKFILLED, ("kraken",)] == 1
    assert found[metric.PUBLISHED_TRADES, ("kraken",)] == 2
    assert found[metric.GAPS, ("kraken",)] == 2
    assert found[metric.LAST_TRADE, ("kraken",)] == AT_MS / 1000
    assert found[metric.SKEW, ("kraken",)] == 0.03
    latencies = found[metric.INGEST, ("kraken",)]
    assert (sum(latencies[:-1]), latencies[metric.INGEST.bucket(0.04)], latencies[-1]) == (1, 1, 0.04)


def test_the_ledgers_bounds_are_those_of_the_metric():
    assert [float(bound) / 1000 for bound in list(Ledger("kraken").snapshot()["latency_ms"])[:-1]] == list(
        metric.INGEST.buckets
    )
