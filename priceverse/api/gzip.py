"""Compression of what is worth it: large texts, for who accepts them so. Never a stream, never a call.

The rule: the loop compresses only what takes it a millisecond; a worker thread does the rest.
"""

import re
import zlib

import trio

LEVEL = 4
_INLINE_BYTES = 64 * 1024
_GZIP_BITS = 31  # a gzip head and tail around the data
_TEXTS = ("application/json", "application/openmetrics-text", "text/", "image/svg+xml")
_REFUSED = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*")


def is_wanted(accept_encoding: str) -> bool:
    """Tell whether a client accepts gzip."""
    wanted = {}
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        wanted[name.strip()] = not _REFUSED.fullmatch(weight)
    return wanted.get("gzip", wanted.get("*", False))


def is_worth_it(content_type: str, size_bytes: int, min_bytes: int) -> bool:
    """Tell whether a body of that type and size gets so much smaller that it is worth the work; 0 means never."""
    return 0 < min_bytes <= size_bytes and content_type.startswith(_TEXTS)


async def compress(body: bytes) -> bytes:
    """Return the body compressed."""
    if len(body) <= _INLINE_BYTES:
        return _compress(body)
    return await trio.to_thread.run_sync(_compress, body)


def _compress(body: bytes) -> bytes:
    return zlib.compress(body, LEVEL, wbits=_GZIP_BITS)
