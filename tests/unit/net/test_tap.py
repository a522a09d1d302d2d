"""The tap on a WebSocket's bytes: how often a stream is read."""

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from priceverse.net.frames import FrameSplitter
from priceverse.net.tap import LITTLE_BYTES, PAUSE_S, TapStream

HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
SHORT = b"\x81\x01a"
LONG = b"\x81\x7e\x7f\xff" + bytes(0x7FFF)
PING = b"\x89\x00"


class Bench:
    """A tap whose peer is the test."""

    def __init__(self) -> None:
        self.peer, ours = memory_stream_pair()
        self.batches: list[tuple[float, int]] = []
        self.tap = TapStream(ours, FrameSplitter(1 << 20), self._deliver)

    async def _deliver(self, messages: list[bytes]) -> None:
        self.batches.append((trio.current_time(), len(messages)))


async def connected() -> Bench:
    bench = Bench()
    await bench.peer.send_all(HEAD)
    assert await bench.tap.receive_some() == HEAD
    return bench


async def test_frames_that_come_one_by_one_are_read_together(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = await connected()
    nursery.start_soon(bench.tap.receive_some)
    begun_s = trio.current_time()
    for _ in range(10):
        await bench.peer.send_all(SHORT)
        await trio.sleep(PAUSE_S / 8)
    await trio.sleep(PAUSE_S)
    (first_s, first), (second_s, second), *rest = bench.batches
    assert (first_s, first) == (begun_s, 1)
    assert second_s == pytest.approx(begun_s + PAUSE_S)
    assert second > 1
    assert first + second + sum(count for _, count in rest) == 10


async def test_a_frame_after_a_while_is_read_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = await connected()
    nursery.start_soon(bench.tap.receive_some)
    await bench.peer.send_all(SHORT)
    await trio.sleep(2 * PAUSE_S)
    await bench.peer.send_all(SHORT)
    sent_s = trio.current_time()
    await trio.sleep(PAUSE_S)
    assert bench.batches[1:] == [(sent_s, 1)]


async def test_what_comes_in_bulk_is_read_without_a_pause(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    bench = await connected()
    assert len(LONG) > LITTLE_BYTES
    nursery.start_soon(bench.tap.receive_some)
    begun_s = trio.current_time()
    for _ in range(5):
        await bench.peer.send_all(LONG)
        await trio.testing.wait_all_tasks_blocked()
    assert [at_s for at_s, _ in bench.batches] == [begun_s] * 5


async def test_a_ping_is_handed_on_without_a_pause(autojump_clock: MockClock) -> None:
    bench = await connected()
    begun_s = trio.current_time()
    await bench.peer.send_all(PING)
    assert await bench.tap.receive_some() == PING
    assert trio.current_time() == begun_s
