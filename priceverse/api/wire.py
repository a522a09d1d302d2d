"""A reply as it goes over the wire, byte for byte as Quart and Hypercorn would write it."""

from collections.abc import Callable
from functools import cache
from wsgiref.handlers import format_date_time

from priceverse.rpc.endpoint import HttpReply


@cache
def _begun(name: str) -> str:
    """Return what comes before a header's value; there are a dozen names."""
    return f"\r\n{name.lower()}: "


class Renderer:
    """Writes replies. What is the same for all of one second is written once."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._second = -1
        self._end = ""

    def render(self, reply: HttpReply) -> bytes:
        """Return a whole response that keeps its connection."""
        second = self._now_ms() // 1000
        if second != self._second:
            self._second = second
            self._end = f"\r\nx-content-type-options: nosniff\r\ndate: {format_date_time(second)}\r\n\r\n"
        (first, kind), *others = reply.headers
        lines = "".join([_begun(name) + value for name, value in others])
        start = f"HTTP/1.1 {reply.status} {_begun(first)}{kind}\r\ncontent-length: {len(reply.body)}"
        return f"{start}{lines}{self._end}".encode() + reply.body
