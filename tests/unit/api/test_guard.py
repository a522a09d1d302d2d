"""Which requests reach the application."""

import pytest

from priceverse.api.guard import MAX_HEAD_BYTES, refusal


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_the_methods_that_there_are(method):
    assert refusal(method, b"/", [(b"host", b"a")]) is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PRI", "get", ""])
def test_the_others(method):
    assert refusal(method, b"/", []).code == "405"


def test_a_body_has_one_length():
    length, chunked = (b"Content-Length", b"5"), (b"transfer-encoding", b"chunked")
    assert refusal("POST", b"/", [length]) is None
    assert refusal("POST", b"/", [chunked]) is None
    assert refusal("POST", b"/", [length, chunked]).code == "400"


def test_a_head_has_its_size():
    fits = MAX_HEAD_BYTES - len("GET") - len(b"/") - len(b"x") - 4
    assert refusal("GET", b"/", [(b"x", b"y" * fits)]) is None
    assert refusal("GET", b"/", [(b"x", b"y" * (fits + 1))]).code == "431"
    assert refusal("GET", b"/" * MAX_HEAD_BYTES, []).code == "431"
