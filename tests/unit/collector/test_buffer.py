"""The bounded queue: order, batches, and what goes first."""

from priceverse.bus.trades import Received
from priceverse.collector.buffer import Buffer
from tests.fakes.exchange import trade


def received(*ids: int) -> list[Received]:
    return [Received(trade("BTC", str(n)), 0) for n in ids]


def test_first_in_first_out_in_batches() -> None:
    buffer = Buffer(10)
    buffer.extend(received(1, 2, 3))
    buffer.extend(received(4))
    assert buffer.take(3) == received(1, 2, 3)
    assert buffer.take(3) == received(4)
    assert buffer.take(3) == []
    assert (len(buffer), buffer.dropped) == (0, 0)


def test_the_oldest_go_first_and_are_counted() -> None:
    buffer = Buffer(3)
    buffer.extend(received(1, 2, 3, 4, 5))
    assert (len(buffer), buffer.dropped) == (3, 2)
    assert buffer.take() == received(3, 4, 5)
    buffer.extend(received(6))
    assert buffer.dropped == 2
