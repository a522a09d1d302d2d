"""Server-sent events: the snapshot, changes, signs of life, the end; and what a client that comes back has heard."""

from contextlib import asynccontextmanager

import pytest
import trio

from priceverse.api.broadcast import Broadcast
from priceverse.api.seats import Seats
from priceverse.api.stream import PING_S, Past, PriceStream, event_id, heard_of

PAIRS = frozenset({"btc-usd", "eth-usd"})


@pytest.fixture
async def broadcast(nursery):
    broadcast = Broadcast()
    nursery.start_soon(broadcast.run)
    return broadcast


@pytest.fixture
def opened(broadcast):
    """Opens a stream."""

    @asynccontextmanager
    async def opened(pairs=PAIRS, **given):
        async with PriceStream(broadcast, pairs, Seats(None), "", **given) as stream:
            yield stream

    return opened


async def test_a_stream_is_events_then_pings_then_the_end(broadcast, opened, autojump_clock):
    broadcast.put("btc-usd", b"{5}")
    async with opened() as stream:
        first = await anext(stream)
        assert first.startswith(b"retry: 2000\n\nid: ")
        assert first.endswith(b"\ndata: {5}\n\n")
        began = trio.current_time()
        assert await anext(stream) == b": ping\n\n"
        assert trio.current_time() - began == pytest.approx(PING_S, abs=0.01)
        broadcast.put("btc-usd", b"{6}")
        assert (await anext(stream)).endswith(b"data: {6}\n\n")
        broadcast.put("btc-usd", b"{7}")
        broadcast.close()
        assert (await anext(stream)).endswith(b"data: {7}\n\n")
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert broadcast.channels == 0


async def test_what_goes_past_hypercorn_are_whole_chunks_behind_the_head(broadcast, opened, nursery, autojump_clock):
    sent = []

    async def write(data):
        sent.append(data)

    def write_now(data):
        sent.append(data)
        return True

    async def follow(stream):
        async for _ in stream:
            raise AssertionError("nothing is left to Hypercorn")

    broadcast.put("btc-usd", b"{5}")
    async with opened(past=Past(write, write_now)) as stream:
        broadcast.put("btc-usd", b"{6}")
        await trio.sleep(1)
        assert sent == []  # the head is not out
        assert (await anext(stream)).endswith(b"data: {6}\n\n")
        nursery.start_soon(follow, stream)
        await trio.sleep(1)
        broadcast.put("btc-usd", b"{7}")
        await trio.sleep(1)
        size, _, text = sent[0].partition(b"\r\n")
        assert (int(size, 16), text[-2:]) == (len(text) - 2, b"\r\n")
        assert text.endswith(b"data: {7}\n\n\r\n")
        await trio.sleep(PING_S)
        assert sent[1:] == [b"8\r\n: ping\n\n\r\n"]
        broadcast.close()
        await trio.sleep(1)


def last_id(text):
    return [line for line in text.decode().splitlines() if line.startswith("id: ")][-1].removeprefix("id: ")


async def test_who_comes_back_is_sent_what_has_changed(broadcast, opened, autojump_clock):
    broadcast.put("btc-usd", b"{5}")
    broadcast.put("eth-usd", b"{1}")
    async with opened() as stream:
        said = last_id(await anext(stream))
    async with opened(last_id=said) as stream:
        assert await anext(stream) == b"retry: 2000\n\n"
    broadcast.put("eth-usd", b"{2}")
    async with opened(last_id=said) as stream:
        first = await anext(stream)
    assert b"{2}" in first
    assert b"{5}" not in first


async def test_an_id_tells_of_all_that_was_sent_to_a_slow_client_too(broadcast, opened, autojump_clock):
    broadcast.put("btc-usd", b"{5}")
    async with opened() as stream:
        await anext(stream)
        for n in range(6, 9):
            broadcast.put("btc-usd", b"{%d}" % n)
            await trio.sleep(1)
        assert last_id(await anext(stream)).encode() == event_id(PAIRS, {"btc-usd": b"{8}"})


@pytest.mark.parametrize("said", ["", "5", "AAAA", "é", "\x00", "=" * 500, "AAAAAAAAAAA"])
def test_an_id_that_is_none_of_ours_tells_nothing(said):
    assert heard_of(said, PAIRS, {"btc-usd": b"{5}"}) == frozenset()


def test_an_id_is_good_for_the_pairs_it_was_given_for():
    known = {"btc-usd": b"{5}", "eth-usd": b"{1}"}
    said = event_id(frozenset({"btc-usd"}), known).decode()
    assert heard_of(said, frozenset({"btc-usd"}), known) == {"btc-usd"}
    assert heard_of(said, PAIRS, known) == frozenset()
