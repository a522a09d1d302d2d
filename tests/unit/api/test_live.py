"""The live cache and its followers."""

import json

import pytest
import trio

from priceverse.api.live import LivePrices
from priceverse.api.seats import Seats
from priceverse.api.stream import PING_S, PriceStream
from priceverse.rpc.envelope import encode
from priceverse.services.prices import GetPrice, get_price
from tests.fakes.ports import NOW_MS, World, a_price


@pytest.fixture
def clock():
    return {"now_ms": NOW_MS}


@pytest.fixture
def live(clock):
    return LivePrices(max_price_age_ms=120_000, now_ms=lambda: clock["now_ms"])


def prices(events):
    return [json.loads(event)["priceExact"] for event in events]


def test_the_newest_price_is_kept_of_any_age(live):
    assert live.get("btc-usd") is None
    live.put(a_price(age_ms=500_000))
    newer = a_price(price="1.00000000")
    live.put(newer)
    assert live.get("btc-usd") is newer


def test_a_follower_holds_one_event_per_pair(live):
    follower = live.follow(["btc-usd", "eth-usd"])
    for i in range(1000):
        live.put(a_price("btc-usd", f"{i}.00000000"))
        live.put(a_price("eth-usd", "7.00000000"))
        live.put(a_price("xmr-usd", "9.00000000"))
    assert prices(follower.take()) == ["999.00000000", "7.00000000"]
    assert follower.take() == []


def test_a_new_follower_gets_what_is_known(live):
    live.put(a_price("btc-usd", "5.00000000"))
    live.put(a_price("eth-usd", "6.00000000"))
    assert prices(live.follow(["btc-usd"]).take()) == ["5.00000000"]


def test_a_repeated_price_is_no_news_until_it_is_stale(live, clock):
    follower = live.follow(["btc-usd"])
    live.put(a_price(sequence=1))
    assert len(follower.take()) == 1
    live.put(a_price(sequence=2))
    assert follower.take() == []
    clock["now_ms"] += 120_000
    live.put(a_price(sequence=3))
    assert [json.loads(event)["stale"] for event in follower.take()] == [True]


def test_who_follows_no_more_is_forgotten(live):
    follower = live.follow(["btc-usd"])
    assert live.followers == 1
    live.unfollow(follower)
    live.put(a_price())
    assert live.followers == 0
    assert follower.take() == []


async def test_a_stream_is_events_then_pings_then_the_end(live, autojump_clock):
    live.put(a_price(price="5.00000000"))
    async with PriceStream(live, frozenset({"btc-usd"}), Seats(None), "") as stream:
        first = await anext(stream)
        assert first.startswith(b'retry: 2000\n\ndata: {"pair":"btc-usd","price":5.00000000,')
        assert first.endswith(b"}\n\n")
        began = trio.current_time()
        assert await anext(stream) == b": ping\n\n"
        assert trio.current_time() - began == pytest.approx(PING_S, abs=0.01)
        live.put(a_price(price="6.00000000"))
        assert b'"priceExact":"6.00000000"' in await anext(stream)
        live.put(a_price(price="7.00000000"))
        live.close()
        assert b'"priceExact":"7.00000000"' in await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert live.followers == 0


async def test_a_stream_begun_after_the_end_gives_the_snapshot_and_ends(live):
    live.put(a_price())
    live.close()
    async with PriceStream(live, frozenset({"btc-usd"}), Seats(None), "") as stream:
        assert b"data: " in await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_price_is_rendered_as_get_price_answers_it(live):
    price = a_price()
    live.put(price)
    world = World()
    world.live.put(price)
    assert bytes(live.rendered("btc-usd")) == encode(await get_price.run(GetPrice("btc-usd"), world.ports))


def test_nothing_is_rendered_of_a_pair_never_heard_of_or_too_old(live, clock):
    assert live.rendered("btc-usd") is None
    live.put(a_price(age_ms=0))
    clock["now_ms"] += 120_000
    assert live.rendered("btc-usd") is not None
    clock["now_ms"] += 1
    assert live.rendered("btc-usd") is None
