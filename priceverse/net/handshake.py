"""The head of a server's reply to a WebSocket handshake: accepted, or refused with a status. Pure.

Read here and not by the library because a refusal need not have a body that ends: what matters of it is in the head.
"""

from collections.abc import Mapping
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
MAX_HEAD_BYTES = 1 << 16
SWITCHING_PROTOCOLS = 101


@dataclass(frozen=True, slots=True)
class Head:
    """A status line and its headers, names in lower case."""

    status: int
    headers: Mapping[str, str]


class HeadReader:
    """Collect bytes until the head is complete."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> tuple[Head, bytes, bytes] | None:
        """Return the head, its bytes and the bytes after it, once complete; None until then.

        Raises ValueError for what is not an HTTP reply.
        """
        self._held += data
        end = self._held.find(HEAD_END)
        if end < 0:
            if len(self._held) > MAX_HEAD_BYTES:
                raise ValueError("an endless reply")
            return None
        end += len(HEAD_END)
        raw, rest = bytes(self._held[:end]), bytes(self._held[end:])
        return parse(raw), raw, rest


def parse(raw: bytes) -> Head:
    """Read a complete head. Raises ValueError."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    version, _, after = first.partition(" ")
    status = after[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
        raise ValueError("not an HTTP reply")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return Head(int(status), {name.strip().lower(): value.strip() for name, _, value in pairs})
