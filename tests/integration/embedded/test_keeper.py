"""A server that is killed comes back by itself, on the same addresses, with everything in it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from priceverse.config.settings import Database, Redis
from priceverse.embedded.errors import ServerFailed
from priceverse.embedded.keeper import keep
from priceverse.embedded.postgres import PostgresServer
from priceverse.embedded.redis import RedisServer
from tests.conftest import connect_database, connect_redis


async def until(fact: Callable[[], bool], within_s: float = 10) -> float:
    began = trio.current_time()
    with trio.fail_after(within_s):
        while not await trio.to_thread.run_sync(fact):  # noqa: ASYNC110 - asks another process
            await trio.sleep(0.02)
    return trio.current_time() - began


def answers(server: RedisServer | PostgresServer) -> bool:
    import psycopg
    import redis

    try:
        if isinstance(server, RedisServer):
            with connect_redis(Redis.model_validate(server.settings)) as client:
                return bool(client.ping())
        with connect_database(Database.model_validate(server.settings)) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except (psycopg.Error, redis.RedisError):
        return False


@pytest.mark.parametrize("kind", [RedisServer, PostgresServer])
async def test_kill_nine_heals_every_time(tmp_path: Path, kind: type[RedisServer | PostgresServer]) -> None:
    server = kind(tmp_path)
    server.start()
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep, server, stopping)
        for _ in range(3):
            before = server.pid
            assert before
            os.kill(before, signal.SIGKILL)
            await until(lambda before=before: server.pid not in (None, before))  # type: ignore[misc]
            assert await until(lambda: answers(server)) < 5
        stopping.set()
    server.stop()
    assert server.pid is None


async def test_a_keeper_that_is_stopping_starts_nothing(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    stopping = trio.Event()
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep, server, stopping)
            await trio.testing.wait_all_tasks_blocked()
            stopping.set()
            server.stop()
    assert server.pid is None


class Failing:
    """A server that never comes up."""

    name = "Failing"
    pid = None

    def __init__(self) -> None:
        self.attempts: list[float] = []

    def prepare(self) -> None:
        return

    def spawn(self) -> None:
        self.attempts.append(trio.current_time())
        raise ServerFailed("no")

    def wait_ready(self) -> None:
        raise AssertionError("never spawned")


class Slow(Failing):
    """A server that takes long to come up."""

    name = "Slow"

    def spawn(self) -> None:
        self.attempts.append(trio.current_time())

    def wait_ready(self) -> None:
        time.sleep(1.5)


async def test_stopping_does_not_wait_for_a_start_under_way() -> None:
    server, stopping = Slow(), trio.Event()
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep, server, stopping)
            await trio.sleep(0.5)
            stopping.set()
    assert len(server.attempts) == 1


async def test_a_server_that_does_not_come_up_is_tried_ever_more_rarely() -> None:
    server = Failing()
    with trio.move_on_after(4):
        await keep(server, trio.Event())
    pauses = [round(b - a, 1) for a, b in zip(server.attempts, server.attempts[1:], strict=False)]
    assert pauses == [0.4, 0.8, 1.6]
