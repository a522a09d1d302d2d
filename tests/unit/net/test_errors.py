"""What a NetError may say and what a Retry-After means."""

import socket
import ssl
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priceverse.net.errors import origin, reason, retry_after_s

NOON = datetime(2026, 9, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("Sat, 26 Sep 2026 12:01:30 GMT", 90),
        ("Sat, 26 Sep 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("1e9", None),
        ("²", None),
        ("99999999999999999999", None),
        ("Sat, 26 Sep 99999999999999999999 12:00:00 GMT", None),
        ("Sat, 26 Sep 2026 12:00:00 +99999999999999", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOON) == seconds


_PIECES = st.sampled_from(["Sat", ",", " ", "26", "Sep", "2026", "-", "+", ":", "12:00:00", "GMT", "9" * 12, "(", '"'])


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join), st.lists(_PIECES).map(" ".join)))
def test_no_retry_after_raises_or_asks_for_less_than_nothing(value: str) -> None:
    asked_s = retry_after_s(value, NOON)
    assert asked_s is None or asked_s >= 0


def test_an_origin_holds_no_secret() -> None:
    assert origin("wss://user:pw@ws-api.kucoin.com:443/endpoint/?token=abc#x") == "wss://ws-api.kucoin.com:443"


def test_the_reason_is_the_innermost_cause() -> None:
    refused = OSError("all attempts to connect failed")
    refused.__cause__ = ExceptionGroup("", [ConnectionRefusedError(111, "Connection refused")] * 2)
    assert reason(refused) == "Connection refused"
    assert reason(socket.gaierror(-2, "Name or service not known")) == "Name or service not known"
    assert reason(TimeoutError()) == "TimeoutError"
    unverified = ssl.SSLCertVerificationError()
    unverified.verify_message = "self-signed certificate"
    assert reason(unverified) == "certificate refused: self-signed certificate"
