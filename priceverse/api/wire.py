"""A reply as it goes over the wire, byte for byte as Quart and Hypercorn would write it."""

from collections.abc import Callable
from wsgiref.handlers import format_date_time

from priceverse.rpc.endpoint import HttpReply


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
            self._end = f"x-content-type-options: nosniff\r\ndate: {format_date_time(second)}\r\n\r\n"
        (first, kind), *others = reply.headers
        rest = "".join([f"{name.lower()}: {value}\r\n" for name, value in others])
        start = f"HTTP/1.1 {reply.status} \r\n{first.lower()}: {kind}\r\ncontent-length: {len(reply.body)}\r\n"
        return f"{start}{rest}{self._end}".encode() + reply.body
