"""Which requests are logged, in either lane, and Hypercorn's voice in our log.

Requests are counted, not logged, unless they failed on our side or were slow; of the others one of so many. And of all
these only some in a second.
"""

from functools import partial
from typing import Any

import trio
from hypercorn.logging import Logger

from priceverse.api.lane import Door
from priceverse.log import get_logger
from priceverse.rpc.endpoint import Head, HttpReply, Rest

SLOW_S = 1.0
FAILED = 500
STREAM = "/stream/"

LINES_PER_S = 10
"""More are counted instead: when every price is stale, every request fails."""

log = get_logger()


class Ration:
    """How many lines this second may still have, and how many were not written since the last one that was.

    One of `good_every` good requests is due for a line as well; 0: none.
    """

    def __init__(self, lines_per_s: int, good_every: int) -> None:
        self._lines_per_s = lines_per_s
        self._good_every = good_every
        self._good_left = good_every
        self._second = -1
        self._written = 0
        self._suppressed = 0

    def is_worth_it(self, status: int, took_s: float) -> bool:
        """Tell whether a request is to be logged: it failed, was slow, or is the one of many."""
        if status >= FAILED or took_s > SLOW_S:  # 503 too: somebody did not get a price
            return True
        self._good_left -= 1
        if self._good_left:  # of none at all it goes below 0, and on
            return False
        self._good_left = self._good_every
        return True

    def take(self, now_s: float) -> int | None:
        """Return how many were suppressed before this line; None if it is to be suppressed as well."""
        if int(now_s) != self._second:
            self._second, self._written = int(now_s), 0
        if self._written >= self._lines_per_s:
            self._suppressed += 1
            return None
        self._written += 1
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed

    def write(self, *, status: int, took_s: float, **about: str) -> None:
        """Log a request if there is a line left for it."""
        if (suppressed := self.take(trio.current_time())) is not None:
            good = status < FAILED and took_s <= SLOW_S
            event = "request_served" if good else "request_failed" if status >= FAILED else "request_slow"
            write = log.info if good else log.warning
            write(event, **about, status=status, took_s=round(took_s, 3), suppressed=suppressed)


class LaneLog:
    """The same of what the lane answers, which Hypercorn never hears of."""

    def __init__(self, ration: Ration) -> None:
        self._ration = ration

    def watched(self, path: bytes, door: Door) -> Door:
        """Return a door that does the same and has it noted."""
        shown, ration = path.decode(), self._ration

        def begin(body: bytes, head: Head) -> HttpReply | Rest:
            begun = door(body, head)
            if not isinstance(begun, HttpReply):
                return partial(self._finish, shown, head, begun)
            if ration.is_worth_it(begun.status, 0.0):
                self._note(shown, head, begun)
            return begun

        return begin

    async def _finish(self, path: str, head: Head, rest: Rest) -> HttpReply:
        began_s = trio.current_time()
        reply = await rest()
        took_s = trio.current_time() - began_s
        if self._ration.is_worth_it(reply.status, took_s):
            self._note(path, head, reply, took_s)
        return reply

    def _note(self, path: str, head: Head, reply: HttpReply, took_s: float = 0.0) -> None:
        request_id = dict(reply.headers).get("X-Request-ID", "")
        about = {"method": "POST", "path": path, "client": head.client, "request_id": request_id}
        self._ration.write(status=reply.status, took_s=took_s, **about)


class AccessLog(Logger):
    """What `Config.logger_class` wants."""

    def __init__(self, ration: Ration, config: object) -> None:  # noqa: ARG002 - Hypercorn's, handed to its logger
        self.error_logger = None
        self.access_logger = None
        self._ration = ration

    async def access(self, request: Any, response: Any, request_time: float) -> None:  # noqa: ANN401 - ASGI's dicts
        """Log a request that is worth it; a stream is meant to be long, a client that leaves is no fault."""
        if response is None:
            return
        status, took_s = int(response["status"]), 0.0 if request["path"].startswith(STREAM) else request_time
        if self._ration.is_worth_it(status, took_s):
            self._ration.write(
                method=request.get("method", "GET"),  # a WebSocket's handshake has none
                path=request["path"],
                status=status,
                took_s=took_s,
                client=(request.get("client") or ("",))[0],
                request_id=_header(response, b"x-request-id"),
            )

    async def warning(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - its signature
        """Log a complaint of Hypercorn's."""
        log.warning("http_server", message=message)

    async def error(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - its signature
        """Log a fault of Hypercorn's."""
        log.error("http_server", message=message)

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - its signature
        """Log an exception that left the application."""
        log.error("application_failed", message=message, exc_info=True)  # noqa: LOG014 - called inside its handler


def _header(response: Any, wanted: bytes) -> str:  # noqa: ANN401 - an ASGI dict
    return next((value.decode("latin1") for name, value in response["headers"] if name.lower() == wanted), "")
