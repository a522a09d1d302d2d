"""The live cache: prices as getPrice answers them and as the streams tell them."""

import json

import pytest

from priceverse.api.live import LivePrices
from priceverse.rpc.envelope import encode
from priceverse.services.prices import GetPrice, get_price
from tests.fakes.ports import NOW_MS, World, a_price


@pytest.fixture
def clock():
    return {"now_ms": NOW_MS}


@pytest.fixture
def events():
    return []


@pytest.fixture
def live(clock, events):
    return LivePrices(
        max_price_age_ms=120_000,
        now_ms=lambda: clock["now_ms"],
        on_event=lambda pair, event: events.append((pair, json.loads(event))),
    )


def test_the_newest_price_is_kept_of_any_age(live):
    assert live.get("btc-usd") is None
    live.put(a_price(age_ms=500_000))
    newer = a_price(price="1.00000000")
    live.put(newer)
    assert live.get("btc-usd") is newer


def test_the_streams_hear_each_price_and_whether_it_is_too_old(live, events, clock):
    live.put(a_price("eth-usd", "7.00000000"))
    clock["now_ms"] += 200_000
    live.put(a_price("eth-usd", "7.00000000"))
    assert [(pair, said["priceExact"], said.get("stale", False)) for pair, said in events] == [
        ("eth-usd", "7.00000000", False),
        ("eth-usd", "7.00000000", True),
    ]


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
