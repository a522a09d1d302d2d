"""Live prices on the bus: the key that a late reader finds and the channel that an early one hears, one payload.

    aggregator ─ PriceWriter ─▶ price:<pair> (SET EX 60 + PUBLISH) ─▶ subscribe ─ api

Pub/sub forgets whoever is away, so every new subscription listens first and then reads the keys; silence of all
channels is taken for a dead connection, because aggregators repeat even a quiet pair's price every second.
"""

import time
from collections.abc import Callable, Sequence

import redis
import tenacity
import trio

from priceverse.bus import keys
from priceverse.bus.client import RedisDoor, RedisUnavailable, at_the_door, connect, executed, pipeline
from priceverse.bus.payload import decode, encode, readable
from priceverse.config.settings import Redis as RedisSettings
from priceverse.log import get_logger
from priceverse.model.price import Price

__all__ = ["PriceWriter", "current", "decode", "encode", "subscribe"]

POLL_S = 0.5
"""How long cancellation may have to wait for the thread."""

MOST_AT_ONCE = 100
"""So many prices are handed over together: those of one publishing come together, and each hop costs two wakings."""

OnPrice = Callable[[Price], None]


class PriceWriter:
    """Publishes live prices through a door of the caller's."""

    def __init__(self, door: RedisDoor) -> None:
        self._door = door

    async def publish(self, prices: Sequence[Price]) -> None:
        """Set and announce `prices` in one round trip. Raises RedisUnavailable."""
        payloads = [(keys.price(price.pair), encode(price)) for price in prices]
        if payloads:
            await self._door.run(lambda client: _publish(client, payloads))


async def current(door: RedisDoor, pairs: Sequence[str]) -> dict[str, Price]:
    """Return the last published prices of those `pairs` that have one. Raises RedisUnavailable."""
    return await door.run(lambda client: _current(client, pairs)) if pairs else {}


def _current(client: redis.Redis, pairs: Sequence[str]) -> dict[str, Price]:
    """Return the last published prices, in the calling thread."""
    found = client.mget([keys.price(pair) for pair in pairs])
    prices = ((pair, readable(payload)) for pair, payload in zip(pairs, found, strict=True))
    return {pair: price for pair, price in prices if price is not None}


def _publish(client: redis.Redis, payloads: Sequence[tuple[str, bytes]]) -> None:
    with pipeline(client) as pipe:
        for name, payload in payloads:
            pipe.set(name, payload, ex=keys.PRICE_TTL_S)
            pipe.publish(name, payload)
        executed(pipe)


class _Silent(Exception):  # noqa: N818 - the state it reports
    """Nothing was announced for too long."""


async def subscribe(
    settings: RedisSettings,
    pairs: Sequence[str],
    on_price: OnPrice,
    *,
    silence_s: float = 5.0,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `on_price` in the trio thread with the current prices, then with each new one; never returns.

    `task_status` starts when the first snapshot has been delivered, however long Redis is away. After a loss, prices
    that were already delivered may come again: compare `sequence`.
    """
    started = False

    def on_snapshot() -> None:
        nonlocal started
        if not started:
            started = True
            task_status.started()

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type((RedisUnavailable, _Silent)),
        wait=tenacity.wait_random(0.05, 2.0),
        before_sleep=_report,
    )
    follower = _Follower(settings, pairs, on_price, on_snapshot, silence_s)
    await retrying(trio.to_thread.run_sync, follower.follow, limiter=trio.CapacityLimiter(1))


def _report(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    get_logger().warning("price_subscription_lost", error=str(error) or type(error).__name__)


class _Follower:
    """The worker thread's side: one connection until it is lost or falls silent."""

    def __init__(
        self,
        settings: RedisSettings,
        pairs: Sequence[str],
        on_price: OnPrice,
        on_snapshot: Callable[[], None],
        silence_s: float,
    ) -> None:
        self._settings = settings
        self._pairs = pairs
        self._on_price = on_price
        self._on_snapshot = on_snapshot
        self._silence_s = silence_s

    def follow(self) -> None:
        """Deliver a snapshot, then every announcement. Raises RedisUnavailable, _Silent, trio.Cancelled."""
        with at_the_door(), connect(self._settings) as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe(*map(keys.price, self._pairs))
            for price in _current(client, self._pairs).values():
                trio.from_thread.run_sync(self._on_price, price)
            trio.from_thread.run_sync(self._on_snapshot)
            self._listen(pubsub)

    def _listen(self, pubsub: redis.client.PubSub) -> None:
        heard_s = time.monotonic()
        while time.monotonic() - heard_s < self._silence_s:
            prices = [price for data in _heard(pubsub) if (price := readable(data)) is not None]
            trio.from_thread.check_cancelled()
            if prices:
                heard_s = time.monotonic()
                trio.from_thread.run_sync(self._hand_over, prices)
        raise _Silent("nothing was announced on any price channel")

    def _hand_over(self, prices: Sequence[Price]) -> None:
        for price in prices:
            self._on_price(price)


def _heard(pubsub: redis.client.PubSub) -> list[bytes]:
    """Wait for an announcement; return it and those that have come with it."""
    heard: list[bytes] = []
    message = pubsub.get_message(timeout=POLL_S)  # None at once, too: an acknowledgement that nobody wants
    while message is not None:
        heard.append(message["data"])
        message = pubsub.get_message() if len(heard) < MOST_AT_ONCE else None
    return heard
