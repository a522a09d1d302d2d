"""Kept replies over a real Redis: made once, kept for all, stale rather than nothing."""

import msgspec
import pytest
import trio
import trio.testing

from priceverse.api.breaker import Neighbour
from priceverse.api.replies import KeptReplies
from priceverse.bus import keys
from priceverse.bus.client import RedisDoor, RedisUnavailable
from priceverse.rpc.errors import CallError, Code
from priceverse.rpc.ports import Topic
from tests.conftest import connect_redis, emptied
from tests.integration.api.conftest import WAIT_S

KEY = ("btc-usd", "1hour", "x")


@pytest.fixture(params=["redis_server", "redis_cluster"])
def redis_settings(request):
    return emptied(request.getfixturevalue(request.param))


class Answer(msgspec.Struct):
    number: int
    stale: bool = False


class Process:
    """A handler's replies; `makes` counts what it had to make itself."""

    def __init__(self, settings, nursery):
        self.now_ms = 1_000_000
        self.makes = 0
        self.fault = None
        self.gate = trio.Event()
        self.gate.set()
        self.begun = trio.Event()
        redis = Neighbour("redis", "Redis", Code.REDIS, RedisUnavailable, on_change=lambda *_: None)
        self.door = RedisDoor(settings)
        self.replies = KeptReplies(self.door, redis, nursery, lambda: self.now_ms)

    async def make(self):
        self.makes += 1
        self.begun.set()
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return Answer(self.makes)

    async def get(self, replies=None, topic=Topic.CHART, key=KEY):
        with trio.fail_after(WAIT_S):
            return await (replies or self.replies).get(topic, key, Answer, self.make)


@pytest.fixture
async def processes(redis_settings, nursery):
    two = Process(redis_settings, nursery), Process(redis_settings, nursery)
    yield two
    for each in two:
        await each.door.aclose()


async def is_kept(settings, key):
    """Wait until a reply is kept: that happens after it was given."""
    with trio.fail_after(WAIT_S), connect_redis(settings) as redis:
        while redis.get(key) is None or redis.get(keys.lock(key)) is not None:  # noqa: ASYNC110 - another program
            await trio.sleep(0.005)


async def test_what_one_process_made_the_other_gets(processes, redis_settings):
    one, two = processes
    assert (await one.get()).number == 1
    await is_kept(redis_settings, keys.chart(*KEY))
    assert await two.get() == await one.get() == Answer(1)
    assert (one.makes, two.makes) == (1, 0)
    assert (one.replies.tally.hits, one.replies.tally.misses) == (1, 1)


async def test_a_reply_too_old_is_made_anew(processes, redis_settings):
    one, _ = processes
    await one.get()
    await is_kept(redis_settings, keys.chart(*KEY))
    one.now_ms += 59_999
    assert (await one.get()).number == 1
    one.now_ms += 1
    assert (await one.get()).number == 2


async def test_a_client_may_want_it_younger(processes, redis_settings):
    one, _ = processes
    await one.get()
    await is_kept(redis_settings, keys.chart(*KEY))
    one.now_ms += 5_000
    assert (await one.get(one.replies.no_older_than(10))).number == 1
    assert (await one.get(one.replies.no_older_than(5))).number == 2


async def test_who_asks_meanwhile_waits_for_the_same_answer(processes, nursery):
    one, _ = processes
    one.gate = trio.Event()
    answers = []

    async def ask():
        answers.append(await one.get())

    async with trio.open_nursery() as asking:
        for _ in range(20):
            asking.start_soon(ask)
        await one.begun.wait()
        one.gate.set()
    assert answers == [Answer(1)] * 20


async def test_who_gives_up_does_not_stop_the_others(processes):
    one, _ = processes
    one.gate = trio.Event()
    answers = []

    async def ask():
        answers.append(await one.get())

    async with trio.open_nursery() as asking, trio.open_nursery() as impatient:
        impatient.start_soon(one.get)
        await one.begun.wait()
        asking.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        impatient.cancel_scope.cancel()
        one.gate.set()
    assert answers == [Answer(1)]


async def test_the_other_process_waits_for_the_one_at_work(processes):
    one, two = processes
    one.gate = trio.Event()
    answers = []

    async def ask(process):
        answers.append(await process.get())

    async with trio.open_nursery() as asking:
        asking.start_soon(ask, one)
        await one.begun.wait()
        asking.start_soon(ask, two)
        await trio.sleep(0.1)
        one.gate.set()
    assert answers == [Answer(1), Answer(1)]
    assert two.makes == 0


