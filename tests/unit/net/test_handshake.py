"""Heads of handshake replies, cut anywhere."""

import pytest

from priceverse.net.handshake import MAX_HEAD_BYTES, HeadReader

REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nX-Odd\r\nserver: a:b \r\n\r\n"


@pytest.mark.parametrize("cut", range(len(REFUSED)))
def test_a_head_may_come_in_pieces(cut: int) -> None:
    reader = HeadReader()
    assert reader.feed(REFUSED[:cut]) is None
    reply = reader.feed(REFUSED[cut:] + b"body")
    assert reply is not None
    head, raw, rest = reply
    assert (head.status, raw, rest) == (429, REFUSED, b"body")
    assert head.headers == {"retry-after": "7", "server": "a:b"}


@pytest.mark.parametrize(
    "raw",
    [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 ²¹²\r\n\r\n".encode()],
)
def test_what_is_not_http_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not an HTTP reply"):
        HeadReader().feed(raw)


def test_an_endless_head_is_refused() -> None:
    with pytest.raises(ValueError, match="endless"):
        HeadReader().feed(b"H" * (MAX_HEAD_BYTES + 1))
