"""How much is logged of requests that fail."""

import pytest

from priceverse.api.access import LaneLog, Ration
from priceverse.rpc.endpoint import Head, HttpReply


def test_a_flood_is_counted_instead_of_written():
    ration = Ration(3)
    assert [ration.take(7.0 + i / 100) for i in range(5)] == [0, 0, 0, None, None]
    assert ration.take(8.0) == 2
    assert ration.take(8.5) == 0


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_a_watched_door_answers_as_it_would_unwatched(status):
    reply = HttpReply(status, (("X-Request-ID", "r"),), b"{}")

    async def rest():
        return reply

    assert LaneLog().watched(b"/x", lambda body, head: reply)(b"", Head()) is reply
    begun = LaneLog().watched(b"/x", lambda body, head: rest)(b"", Head())
    assert await begun() is reply
