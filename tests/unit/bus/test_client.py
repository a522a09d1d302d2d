"""Whose fault a failing command is."""

import pytest
from redis import exceptions as fault

from priceverse.bus.client import RedisUnavailable, at_the_door


@pytest.mark.parametrize(
    "error",
    [
        fault.ConnectionError("refused"),
        fault.TimeoutError("slow"),
        fault.BusyLoadingError("loading"),
        fault.AuthenticationError("wrong password"),
        fault.ReadOnlyError("replica"),
        fault.OutOfMemoryError("full"),
        fault.MasterDownError("down"),
        fault.RedisClusterException("no node can be reached"),
        fault.SlotNotCoveredError("a slot of nobody's"),
        fault.MovedError("866 127.0.0.1:7002"),
        fault.NoPermissionError("acl"),
        fault.ResponseError("MISCONF cannot save"),
        fault.ResponseError("NOAUTH Authentication required."),
    ],
)
def test_the_environments_fault_is_one_exception_with_its_words(error):
    with pytest.raises(RedisUnavailable, match=str(error)[:6]), at_the_door():
        raise error


@pytest.mark.parametrize("error", [fault.ResponseError("ERR syntax"), fault.DataError("type"), ValueError("ours")])
def test_our_own_fault_passes(error):
    with pytest.raises(type(error)), at_the_door():
        raise error
