"""The Redis door: how to connect, which of Redis's complaints are the environment's, and one thread per door.

redis-py's blocking client never runs on the trio loop: each `RedisDoor` owns one client and lets one worker thread at a
time use it. The rule: nothing but `RedisUnavailable` leaves this package when Redis is away, loading, read-only, full
or refusing us; retrying is the caller's business, so the client itself never retries (a hidden second XADD is a second
trade, a hidden sleep is a stalled child).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar, cast

import redis
import trio
from pydantic import SecretStr
from redis import exceptions as fault
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry
from redis.sentinel import Sentinel

from priceverse.bus import pages
from priceverse.bus.cluster import Cluster
from priceverse.config.settings import Redis as RedisSettings
from priceverse.metrics import catalogue, tally

T = TypeVar("T")

AWAY = (
    fault.ConnectionError,  # refused, reset, loading, wrong password
    fault.TimeoutError,
    fault.ReadOnlyError,
    fault.OutOfMemoryError,
    fault.ClusterError,
    fault.RedisClusterException,  # no node answers, or nobody has a slot
    fault.AskError,  # a slot has moved
    fault.TryAgainError,
    fault.NoPermissionError,
)
AWAY_PREFIXES = ("MISCONF", "NOREPLICAS", "NOAUTH", "LOADING", "UNKILLABLE", "BUSY ")
"""Replies for which redis-py has no class: it cannot write its snapshot, it is busy with a script …"""


class RedisUnavailable(Exception):  # noqa: N818 - the state it reports
    """Redis cannot serve now: the environment's fault, worth a retry. The text is Redis's own."""


@contextmanager
def at_the_door() -> Iterator[None]:
    """Turn what is the environment's fault into RedisUnavailable; let our own mistakes through."""
    try:
        yield
    except AWAY as error:
        raise RedisUnavailable(str(error)) from error
    except fault.ResponseError as error:
        if str(error).startswith(AWAY_PREFIXES):
            raise RedisUnavailable(str(error)) from error
        raise


def connect(settings: RedisSettings, *, extra_timeout_s: float = 0.0) -> redis.Redis:
    """Return a blocking client; it connects on first use, but one of a cluster at once.

    `extra_timeout_s` is the longest BLOCK it will ask for.
    """
    tls = {"ssl": True, "ssl_ca_certs": str(settings.tls_ca) if settings.tls_ca else None} if settings.tls else {}
    bounds = {"socket_timeout": settings.timeout_s + extra_timeout_s, "socket_connect_timeout": settings.timeout_s}
    once = Retry(NoBackoff(), 0)
    how: dict[str, Any] = {
        **_login(settings.username, settings.password),
        "protocol": 2,  # the reply shapes that our decoders expect
        **bounds,
        **tls,
    }
    if settings.mode == "cluster":
        places = _places(settings.cluster_nodes) or [(settings.host, settings.port)]
        return cast("redis.Redis", Cluster(places, **how))  # it has the same commands
    how |= {"db": settings.db, "retry": once}
    if settings.sentinels:
        login = _login(settings.sentinel_username, settings.sentinel_password)
        client = _primary(settings, {"retry": once, **login, **bounds, **tls}, how)
    else:
        path = str(settings.unix_socket) if settings.unix_socket else None
        client = redis.Redis(host=settings.host, port=settings.port, unix_socket_path=path, **how)
    for command, decoded in pages.READS.items():
        client.set_response_callback(command, decoded)
    return client


def _login(username: str | None, password: SecretStr | None) -> dict[str, str | None]:
    return {"username": username, "password": password.get_secret_value() if password else None}


def _primary(settings: RedisSettings, ask: dict[str, Any], how: dict[str, Any]) -> redis.Redis:
    """Return a client of whoever the Sentinels call the primary whenever it connects; one that was demoted is left."""
    sentinel = Sentinel(_places(settings.sentinels), sentinel_kwargs=ask, **how)  # type: ignore[no-untyped-call] # redis-py's gap
    client: redis.Redis = sentinel.master_for(settings.sentinel_name)  # type: ignore[no-untyped-call] # as above
    return client


def _places(named: Iterable[str]) -> list[tuple[str, int]]:
    """Read `host:port` of several."""
    places = [place.rpartition(":") for place in named]
    return [(host.strip("[]"), int(port)) for host, _, port in places]


def pipeline(client: redis.Redis, key: str | None = None) -> Any:  # noqa: ANN401 - execute_command has no annotations in redis-py
    """Return a pipeline without a transaction: commands that travel together.

    In a cluster they go to the node that has `key`; without it each begins with a key, and goes to that one's.
    """
    return client.pipeline(transaction=False, shard_hint=key)


def executed(pipe: Pipeline) -> list[Any]:
    """Run a pipeline and return its replies; raise the first error as Redis worded it."""
    replies: list[Any] = pipe.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


class RedisDoor:
    """One blocking client and the one worker thread that may use it at a time; `async with` closes it at the end."""

    def __init__(self, settings: RedisSettings, *, extra_timeout_s: float = 0.0) -> None:
        self._connect = partial(connect, settings, extra_timeout_s=extra_timeout_s)
        self._client: redis.Redis | None = None
        self.is_cluster = settings.mode == "cluster"
        self._one = trio.CapacityLimiter(1)

    async def run(self, work: Callable[[redis.Redis], T]) -> T:
        """Run `work` in the thread and return what it returns. Raises RedisUnavailable.

        Cancellation waits for the thread: at most the configured timeout.
        """

        def guarded() -> T:
            with at_the_door():
                if self._client is None:
                    self._client = self._connect()
                return work(self._client)

        began_s = trio.current_time()
        try:
            return await trio.to_thread.run_sync(guarded, limiter=self._one)
        except RedisUnavailable:
            tally.count(catalogue.REDIS_FAILURES)
            raise
        finally:
            tally.observe(catalogue.REDIS, trio.current_time() - began_s)

    async def ping(self) -> float:
        """Return the seconds that one round trip takes. Raises RedisUnavailable."""
        started = trio.current_time()
        await self.run(lambda client: client.ping())
        return trio.current_time() - started

    async def aclose(self) -> None:
        """Close the connection, even when cancelled; a later use opens another."""

        def close() -> None:
            if self._client is not None:
                self._client.close()
                self._client = None

        with trio.CancelScope(shield=True):  # closing a socket waits for nobody
            await trio.to_thread.run_sync(close, limiter=self._one)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
