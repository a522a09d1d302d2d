"""Batches in virtual time: what goes together, and what happens while Redis is away."""

import pytest
import trio
from trio.testing import MockClock

from priceverse.bus.client import RedisUnavailable
from priceverse.bus.marks import Words
from priceverse.bus.trades import Received
from priceverse.collector.buffer import BATCH, Buffer
from priceverse.collector.ledger import Ledger
from priceverse.collector.publisher import CROWDED, Publisher
from tests.fakes.exchange import trade


class FakeWriter:
    """A stream that may be away."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.written_s: list[float] = []
        self.is_away = False
        self.attempts = 0
        self.cut: dict[str, int] = {}

    async def publish(self, batch: list[Received], words: Words) -> dict[str, int]:
        await trio.lowlevel.checkpoint()
        self.attempts += 1
        if self.is_away:
            raise RedisUnavailable("Connection refused")
        self.batches.append([received.trade.trade_id for received in batch])
        self.written_s.append(trio.current_time())
        return self.cut


class Bench:
    def __init__(self, capacity: int = 20_000) -> None:
        self.writer = FakeWriter()
        self.ledger = Ledger("kraken")
        self.counted: list[int] = []
        self.publisher = Publisher(self.writer, self.ledger, self.counted.append, Buffer(capacity))

    def offer(self, *ids: int) -> None:
        self.publisher.offer([Received(trade("BTC", str(n)), 0) for n in ids])


async def test_what_waits_goes_together_and_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench()
    nursery.start_soon(bench.publisher.run)
    started = trio.current_time()
    bench.offer(1)
    bench.offer(2, 3)
    await bench.publisher.flush(1.0)
    assert bench.writer.batches == [["1", "2", "3"]]
    assert bench.writer.written_s[0] == started
    assert (bench.counted, bench.ledger.snapshot()["published"], bench.ledger.snapshot()["queue"]) == ([3], 3, 0)


async def test_more_than_a_batch_goes_in_several(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench()
    nursery.start_soon(bench.publisher.run)
    started = trio.current_time()
    bench.offer(*range(2 * BATCH + 1))
    await bench.publisher.flush(1.0)
    assert [len(batch) for batch in bench.writer.batches] == [BATCH, BATCH, 1]
    assert bench.writer.written_s[1] == started
    assert bench.writer.batches[2] == [str(2 * BATCH)]


async def test_redis_away_keeps_the_newest_and_counts_the_rest(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bench = Bench(capacity=100)
    bench.writer.is_away = True
    nursery.start_soon(bench.publisher.run)
    bench.offer(*range(10))
    await trio.sleep(1)
    assert bench.writer.attempts > 1
    bench.offer(*range(10, 510))
    seen = bench.ledger.snapshot()
    assert (seen["redis"], seen["queue"], seen["dropped"]) == ("away", 100, 400)
    bench.writer.is_away = False
    await bench.publisher.flush(60.0)
    assert bench.writer.batches == [[str(n) for n in range(10)], [str(n) for n in range(410, 510)]]
    seen = bench.ledger.snapshot()
    assert (seen["redis"], seen["queue"], seen["published"]) == ("ok", 0, 110)


async def test_attempts_while_away_are_few_and_flushing_gives_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bench = Bench()
    bench.writer.is_away = True
    nursery.start_soon(bench.publisher.run)
    bench.offer(1)
    started = trio.current_time()
    await bench.publisher.flush(3.0)
    assert trio.current_time() - started == pytest.approx(3.0)
    await trio.sleep(600)
    assert 100 < bench.writer.attempts < 1000


async def test_flushing_nothing_takes_no_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench()
    nursery.start_soon(bench.publisher.run)
    started = trio.current_time()
    await bench.publisher.flush(3.0)
    bench.offer(1)
    await bench.publisher.flush(3.0)
    await bench.publisher.flush(3.0)
    assert trio.current_time() == started


async def test_a_crowd_is_asked_to_wait_and_let_in_again(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.offer(*range(CROWDED - 1))
    assert bench.publisher.crowded() is None
    bench.offer(CROWDED)
    room = bench.publisher.crowded()
    assert room is not None
    assert bench.publisher.crowded() is room
    nursery.start_soon(bench.publisher.run)
    with trio.fail_after(10):
        await room.wait()
    assert 0 < bench.ledger.queue < CROWDED
    assert bench.publisher.crowded() is None


async def test_nobody_waits_for_an_absent_redis(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.writer.is_away = True
    bench.offer(*range(2 * CROWDED))
    room = bench.publisher.crowded()
    assert room is not None
    nursery.start_soon(bench.publisher.run)
    with trio.fail_after(10):
        await room.wait()
    assert bench.publisher.crowded() is None
    assert bench.ledger.is_redis_away


async def test_unread_entries_that_had_to_go_are_counted(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.writer.cut = {"btc-usd": 700, "eth-usd": 1}
    nursery.start_soon(bench.publisher.run)
    bench.offer(1)
    await bench.publisher.flush(1.0)
    assert bench.ledger.snapshot()["cut_unread"] == 701
