"""Waiting for a store that is away, and what it costs while none is."""

import gc

import pytest

from priceverse.aggregator.patience import patiently
from priceverse.bus.client import RedisUnavailable
from priceverse.db.errors import DatabaseUnavailable, Reason


@pytest.mark.parametrize("faults", [0, 1, 2, 9])
async def test_work_is_done_again_until_the_stores_are_there(faults, autojump_clock):
    raised = [RedisUnavailable("away"), DatabaseUnavailable(Reason.AWAY, "away")] * 5
    del raised[faults:]

    async def work() -> str:
        if raised:
            raise raised.pop()
        return "done"

    assert await patiently(work, task="test") == "done"
    assert not raised


async def test_another_fault_is_not_waited_for():
    async def work() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        await patiently(work, task="test")


async def test_work_that_succeeds_leaves_no_garbage_in_cycles():
    """The collector looks rarely in an aggregator, which reads twenty times a second."""

    async def work() -> int:
        return 1

    await patiently(work, task="test")
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await patiently(work, task="test")
        assert gc.collect() == 0
    finally:
        gc.enable()