async def test_one_that_fails_leaves_the_work_to_the_next(processes):
    one, two = processes
    one.fault = CallError(Code.CHART_DATA_NOT_FOUND, "none")
    with pytest.raises(CallError):
        await one.get()
    assert (await two.get()).number == 1


async def test_a_stale_chart_rather_than_none(processes, redis_settings):
    one, two = processes
    await one.get()
    await is_kept(redis_settings, keys.chart(*KEY))
    two.now_ms += 600_000
    two.fault = CallError(Code.DATABASE, "away")
    assert await two.get() == Answer(1, stale=True)
    assert two.replies.tally.stale == 1


async def test_no_stale_change_and_no_stale_chart_for_a_refusal(processes, redis_settings):
    one, two = processes
    for topic, fault in ((Topic.CHANGE, Code.DATABASE), (Topic.CHART, Code.INVALID_TIME_RANGE)):
        await one.get(topic=topic)
        await is_kept(redis_settings, (keys.change if topic is Topic.CHANGE else keys.chart)(*KEY))
        two.now_ms += 600_000
        two.fault = CallError(fault, "no")
        with pytest.raises(CallError) as error:
            await two.get(topic=topic)
        assert error.value.code is fault


async def test_what_clients_choose_is_kept_up_to_a_number(processes, redis_settings):
    one, _ = processes
    for n in range(310):
        await one.get(topic=Topic.RANGE, key=("btc-usd", "1hour", str(n)))
    first = keys.chart("btc-usd", "1hour", "0")
    await is_kept(redis_settings, first)
    with connect_redis(redis_settings) as redis, trio.fail_after(WAIT_S):
        while any(redis.scan_iter("lock:*")):  # noqa: ASYNC110 - another program
            await trio.sleep(0.01)
        assert len(list(redis.scan_iter("chart:*", count=1000))) == 300
        assert redis.ttl(first) <= 60


async def test_each_waiting_caller_gets_its_own_fault(processes):
    one, _ = processes
    one.fault = CallError(Code.DATABASE, "away")
    one.gate = trio.Event()
    faults = []

    async def ask():
        with pytest.raises(CallError) as error:
            await one.get()
        faults.append(error.value)

    async with trio.open_nursery() as asking:
        for _ in range(3):
            asking.start_soon(ask)
        await one.begun.wait()
        one.gate.set()
    assert len({id(fault) for fault in faults}) == 3


async def test_a_mistake_of_ours_reaches_the_caller_and_no_further(processes):
    one, _ = processes
    one.fault = ZeroDivisionError()
    with pytest.raises(RuntimeError):
        await one.get()
    one.fault = None
    assert (await one.get()).number == 2


async def test_without_redis_each_makes_its_own(redis_settings, unused_tcp_port, nursery):
    nowhere = {"host": "127.0.0.1", "port": unused_tcp_port, "unix_socket": None, "cluster_nodes": ()}
    process = Process(redis_settings.model_copy(update=nowhere), nursery)
    assert [(await process.get()).number for _ in range(3)] == [1, 2, 3]


async def test_rubbish_under_the_key_is_no_reply(processes, redis_settings):
    one, _ = processes
    with connect_redis(redis_settings) as redis:
        redis.set(keys.chart(*KEY), b"rubbish")
    assert (await one.get()).number == 1


async def test_nobody_waits_for_what_will_not_be_kept(processes, redis_settings):
    one, two = processes
    for n in range(310):
        await one.get(topic=Topic.RANGE, key=("btc-usd", "1hour", str(n)))
    one.gate = trio.Event()
    one.begun = trio.Event()
    async with trio.open_nursery() as asking:
        asking.start_soon(one.get, None, Topic.RANGE)
        await one.begun.wait()
        assert (await two.get(topic=Topic.RANGE)).number == 1
        one.gate.set()
    assert two.makes == 1


async def test_who_takes_nothing_kept_takes_what_was_made_meanwhile(processes, redis_settings):
    one, two = processes
    one.gate = trio.Event()
    answers = []

    async def ask():
        answers.append(await two.get(two.replies.no_older_than(0)))

    async with trio.open_nursery() as asking:
        asking.start_soon(one.get)
        await one.begun.wait()
        one.now_ms += 100
        asking.start_soon(ask)
        await trio.sleep(0.1)
        one.gate.set()
    assert answers == [Answer(1)]
    assert two.makes == 0
